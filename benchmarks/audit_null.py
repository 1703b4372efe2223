"""Whether calls stay calibrated after the audit's pick: p-values of compounds that do nothing.

    python benchmarks/audit_null.py [--screens 20] [--first 2000] [--effect medium] [--prepare sphered]

Screens as in `benchmarks/audit.py`, unconfounded; in half of them no compound is active, in the others 30 of 100. The
audit picks a correction, and every inactive compound is tested against the negative controls of its plates by the joint
design permutation. After a correction that was fitted on one half of the controls, the other half is compared with.
Beside the pick, what always taking one method gives.

With `--prepare run`, the whole way is that of a run: every other feature is of one encoder, the rest of another,
profiles are built with `correct: auto`, the audit decides for each encoder, and calls are made on both and on
`combined`. Beside it, what `whiten` gives, which leaves batches as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from time import perf_counter

import numpy as np
import polars as pl
from audit import METHODS, prepared, simulated
from numpy.typing import NDArray

from hcs.hits.activity import call_activity
from hcs.profiling.audit.audit import audit_profiles
from hcs.profiling.audit.wells import AuditWells
from hcs.profiling.batches import WITHOUT_LABELS
from hcs.profiling.profiles import build_profiles
from hcs.statistics.permutation import permutation_test
from schemas.screen import ProfileConfig

ON_ALL_WELLS = ("none", "combat", "harmony")
"""They fit on no negative control by itself, so all are compared with."""
SHOWN = ("none", "combat", "harmony")
SMALL = 0.05


def null_p_values(method: str, values: NDArray, wells: AuditWells, inactive: NDArray) -> list[float]:
    """Return the p-value of every inactive compound after a correction."""
    design = wells.design
    corrected = np.asarray(METHODS[method](values, design).values, dtype=np.float64)
    negatives = design.is_negcon if method in ON_ALL_WELLS else design.held_out
    found = []
    for compound in inactive:
        is_own = design.perturbations == compound
        pool = is_own | (negatives & np.isin(design.plates, design.plates[is_own]))
        found.append(
            permutation_test(corrected[pool], design.plates[pool], is_own[pool], seed=0, max_draws=999).p_value
        )
    return found


def one_screen(seed: int, *, effect: str, is_null: bool) -> tuple[str, dict[str, list[float]]]:
    """Return what the audit picked, and null p-values after its pick and after each method shown."""
    values, wells, is_active = prepared(effect, seed=seed, is_confounded=False, prepare="sphered", is_null=is_null)
    picked = audit_profiles(values, wells, corrections=METHODS, with_figures=False).choice.method
    numbers = np.unique(wells.design.perturbations[wells.is_treated])
    inactive = np.array([number for number in numbers if not is_active[wells.perturbations[number]]])
    p_values = {name: null_p_values(name, values, wells, inactive) for name in {*SHOWN, picked}}
    return picked, {"pick": p_values[picked], **{name: p_values[name] for name in SHOWN}}


def one_run(seed: int, *, effect: str, is_null: bool) -> tuple[str, dict[str, list[float]]]:
    """Return what the audit picked for both encoders, and null p-values of every profile as a run calls it."""
    screen = simulated(effect, seed=seed, is_confounded=False, is_null=is_null)
    unknown = pl.lit(None, dtype=pl.Float64)
    wells = screen.wells.drop("row", "column").with_columns(concentration_micromolar=unknown, dose_step=unknown)
    inactive = screen.truth.filter(~pl.col("is_active"))["perturbation"]
    embeddings = {"even": screen.profiles[:, ::2], "odd": screen.profiles[:, 1::2]}
    picked, p_values = "", {}
    for correct in ("auto", "whiten"):
        made = build_profiles(wells, embeddings, config=ProfileConfig(correct=correct))
        for name, profiles in made.blocks.items():
            called = call_activity(profiles, wells, profile_name=name, q_max=0.05, seed=seed)
            null = called.filter(pl.col("perturbation").is_in(inactive.to_list()))
            p_values[f"{correct}, {name}"] = null["p_value"].to_list()
        if correct == "auto":
            picked = " and ".join(_pick(made.notes, name) for name in embeddings)
    return picked, p_values


def _pick(notes: tuple[str, ...], encoder: str) -> str:
    """Return what the notes of a run say was picked for an encoder."""
    said = [note for note in notes if note.startswith((f"{encoder}: batches", "batches"))]
    return next((name for name in WITHOUT_LABELS for note in said if f"corrected by {name}:" in note), "none")


def main() -> None:
    """Test the inactive compounds and print the shares of small p-values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screens", type=int, default=20)
    parser.add_argument("--first", type=int, default=2000)
    parser.add_argument("--effect", default="medium")
    parser.add_argument("--prepare", choices=["sphered", "run"], default="sphered")
    options = parser.parse_args()
    one = one_run if options.prepare == "run" else one_screen
    started = perf_counter()
    for is_null in (True, False):
        shares, picks = defaultdict(list), defaultdict(int)
        for seed in range(options.first, options.first + options.screens // 2):
            picked, p_values = one(seed, effect=options.effect, is_null=is_null)
            picks[picked] += 1
            for name, found in p_values.items():
                shares[name].append(np.mean(np.array(found) <= SMALL))
        what = "no compound is active" if is_null else "30 of 100 compounds are active"
        told = ", ".join(f"{name} {n}" for name, n in sorted(picks.items()))
        sys.stdout.write(f"{what}: picked {told}\n")
        for name, found in shares.items():
            error = np.std(found, ddof=1) / np.sqrt(len(found))
            sys.stdout.write(f"  {name}: P(p <= {SMALL}) = {np.mean(found):.4f} (SE over screens {error:.4f})\n")
    sys.stdout.write(f"{perf_counter() - started:.0f} s\n")


if __name__ == "__main__":
    main()
