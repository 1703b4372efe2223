"""Operations on a profile matrix against pycytominer: the same numbers first, then seconds and memory.

    python benchmarks/profiles.py [--plates 20 100] [--only modz ...] [--rounds 3] [--alone] [--quick] [--json FILE]

Plates of 384 wells, 64 of them negative controls, and 1,500 float32 features that share factors; the same wells on five
plates in a row are replicates. Every operation of either side has a process of its own, which imports, makes the
profiles, and then is timed on the operation alone: neither files nor the conversion to the table type of the side
count. Results are compared before any time is printed, and what disagrees ends the run. Seconds are the fastest of
`--rounds` for us, and of one for the peer where it takes long. CPU seconds are those of all threads: other programs on
the machine disturb them less. Memory is what the process grew by from after its imports to its peak, the profiles
themselves included, in multiples of their size. Nothing fails where a target is not met. With `--alone` the peer is
left out, so that growth can be measured to more plates than it has memory for.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import polars as pl
from numpy.typing import NDArray
from profile_operations import OPERATIONS, Screen

WELLS, CONTROLS, REPLICATES = 384, 64, 5


def make_screen(n_plates: int, n_features: int, *, sites: int = 1, pairs: int = 0) -> Screen:
    """Return profiles made plate by plate in their own memory, and what is in the wells.

    Args:
        n_plates: Of 384 wells.
        n_features: Of which every tenth repeats values, as counts do.
        sites: Rows a well.
        pairs: If not 0, at least so many pairs of features correlate above 0.9, in groups of one size, and no values
            repeat.
    """
    rng = np.random.default_rng(20)
    rows = WELLS * sites
    values = np.empty((n_plates * rows, n_features), dtype=np.float32)
    loadings = rng.normal(size=(40, n_features)).astype(np.float32) * 0.12
    unit = (10 ** rng.uniform(-1, 1, n_features)).astype(np.float32)
    size = min(1 + math.ceil(2 * pairs / n_features), n_features)
    leaders = (np.arange(n_features) // size) * size
    for plate in range(n_plates):
        part = values[plate * rows : (plate + 1) * rows]
        rng.standard_normal(out=part, dtype=np.float32)
        part += rng.standard_normal((rows, 40), dtype=np.float32) @ loadings
        offset = rng.standard_normal(n_features, dtype=np.float32) + 5.0
        if pairs:
            part[:] = (part + offset)[:, leaders] + 0.1 * part
            part *= unit
        else:
            part *= unit
            part += offset
            part[:, ::10] = np.round(part[:, ::10], 1)
    place = np.repeat(np.arange(WELLS), sites)
    metadata = pl.DataFrame(
        {
            "Metadata_Plate": np.repeat([f"plate{i:03}" for i in range(n_plates)], rows),
            "Metadata_Well": np.tile([f"W{i:03}" for i in place], n_plates),
            "Metadata_layout": np.repeat([f"layout{i // REPLICATES:03}" for i in range(n_plates)], rows),
            "Metadata_control": np.tile(place < CONTROLS, n_plates),
        }
    )
    return Screen(metadata, values, [f"Cells_Feature_{i}" for i in range(n_features)])


def resident_bytes() -> int:
    """Return the memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """Return the most memory that this process has had; `ru_maxrss` would be the parent's where that is more."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def measure(side: str, name: str, *, n_plates: int, n_features: int, rounds: int, result: Path) -> None:
    """Perform one operation of one side in this process, and write what came out and what it took."""
    warnings.simplefilter("ignore")
    operation = OPERATIONS[name]
    prepare, perform = operation.side(side)
    before = resident_bytes()
    screen = make_screen(*operation.shape(n_plates, n_features), sites=operation.sites, pairs=operation.pairs)
    size = screen.values.nbytes
    prepared = prepare(screen)
    wall, cpu = [], []
    for _ in range(rounds):
        started, started_cpu = perf_counter(), process_time()
        made = perform(prepared)
        wall.append(perf_counter() - started)
        cpu.append(process_time() - started_cpu)
        if len(wall) == 1:  # later rounds hold the result of the one before, or have it as their input
            grown = peak_bytes() - before
            np.save(result.with_suffix(".npy"), operation.comparable(made))
    figures = {"wall_s": min(wall), "cpu_s": min(cpu), "matrices": grown / size, "matrix_mb": size / 1e6}
    result.with_suffix(".json").write_text(json.dumps(figures))


def one_side(side: str, name: str, options: argparse.Namespace, n_plates: int, folder: Path) -> dict[str, float]:
    """Return the figures of one side, measured in a process of its own."""
    result = folder / side
    rounds = options.rounds if side == "ours" else 1
    arguments = [side, name, str(n_plates), str(options.features), str(rounds), str(result)]
    subprocess.run([sys.executable, __file__, "--one", *arguments], check=True)
    return json.loads(result.with_suffix(".json").read_text())


def compare(name: str, ours: NDArray, theirs: NDArray) -> str:
    """Return how far the two results are apart, as a short text; end the run if that is too far."""
    operation = OPERATIONS[name]
    if ours.shape != theirs.shape:
        sys.exit(f"{name}: shapes {ours.shape} and {theirs.shape}")
    if ours.dtype.kind == "U" or ours.dtype == bool:
        if not np.array_equal(ours, theirs):
            sys.exit(f"{name}: other features")
        return "identical"
    apart = float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), operation.scale)))
    if not apart <= operation.tolerance:
        sys.exit(f"{name}: {apart:.2g} apart, more than {operation.tolerance:g}")
    return f"{apart:.0e}"


def run_alone(options: argparse.Namespace) -> list[dict[str, object]]:
    """Print and return one row an operation and number of plates, of our side."""
    print("| operation | plates | s (CPU) | memory |")
    print("| --- | ---: | ---: | ---: |")
    rows: list[dict[str, object]] = []
    for name in options.only or OPERATIONS:
        for n_plates in options.plates:
            with tempfile.TemporaryDirectory() as scratch:
                ours = one_side("ours", name, options, n_plates, Path(scratch))
            took = f"{ours['wall_s']:.3f} ({ours['cpu_s']:.3f})"
            print(f"| {name} | {n_plates} | {took} | {ours['matrices']:.1f} x |", flush=True)
            rows.append({"operation": name, "plates": n_plates, "ours": ours})
    return rows


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """Print and return one row an operation and number of plates."""
    print("| operation | plates | apart | ours s (CPU) | pycytominer s (CPU) | ratio (CPU) | memory, ours | theirs |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows: list[dict[str, object]] = []
    for name in options.only or OPERATIONS:
        for n_plates in options.plates:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                ours, theirs = (one_side(side, name, options, n_plates, folder) for side in ("ours", "peer"))
                apart = compare(name, *(np.load(folder / f"{side}.npy") for side in ("ours", "peer")))
            ratio, cpu_ratio = theirs["wall_s"] / ours["wall_s"], theirs["cpu_s"] / ours["cpu_s"]
            print(
                f"| {name} | {n_plates} | {apart} | {ours['wall_s']:.3f} ({ours['cpu_s']:.3f}) | "
                f"{theirs['wall_s']:.2f} ({theirs['cpu_s']:.2f}) | {ratio:.1f} ({cpu_ratio:.1f}) | "
                f"{ours['matrices']:.1f} x | {theirs['matrices']:.1f} x |",
                flush=True,
            )
            rows.append({"operation": name, "plates": n_plates, "apart": apart, "ours": ours, "peer": theirs})
    return rows


def print_growth(rows: list[dict], plates: list[int]) -> None:
    """Print by which power of the number of plates the CPU seconds grow."""
    small, large = min(plates), max(plates)
    for name in dict.fromkeys(row["operation"] for row in rows):
        cpu = {row["plates"]: row["ours"]["cpu_s"] for row in rows if row["operation"] == name}
        print(f"{name}: CPU seconds grow as plates^{math.log(cpu[large] / cpu[small]) / math.log(large / small):.2f}")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, nargs="+", help="[20 100; 4 with --quick]")
    parser.add_argument("--only", nargs="+", choices=tuple(OPERATIONS), metavar="OPERATION", help=", ".join(OPERATIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="our side alone")
    parser.add_argument("--quick", action="store_true", help="4 plates of 300 features")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        side, name, n_plates, n_features, rounds, result = options.one
        counts = {"n_plates": int(n_plates), "n_features": int(n_features), "rounds": int(rounds)}
        measure(side, name, **counts, result=Path(result))
        return
    options.features = 300 if options.quick else 1500
    options.plates = options.plates or ([4] if options.quick else [20, 100])
    rows = run_alone(options) if options.alone else run(options)
    if len(options.plates) > 1:
        print_growth(rows, options.plates)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
