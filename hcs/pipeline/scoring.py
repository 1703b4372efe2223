"""How well a run reads a simulated screen: its calls and its profiles, held against what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.catalog import Catalog, HitLimits, RunRecord, find_hits
from hcs.pipeline.stored import read_profile
from hcs.profiling.profiles import COMBINED
from hcs.simulation.truth import DemoScore, score_calls
from hcs.statistics.consensus import consensus
from hcs.statistics.intervals import MeanInterval, mean_interval
from hcs.statistics.not_same import Retrieval, not_same_compound, not_same_compound_or_batch
from schemas.treatments import with_treatment_keys

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class ProfileScore(DemoScore):
    """How one profile compares with the truth: its calls, and which mechanisms lie beside one another in it.

    `nsc` is the share of truly active treatments whose nearest one of another compound has the same true mechanism,
    `nscb` the same over treatments in single batches, nearest of another compound in another batch. Hits do not enter
    either. None where there is nothing to compare.
    """

    nsc: float | None
    nscb: float | None


def score_run(catalog: Catalog, run: RunRecord, truth: pl.DataFrame) -> dict[str, ProfileScore]:
    """Return the score of `combined` first, then of each encoder of a finished run by itself.

    Args:
        catalog: Where the run is.
        run: Of a simulated screen.
        truth: `hcs.simulation.truth.treatment_truth` of the screen.

    Raises:
        NotFoundError: If the run has no calls on a profile.
        StorageError: If a profile is not the file that was registered.
    """
    names = [COMBINED, *(info.name for info in run.encoders)]
    scores = {}
    for name in names:
        calls = find_hits(catalog, HitLimits(q_max=1.0, control_types=("treatment",)), run=run.id, profile=name)
        wells, profiles = read_profile(catalog, run, name)
        scores[name] = score_profile(calls, wells, profiles, truth)
    return scores


def score_profile(calls: pl.DataFrame, wells: pl.DataFrame, profiles: Matrix, truth: pl.DataFrame) -> ProfileScore:
    """Return how one profile and the calls on it compare with the truth.

    Args:
        calls: As `score_calls` takes them.
        wells: `perturbation, concentration_micromolar, control_type, batch`, one row a well.
        profiles: (W, K), rows in the order of `wells`.
        truth: `treatment_truth` of the screen.
    """
    by_compound, by_batch = retrieve_mechanisms(wells, profiles, truth)
    figures = asdict(score_calls(calls, truth))
    return ProfileScore(**figures, nsc=by_compound.accuracy, nscb=by_batch.accuracy)


def retrieve_mechanisms(wells: pl.DataFrame, profiles: Matrix, truth: pl.DataFrame) -> tuple[Retrieval, Retrieval]:
    """Return how often the nearest truly active treatment has the same true mechanism: NSC, then NSCB.

    A treatment's profile is the median over its wells: over those of all batches for NSC, batch by batch for NSCB.
    Controls and treatments that do nothing are left out.

    Args:
        wells: `perturbation, concentration_micromolar, control_type, batch`, one row a well.
        profiles: (W, K), rows in the order of `wells`.
        truth: `treatment_truth` of the screen.
    """
    active = _keyed(truth.filter((pl.col("control_type") == "treatment") & pl.col("is_active")))
    known = active.select("treatment", compound="perturbation", label="mechanism")
    treated = wells.with_row_index("row").filter(pl.col("control_type").cast(pl.String) == "treatment")
    used = _keyed(treated).join(known, on="treatment", how="inner", maintain_order="left")
    whole, medians = _medians(used, profiles, by=["treatment", "compound", "label"])
    parts, medians_in_batches = _medians(used, profiles, by=["treatment", "compound", "label", "batch"])
    return (
        not_same_compound(medians, compounds=whole["compound"].to_list(), labels=whole["label"].to_list()),
        not_same_compound_or_batch(
            medians_in_batches,
            compounds=parts["compound"].to_list(),
            labels=parts["label"].to_list(),
            batches=parts["batch"].to_list(),
        ),
    )


def _keyed(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `treatment`; a simulated treatment is a concentration, and what a platemap says beside it is left out."""
    return with_treatment_keys(frame.with_columns(dose_step=pl.lit(None, dtype=pl.Float64)))


def _medians(wells: pl.DataFrame, profiles: Matrix, *, by: list[str]) -> tuple[pl.DataFrame, Matrix]:
    """Return the groups that wells form, sorted, and the median profile of each."""
    groups = wells.select(by).unique().sort(by).with_row_index("group")
    numbers = wells.join(groups, on=by, how="left", maintain_order="left", nulls_equal=True)["group"]
    names = [f"{number:09d}" for number in numbers]
    return groups, consensus(profiles[wells["row"].to_numpy()], names, operation="median")[1]


def mean_scores(scores: Sequence[Mapping[str, ProfileScore]]) -> dict[str, dict[str, MeanInterval | None]]:
    """Return the mean of every figure of every profile over screens, with its 95 % interval.

    Screens in which a figure is None are left out of its mean; None if it is None in all of them.

    Args:
        scores: `score_run` of each screen, all of the same profiles.
    """
    return {
        profile: {
            figure.name: _mean([getattr(score[profile], figure.name) for score in scores])
            for figure in fields(ProfileScore)
        }
        for profile in scores[0]
    }


def _mean(values: Sequence[float | None]) -> MeanInterval | None:
    known = [float(value) for value in values if value is not None]
    return mean_interval(known) if known else None
