"""Calls of active compounds against copairs: the same numbers first, then seconds and memory.

    python benchmarks/calls.py [--plates 20 100] [--only same-plate joint ...] [--rounds 2] [--peer-compounds N]

Plates of 320 compounds and 64 negative controls, five plates to a layout, 1,500 float32 features that share factors; a
tenth of the compounds shifts every feature by N(0, .60 squared). Cases:

- same-plate: `--null copairs`, negatives are the controls of a well's own plate, null of 10,000.
- any-plate: the same with the controls of all plates (20 plates alone: copairs needs hours and a dozen GB for 100).
- joint: the default null, up to 999,999 draws a compound; beside what copairs needs for its own p-values.
- joint-null: the same where nothing is active.
- positive-control: the default null of one active treatment in four wells of every plate, and no other.

Every side has a process of its own, which imports, makes the profiles, and is then timed: ours from the arrays to the
finished table of calls, copairs from its frame to corrected p-values, with an empty cache. Mean average precision, the
numbers of pairs and p-values are compared before any time is printed. CPU seconds are those of all threads. Memory is
what the process grew by, the profiles included. `--peer-compounds` gives copairs only so many compounds a layout; its
seconds are then multiplied and the table says so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import polars as pl
from numpy.typing import NDArray
from profiles import peak_bytes, resident_bytes

COMPOUNDS, CONTROLS, REPLICATES, FEATURES = 320, 64, 5, 1500
EFFECT, ACTIVE_SHARE, NULL_SIZE = 0.6, 0.1, 10_000
CASES = ("same-plate", "any-plate", "joint", "joint-null", "positive-control")
DEFAULT_NULL = ("joint", "joint-null", "positive-control")
IN_EVERY_PLATE = 4
"""Wells of the positive control."""


@dataclass(frozen=True)
class Screen:
    """Wells in the order plate by plate, compounds before controls."""

    values: NDArray[np.float32]
    plates: NDArray[np.int64]
    compounds: NDArray[np.int64]
    """-1 for a control."""


def make_screen(n_plates: int, *, active_share: float) -> Screen:
    """Return a screen made plate by plate."""
    rng = np.random.default_rng(10)
    wells = COMPOUNDS + CONTROLS
    values = np.empty((n_plates * wells, FEATURES), dtype=np.float32)
    loadings = rng.normal(size=(40, FEATURES)).astype(np.float32) * 0.12
    shifts: NDArray[np.float32] = np.empty(0, dtype=np.float32)
    for plate in range(n_plates):
        part = values[plate * wells : (plate + 1) * wells]
        rng.standard_normal(out=part, dtype=np.float32)
        part += rng.standard_normal((wells, 40), dtype=np.float32) @ loadings
        if plate % REPLICATES == 0:
            shifts = EFFECT * rng.standard_normal((round(active_share * COMPOUNDS), FEATURES), dtype=np.float32)
        part[: len(shifts)] += shifts
    place = np.tile(np.arange(wells), n_plates)
    plates = np.repeat(np.arange(n_plates), wells)
    compounds = np.where(place < COMPOUNDS, plates // REPLICATES * COMPOUNDS + place, -1)
    return Screen(values, plates, compounds)


def with_positive_control(screen: Screen) -> Screen:
    """Return the controls, and the first wells of every plate as one active treatment."""
    place = np.arange(len(screen.plates)) % (COMPOUNDS + CONTROLS)
    is_own = place < IN_EVERY_PLATE
    shift = EFFECT * np.random.default_rng(11).standard_normal(FEATURES, dtype=np.float32)
    kept = is_own | (screen.compounds < 0)
    values = screen.values[kept] + shift * is_own[kept, None]
    return Screen(values, screen.plates[kept], np.where(is_own[kept], 0, -1))


def ours(screen: Screen, case: str) -> pl.DataFrame:
    """Return `compound, mean_average_precision, p_value`."""
    from threadpoolctl import threadpool_limits

    from hcs.hits.activity import evaluate
    from hcs.hits.copairs import call_as_copairs
    from hcs.hits.treatments import screen_wells

    n = len(screen.plates)
    is_control = screen.compounds < 0
    none = pl.Series([None] * n, dtype=pl.Float64)
    wells = pl.DataFrame(
        {
            "plate": screen.plates,
            "well": np.arange(n),
            "batch": screen.plates,
            "perturbation": np.where(is_control, -1, screen.compounds),
            "concentration_micromolar": none,
            "dose_step": none,
            "cell_count": none,
            "control_type": np.where(is_control, "negcon", "treatment"),
        }
    ).with_columns(pl.col("plate", "well", "batch", "perturbation").cast(pl.String))
    # As the command does: one thread a matrix product, and pieces of work side by side.
    with threadpool_limits(limits=1):
        screen_of_calls = screen_wells(screen.values, wells)
        if case in DEFAULT_NULL:
            calls = evaluate(screen_of_calls, q_max=0.05, seed=0).calls
        else:
            calls = call_as_copairs(screen_of_calls, same_plate=case == "same-plate", q_max=0.05, seed=0)
    return calls.select(
        pl.col("perturbation").cast(pl.Int64).alias("compound"), "mean_average_precision", "p_value", "n_controls"
    ).sort("compound")


def theirs(screen: Screen, case: str) -> pl.DataFrame:
    """Return the same of copairs."""
    import pandas as pd
    from copairs.map import average_precision, mean_average_precision

    # A control is a treatment of its own, so that no two controls are a pair of replicates.
    names = np.where(screen.compounds < 0, 10**9 + np.arange(len(screen.plates)), screen.compounds)
    meta = pd.DataFrame(
        {"plate": screen.plates, "compound": names, "is_control": (screen.compounds < 0).astype(np.int64)}
    )
    scored = average_precision(
        meta,
        screen.values,
        pos_sameby=["compound"],
        pos_diffby=[],
        neg_sameby=[] if case == "any-plate" else ["plate"],
        neg_diffby=["is_control"],
        progress_bar=False,
    )
    treated = scored[scored["is_control"] == 0]
    with tempfile.TemporaryDirectory() as cache:
        found = mean_average_precision(
            treated, ["compound"], null_size=NULL_SIZE, threshold=0.05, seed=0, progress_bar=False, cache_dir=cache
        )
    counts = treated.groupby("compound")["n_total_pairs"].sum() - treated.groupby("compound")["n_pos_pairs"].sum()
    return pl.DataFrame(
        {
            "compound": found["compound"].to_numpy(),
            "mean_average_precision": found["mean_average_precision"].to_numpy(),
            "p_value": found["p_value"].to_numpy(),
            "n_negatives": counts.loc[found["compound"]].to_numpy(),
        }
    ).sort("compound")


def measure(side: str, case: str, n_plates: int, *, rounds: int, peer_compounds: int, result: Path) -> None:
    """Perform one case of one side in this process, and write what came out and what it took."""
    warnings.simplefilter("ignore")
    import copairs.map  # noqa: F401  both sides start from the same imports
    from threadpoolctl import threadpool_limits  # noqa: F401

    import hcs.hits.activity
    import hcs.hits.copairs  # noqa: F401

    before = resident_bytes()
    screen = make_screen(n_plates, active_share=ACTIVE_SHARE if case in {"same-plate", "any-plate", "joint"} else 0.0)
    if case == "positive-control":
        screen = with_positive_control(screen)
    perform = ours if side == "ours" else theirs
    if side == "peer" and peer_compounds < COMPOUNDS:
        kept = (screen.compounds < 0) | (screen.compounds % COMPOUNDS < peer_compounds)
        screen = Screen(screen.values[kept], screen.plates[kept], screen.compounds[kept])
    wall, cpu = [], []
    for _ in range(rounds):
        started, started_cpu = perf_counter(), process_time()
        made = perform(screen, case)
        wall.append(perf_counter() - started)
        cpu.append(process_time() - started_cpu)
        if len(wall) == 1:
            grown = peak_bytes() - before
    made.write_parquet(result.with_suffix(".parquet"))
    result.with_suffix(".json").write_text(json.dumps({"wall_s": min(wall), "cpu_s": min(cpu), "bytes": grown}))


def one_side(
    side: str, case: str, n_plates: int, *, rounds: int, peer_compounds: int, folder: Path
) -> dict[str, float]:
    """Return the figures of one side, measured in a process of its own."""
    result = folder / side
    arguments = [side, case, str(n_plates), str(rounds), str(peer_compounds), str(result)]
    subprocess.run([sys.executable, __file__, "--one", *arguments], check=True)
    return json.loads(result.with_suffix(".json").read_text())


def compare(case: str, folder: Path) -> str:
    """Return how far the two results are apart; end the run if that is too far."""
    both = pl.read_parquet(folder / "ours.parquet").join(pl.read_parquet(folder / "peer.parquet"), on="compound")
    apart = float((both["mean_average_precision"] - both["mean_average_precision_right"]).abs().max())
    if both.is_empty() or not apart <= 1e-6:
        sys.exit(f"{case}: mean average precisions {apart:.2g} apart")
    if case in DEFAULT_NULL:
        return f"mAP {apart:.0e}"
    if case == "same-plate" and not (both["n_controls"] == both["n_negatives"]).all():
        sys.exit(f"{case}: other numbers of negatives")
    mean = (both["p_value"] + both["p_value_right"]) / 2
    error = ((both["p_value"] - both["p_value_right"]).abs() / (2 * mean * (1 - mean) / NULL_SIZE + 1e-8).sqrt()).max()
    if not error <= 4.5:
        sys.exit(f"{case}: p-values {error:.1f} standard errors apart")
    return f"mAP {apart:.0e}, p {error:.1f} SE"


def run(options: argparse.Namespace) -> None:
    """Print one row a case and number of plates."""
    print("| case | plates | apart | ours s (CPU) | copairs s (CPU) | ratio (CPU) | memory MB, ours | theirs | share |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    scale = COMPOUNDS / options.peer_compounds
    for n_plates in options.plates:
        peers: dict[str, dict[str, float]] = {}
        for case in options.only:
            if case == "any-plate" and n_plates > 20:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                mine = one_side("ours", case, n_plates, rounds=options.rounds, peer_compounds=COMPOUNDS, folder=folder)
                peers[case] = one_side(
                    "peer", case, n_plates, rounds=1, peer_compounds=options.peer_compounds, folder=folder
                )
                apart = compare(case, folder)
            peer = peers[case]
            wall, cpu = peer["wall_s"] * scale, peer["cpu_s"] * scale
            note = "" if scale == 1 else f" (from {options.peer_compounds} of {COMPOUNDS} compounds)"
            print(
                f"| {case} | {n_plates} | {apart} | {mine['wall_s']:.2f} ({mine['cpu_s']:.2f}) | "
                f"{wall:.1f} ({cpu:.1f}){note} | {wall / mine['wall_s']:.0f} ({cpu / mine['cpu_s']:.0f}) | "
                f"{mine['bytes'] / 1e6:.0f} | {peer['bytes'] / 1e6:.0f} | {mine['bytes'] / peer['bytes']:.2f} |",
                flush=True,
            )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peer-compounds", type=int, default=COMPOUNDS, metavar="N")
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        side, case, n_plates, rounds, peer_compounds, result = options.one
        counts = {"rounds": int(rounds), "peer_compounds": int(peer_compounds)}
        measure(side, case, int(n_plates), **counts, result=Path(result))
        return
    run(options)


if __name__ == "__main__":
    main()
