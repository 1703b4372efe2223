"""What each correction does to simulated screens: retrieval of a compound in another batch, and how batches mix.

    python benchmarks/batch_corrections.py --seeds 8

Screens of `hcs.simulation.profiles` with two plates in each of four batches, every plate normalized by robust z on one
half of its negative controls; corrections that fit on controls see the same half. For every active compound in every
batch, wells of other batches are ranked by cosine similarity, and the precision of the compound's own among them is
averaged. `batch` is the share of the 20 nearest wells, among inactive ones and controls, that are of a well's own
batch, over what chance lets expect: 1 where batches are mixed. `leak` is by how much held-out controls lie farther out
than fitted ones, in units of what they did before the correction.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.profiling.corrections.correction import Corrected, Correction, Design
from hcs.profiling.corrections.halves import half_of_controls
from hcs.profiling.corrections.leak import held_out_ratio
from hcs.profiling.corrections.registry import CORRECTIONS
from hcs.profiling.normalize import robust_z
from hcs.simulation.profiles import Nuisances, ProfileDesign, ProfileScreen, simulate_profiles

FIRST_SEED = 900
N_NEAREST = 20

SCREENS: dict[str, Nuisances] = {
    "no batch effect": Nuisances(plate_shift=0.5, tails=5.0),
    "mixing 3": Nuisances(plate_shift=0.5, batch_shift=1.0, batch_mixing=3.0, tails=5.0),
    "variation 1": Nuisances(plate_shift=0.5, batch_shift=1.0, batch_variation=1.0, tails=5.0),
    "mixing 3, variation 1": Nuisances(
        plate_shift=0.5, batch_shift=1.0, batch_log_scale=0.2, batch_mixing=3.0, batch_variation=1.0, tails=5.0
    ),
}


def screen(nuisances: Nuisances, *, seed: int, n_negcon: int, n_features: int) -> tuple[ProfileScreen, NDArray, Design]:
    """Return a screen, its profiles after robust z, and its design."""
    shape = ProfileDesign(
        n_batches=4, n_plates=2, n_compounds=288, n_negcon=n_negcon, n_features=n_features, nuisances=nuisances
    )
    made = simulate_profiles(shape, seed=seed)
    wells = made.wells
    numbers = {
        name: wells[name].rank("dense").to_numpy().astype(np.intp) - 1 for name in ("plate", "batch", "perturbation")
    }
    is_negcon = (wells["control_type"] == "negcon").to_numpy()
    is_fitted = half_of_controls(
        made.profiles, wells=wells["well"].to_list(), plates=numbers["plate"], is_negcon=is_negcon
    )
    normalized = robust_z(made.profiles, plates=wells["plate"].to_numpy().astype(str), is_negcon=is_fitted)
    design = Design(numbers["plate"], numbers["batch"], numbers["perturbation"], is_negcon, is_fitted)
    return made, normalized.values.astype(np.float32), design


def retrieval(values: NDArray, made: ProfileScreen, design: Design) -> float:
    """Return the mean average precision of an active compound's wells in other batches among all wells there."""
    active = made.truth.filter(pl.col("is_active") & (pl.col("control_type") == "treatment"))["perturbation"]
    treated = np.flatnonzero((made.wells["control_type"] == "treatment").to_numpy())
    units = values[treated] / np.linalg.norm(values[treated], axis=1, keepdims=True)
    names, batches = design.perturbations[treated], design.batches[treated]
    queries = np.flatnonzero(made.wells["perturbation"].is_in(active.implode()).to_numpy()[treated])
    found = []
    for query in queries:
        other = batches != batches[query]
        ranked = np.argsort(-(units[other] @ units[query]), kind="stable")
        ranks = np.flatnonzero((names[other] == names[query])[ranked]) + 1
        found.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    return float(np.mean(found))


def own_batch(values: NDArray, made: ProfileScreen, design: Design) -> float:
    """Return how many of the nearest wells are of a well's own batch, over what is expected; compounds aside."""
    inactive = made.truth.filter(~pl.col("is_active"))["perturbation"]
    rows = np.flatnonzero(made.wells["perturbation"].is_in(inactive.implode()).to_numpy())
    units = values[rows] / np.linalg.norm(values[rows], axis=1, keepdims=True)
    similarity = units @ units.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argpartition(-similarity, N_NEAREST, axis=1)[:, :N_NEAREST]
    same = design.batches[rows][nearest] == design.batches[rows][:, None]
    expected = np.mean([(design.batches[rows] == batch).mean() for batch in np.unique(design.batches)])
    return float(same.mean() / expected)


def sphered_then_harmonized(values: NDArray, design: Design) -> Corrected:
    """Return what two steps after one another give, as the public JUMP recipes have them."""
    return CORRECTIONS["harmony"](CORRECTIONS["sphering"](values, design).values, design)


BATCH_METHODS: dict[str, Correction] = {
    **{name: CORRECTIONS[name] for name in ("none", "sphering", "tvn", "coral", "combat", "harmony")},
    "sphering, then harmony": sphered_then_harmonized,
}


def judge(correct: Correction, values: NDArray, made: ProfileScreen, design: Design) -> dict[str, float]:
    """Return the figures of one correction of one screen."""
    corrected = correct(values, design).values
    return {
        "retrieval": retrieval(corrected, made, design),
        "batch": own_batch(corrected, made, design),
        "leak": held_out_ratio(corrected, design) / held_out_ratio(values, design),
    }


def main() -> None:
    """Print a table: mean over seeds, and the standard error of the retrieval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--controls", type=int, default=32, help="On a plate; half of them are fitted on.")
    parser.add_argument("--features", type=int, default=300)
    options = parser.parse_args()
    print("| screen | correction | retrieval | se | batch | leak |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    with threadpool_limits(limits=1):
        for kind, nuisances in SCREENS.items():
            screens = [
                screen(nuisances, seed=FIRST_SEED + number, n_negcon=options.controls, n_features=options.features)
                for number in range(options.seeds)
            ]
            for name, correct in BATCH_METHODS.items():
                judged = [judge(correct, values, made, design) for made, values, design in screens]
                means = {figure: float(np.mean([row[figure] for row in judged])) for figure in judged[0]}
                error = np.std([row["retrieval"] for row in judged], ddof=min(1, options.seeds - 1))
                print(
                    f"| {kind} | {name} | {means['retrieval']:.3f} | {error / np.sqrt(options.seeds):.3f} | "
                    f"{means['batch']:.2f} | {means['leak']:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
