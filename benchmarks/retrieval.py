"""Consistency by label of ours and of copairs, on the same profiles: numbers first, then seconds and memory.

`python benchmarks/retrieval.py` takes 20 and 100 plates: 1,280 and 6,400 consensus profiles (320 compounds on every
five plates) of 1,500 features, in 64 and 320 mechanisms, with the null of copairs and 10,000 draws. Each side runs in a
process of its own. Average precisions may not differ by more than 1e-6, and p-values not by more than five standard
errors of their draws; otherwise nothing is timed. Profiles have double precision: in single precision copairs' own
similarities are off by 1e-7, which swaps a few neighbours. copairs takes minutes and gigabytes on 100 plates. `--quick`
is 2 plates of 300 features. `--joint` times our default null, labels dealt anew, too, which copairs does not have.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

COMPOUNDS = 320
PLATES_A_LAYOUT = 5
A_MECHANISM = 20
NULL_SIZE = 10_000
TOLERANCE = 1e-6


def make_profiles(n_plates: int, n_features: int) -> tuple[np.ndarray, list[str]]:
    """Return consensus profiles and their mechanisms, every second of which does something."""
    n = max(COMPOUNDS * n_plates // PLATES_A_LAYOUT, 2 * A_MECHANISM)
    rng = np.random.default_rng(0)
    mechanism = np.arange(n) % (n // A_MECHANISM)
    directions = rng.standard_normal((n // A_MECHANISM, n_features), dtype=np.float32)
    directions[::2] = 0.0
    values = rng.standard_normal((n, n_features), dtype=np.float32) + 0.3 * directions[mechanism]
    return values.astype(np.float64), [f"mechanism {number:03}" for number in mechanism]


def resident_bytes() -> int:
    """Return the memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def ours(values: np.ndarray, labels: list[str], null: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return average precisions by profile, and mean precisions and p-values by mechanism."""
    from hcs.hits.retrieval import consistency

    found = consistency(values, [(label,) for label in labels], null=null, seed=0)
    table = found.labels
    each = found.profiles.sort("row")["average_precision"]
    return each.to_numpy(), table["mean_average_precision"].to_numpy(), table["p_value"].to_numpy()


def theirs(values: np.ndarray, labels: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same of copairs."""
    import pandas as pd
    from copairs import map as copairs

    each = copairs.average_precision(
        pd.DataFrame({"label": labels}), values, ["label"], [], [], ["label"], progress_bar=False
    )
    with tempfile.TemporaryDirectory() as cache:
        table = copairs.mean_average_precision(
            each, ["label"], null_size=NULL_SIZE, threshold=0.05, seed=0, progress_bar=False, cache_dir=cache
        ).sort_values("label")
    return (
        each["average_precision"].to_numpy(),
        table["mean_average_precision"].to_numpy(),
        table["p_value"].to_numpy(),
    )


def warm_up(side: str) -> None:
    """Import what a side needs and let it run once on next to nothing."""
    rng = np.random.default_rng(1)
    values, labels = rng.standard_normal((8, 4)), ["a", "b"] * 4
    if side == "copairs":
        theirs(values, labels)
    else:
        ours(values, labels, "copairs" if side == "ours" else "labels")


def measure(side: str, n_plates: int, n_features: int, result: Path) -> None:
    """Score in this process, and write what came out and what it took."""
    import warnings

    warnings.simplefilter("ignore")
    warm_up(side)
    values, labels = make_profiles(n_plates, n_features)
    before, started, started_cpu = resident_bytes(), perf_counter(), process_time()
    if side == "copairs":
        made = theirs(values, labels)
    else:
        made = ours(values, labels, "copairs" if side == "ours" else "labels")
    figures = {
        "wall_s": perf_counter() - started,
        "cpu_s": process_time() - started_cpu,
        "grown_mb": (peak_bytes() - before) / 1e6,
        "n_profiles": len(values),
    }
    np.savez(result.with_suffix(".npz"), each=made[0], mean=made[1], p=made[2])
    result.with_suffix(".json").write_text(json.dumps(figures))


def one_side(side: str, n_plates: int, options: argparse.Namespace, folder: Path) -> tuple[dict, dict]:
    """Return the figures and the numbers of one side, from a process of its own."""
    result = folder / side
    arguments = [side, str(n_plates), str(options.features), str(result)]
    subprocess.run([sys.executable, __file__, "--one", *arguments], check=True)
    with np.load(result.with_suffix(".npz")) as numbers:
        return json.loads(result.with_suffix(".json").read_text()), dict(numbers)


def compare(mine: dict[str, np.ndarray], peer: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return how far average precisions are apart, and p-values in standard errors; end the run if that is too far."""
    apart = max(float(np.abs(mine[name] - peer[name]).max()) for name in ("each", "mean"))
    rate = (mine["p"] + peer["p"]) / 2
    errors = float((np.abs(mine["p"] - peer["p"]) / np.sqrt(2 * rate * (1 - rate) / NULL_SIZE + NULL_SIZE**-2)).max())
    if not apart <= TOLERANCE or not errors <= 5:
        sys.exit(f"average precisions are {apart:.2g} apart, p-values {errors:.1f} standard errors: nothing is timed")
    return apart, errors


def run(options: argparse.Namespace) -> list[dict]:
    """Print and return one row a number of plates."""
    print(
        "| plates | profiles | AP apart | p apart, SE | ours s (CPU) | copairs s (CPU) | ratio | MB, ours | copairs |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for n_plates in options.plates:
        with tempfile.TemporaryDirectory() as scratch:
            (mine, my_numbers), (peer, peer_numbers) = (
                one_side(side, n_plates, options, Path(scratch)) for side in ("ours", "copairs")
            )
            apart, errors = compare(my_numbers, peer_numbers)
            joint = one_side("joint", n_plates, options, Path(scratch))[0] if options.joint else None
        print(
            f"| {n_plates} | {mine['n_profiles']} | {apart:.0e} | {errors:.1f} | {mine['wall_s']:.2f} "
            f"({mine['cpu_s']:.2f}) | {peer['wall_s']:.1f} ({peer['cpu_s']:.1f}) | "
            f"{peer['wall_s'] / mine['wall_s']:.0f} | {mine['grown_mb']:.0f} | {peer['grown_mb']:.0f} |",
            flush=True,
        )
        if joint:
            print(f"labels dealt anew: {joint['wall_s']:.2f} s ({joint['cpu_s']:.2f}), {joint['grown_mb']:.0f} MB")
        rows.append({"plates": n_plates, "ours": mine, "copairs": peer, "joint": joint, "apart": apart})
    return rows


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, nargs="+", help="[20 100; 2 with --quick]")
    parser.add_argument("--joint", action="store_true", help="time our default null too")
    parser.add_argument("--quick", action="store_true", help="2 plates of 300 features")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        side, n_plates, n_features, result = options.one
        measure(side, int(n_plates), int(n_features), Path(result))
        return
    options.features = 300 if options.quick else 1500
    options.plates = options.plates or ([2] if options.quick else [20, 100])
    rows = run(options)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
