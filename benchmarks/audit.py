"""The audit's pick on simulated screens whose batch effect is known, beside always picking one method.

    python benchmarks/audit.py [--seeds 50] [--first 1000] [--prepare sphered] [--json FILE]
    python benchmarks/audit.py --told FILE...

Screens of four batches of two plates, each with 100 compounds, 30 of them active, 24 negative and 4 positive control
wells, 120 features; with the strengths of `hcs simulate --level profiles`: no batch effect, a weak, a medium and a
strong one, each with all compounds in every batch, and again with each compound in one batch alone (confounded). They
are normalized on all wells of a plate and sphered on all wells (`--prepare sphered`), or normalized on the controls and
whitened as a run does (`--prepare run`).

Judged is what is true: same-compound retrieval (mean average precision among all other wells, positives in another
batch and position) of the active and inactive compounds that the rule did not look at; where compounds are in one batch
alone, positives are on its other plate. `close` counts screens in which the pick is within .05, or one standard error
of the paired difference over compounds, of the method that is best on these very compounds. Nothing fails where a
target is not met.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

from hcs.profiling.audit.audit import BY_SIMPLICITY, audit_profiles
from hcs.profiling.audit.rule import paired
from hcs.profiling.audit.wells import AuditColumns, AuditWells, audit_wells, perturbation_order
from hcs.profiling.corrections.correction import Corrected, Correction, Design
from hcs.profiling.corrections.registry import CORRECTIONS
from hcs.profiling.normalize import robust_z
from hcs.profiling.sphere import fit_sphering, sphere
from hcs.profiling.whiten import whiten
from hcs.simulation.deliver_profiles import BATCH_EFFECTS
from hcs.simulation.profiles import ProfileDesign, ProfileScreen, simulate_profiles
from hcs.statistics.replicability import means_by_label, replicability

CLOSE = 0.05
COLUMNS = AuditColumns(batch="batch", perturbation="perturbation", plate="plate", well="well")
METHODS = {name: CORRECTIONS[name] for name in BY_SIMPLICITY}


def simulated(effect: str, *, seed: int, is_confounded: bool, is_null: bool = False) -> ProfileScreen:
    """Return a screen with a batch effect."""
    design = ProfileDesign(
        n_batches=4,
        n_plates=2,
        n_features=120,
        n_compounds=400 if is_confounded else 100,
        n_mechanisms=10,
        n_negcon=24,
        n_poscon=4,
        active_share=0.0 if is_null else 0.3,
        is_confounded=is_confounded,
        nuisances=BATCH_EFFECTS[effect],
    )
    return simulate_profiles(design, seed=seed)


def prepared(
    effect: str, *, seed: int, is_confounded: bool, prepare: str, is_null: bool = False
) -> tuple[NDArray, AuditWells, dict[str, bool]]:
    """Return the profiles that are audited, what is known of their wells, and which perturbations are active."""
    screen = simulated(effect, seed=seed, is_confounded=is_confounded, is_null=is_null)
    is_negcon = (screen.wells["control_type"] == "negcon").to_numpy()
    every = np.ones(len(is_negcon), dtype=np.bool_)
    normalized = robust_z(
        screen.profiles,
        plates=screen.wells["plate"].to_numpy().astype(np.str_),
        is_negcon=is_negcon if prepare == "run" else every,
        is_fitted=every,
        encoder="simulated",
    ).values
    if prepare == "run":
        values, _ = whiten(normalized, is_fitted=every)
    else:
        values = sphere(normalized, fit_sphering(normalized))
    is_active = dict(screen.truth.select("perturbation", "is_active").iter_rows())
    return values, audit_wells(screen.wells, values, columns=COLUMNS, is_negcon=is_negcon), is_active


def retrieval_on_other_plates(values: NDArray, wells: AuditWells) -> NDArray:
    """Return how well each perturbation finds itself on another plate and in another position."""
    treated = wells.is_treated
    labels = wells.design.perturbations[treated]
    found = replicability(
        values[treated], labels=labels, batches=wells.design.plates[treated], positions=wells.positions[treated]
    )
    return means_by_label(found.precision, labels, n_labels=len(wells.perturbations))


def one_screen(effect: str, *, seed: int, is_confounded: bool, prepare: str) -> dict:
    """Return what the rule picked in one screen, and what every method is worth there."""
    values, wells, _ = prepared(effect, seed=seed, is_confounded=is_confounded, prepare=prepare)
    corrected = {}

    def remembered(name: str, correct: Correction) -> Correction:
        def kept(given: NDArray, design: Design) -> Corrected:
            made = correct(given, design)
            corrected[name] = made.values
            return made

        return kept

    remembering = {name: remembered(name, correct) for name, correct in METHODS.items()}
    audit = audit_profiles(values, wells, corrections=remembering, with_figures=False)
    numbers = wells.design.perturbations[wells.is_treated]
    order = perturbation_order(wells.perturbations, seed=0)
    order = order[np.isin(order, numbers)]
    held_out = order[len(order) // 2 :]
    worth = {}
    for one in audit.methods:  # what the audit measured is what is true, where compounds are in several batches
        by_label = one.retrieval.by_label
        if is_confounded:
            by_label = retrieval_on_other_plates(corrected[one.method], wells)
        worth[one.method] = by_label[held_out][np.isfinite(by_label[held_out])]
    best = max(worth, key=lambda name: worth[name].mean())
    behind, error = paired(worth[best], worth[audit.choice.method])
    return {
        "effect": effect,
        "seed": seed,
        "is_confounded": is_confounded,
        "picked": audit.choice.method,
        "because": audit.choice.because,
        "is_told_confounded": audit.is_confounded,
        "best": best,
        "behind": behind,
        "is_close": behind <= max(CLOSE, error),
        "worth": {name: float(values.mean()) for name, values in worth.items()},
    }


def told(found: list[dict]) -> None:
    """Print the shares and means."""
    by_case = defaultdict(list)
    for one in found:
        by_case[one["effect"], one["is_confounded"]].append(one)
    head = ["effect", "confounded", "screens", "picked", "close", "pick", *METHODS]
    sys.stdout.write("| " + " | ".join(head) + " |\n|" + " --- |" * len(head) + "\n")
    for (effect, is_confounded), ones in by_case.items():
        picks = defaultdict(int)
        for one in ones:
            picks[one["picked"]] += 1
        cells = [effect, "yes" if is_confounded else "no", str(len(ones))]
        cells.append(", ".join(f"{name} {n}" for name, n in sorted(picks.items(), key=lambda item: -item[1])))
        cells.append(f"{np.mean([one['is_close'] for one in ones]):.0%}")
        cells.append(f"{np.mean([one['worth'][one['picked']] for one in ones]):.3f}")
        cells += [f"{np.mean([one['worth'][name] for one in ones]):.3f}" for name in METHODS]
        sys.stdout.write("| " + " | ".join(cells) + " |\n")
    free = [one for one in found if not one["is_confounded"]]
    none = [one for one in free if one["effect"] == "none"]
    tied = [one for one in found if one["is_confounded"]]
    sys.stdout.write(
        f"unconfounded, the pick is close to the best: {np.mean([one['is_close'] for one in free]):.1%}\n"
        f"no batch effect, none picked: {np.mean([one['picked'] == 'none' for one in none]):.1%}\n"
    )
    if tied:
        claimed = np.mean([one["picked"] == "none" and one["is_told_confounded"] for one in tied])
        sys.stdout.write(f"confounded, told so and none picked: {claimed:.1%}\n")
    for group, ones in (("all cases", found), ("unconfounded cases", free)):
        gains = {
            name: paired(
                np.array([one["worth"][one["picked"]] for one in ones]),
                np.array([one["worth"][name] for one in ones]),
            )
            for name in METHODS
        }
        shown = ", ".join(f"{name} {gain:+.4f} (SE {error:.4f})" for name, (gain, error) in gains.items())
        sys.stdout.write(f"{group}, the pick less always picking: {shown}\n")


def main() -> None:
    """Audit the screens and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--effects", nargs="+", choices=list(BATCH_EFFECTS), default=list(BATCH_EFFECTS))
    parser.add_argument("--prepare", choices=["sphered", "run"], default="sphered")
    parser.add_argument("--confounded", type=int, help="seeds of which screens are confounded too [all]")
    parser.add_argument("--json", type=Path, help="write what is known of each screen, after every seed")
    parser.add_argument(
        "--told", type=Path, nargs="+", help="print what was written to such files, and simulate nothing"
    )
    options = parser.parse_args()
    if options.told:
        told([one for path in options.told for one in json.loads(path.read_text())])
        return
    started, cpu, found = perf_counter(), process_time(), []
    for seed in range(options.first, options.first + options.seeds):
        is_short = options.confounded is not None and seed >= options.first + options.confounded
        for is_confounded in (False,) if is_short else (False, True):
            for effect in options.effects:
                found.append(one_screen(effect, seed=seed, is_confounded=is_confounded, prepare=options.prepare))
        sys.stderr.write(f"seed {seed}: {perf_counter() - started:.0f} s\n")
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    told(found)
    spent = f"{perf_counter() - started:.0f} s ({process_time() - cpu:.0f} s of CPU)"
    sys.stdout.write(f"{len(found)} screens in {spent}\n")


if __name__ == "__main__":
    main()
