"""Calls every treatment: does it look different from the negative controls, and can this layout tell?"""

from __future__ import annotations

from collections.abc import Sequence

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.hits.count import count_ratios, explained_by_count
from hcs.hits.evidence import Evidence, gather_evidence
from hcs.hits.treatments import ScreenWells, screen_wells
from hcs.statistics.multiple_testing import family_q_values
from schemas.tables import TreatmentCalls

_OF_THE_FAMILY = ("profile", "q_value", "is_hit", "call", "explained_by_count")
"""Columns that are known only once all treatments have been looked at."""


def call_activity(
    profiles: NDArray[np.floating], wells: pl.DataFrame, *, profile_name: str, q_max: float, seed: int
) -> dy.DataFrame[TreatmentCalls]:
    """Return one call a treatment: a perturbation at one concentration or dose step.

    Replicates are compared with the negative controls of their own plate, all of them together; controls are never
    pooled over plates. `p_value` is that of the joint design permutation (`hcs.statistics.permutation`), for which each
    plate's pool is centred; `mean_average_precision` is the plain one. q-values are made within treatments and within
    positive controls, so that controls do not change what is called of compounds; of several doses, the perturbation
    is found first.

    A treatment is `active` if its q-value is at most `q_max`; else `underpowered` if even the smallest p-value of its
    layout, at that many doses, exceeds `q_max` over the number of callable perturbations, so that alone it could not
    have been called; else `inactive`. It is `not_callable`, with a reason, if fewer than two replicates lie on plates
    with a negative control.

    Args:
        profiles: (N, D), one row a well in the order of `wells`, normalized, finite. Treatment wells without an effect
            must be exchangeable with the controls of their plate: fits have seen both alike.
        wells: `plate, well, batch, perturbation, concentration_micromolar, dose_step, control_type, cell_count`; empty
            wells are left out. Where a transform was fitted on controls, `is_fitted` says on which: these are neither
            negatives nor part of the null, and are not counted.
        profile_name: Which profile this is, for the table.
        q_max: Largest false discovery rate of a hit.
        seed: Of the random draws. p-values depend on it, the layout and the profiles alone: not on names, on the order
            of rows, or on other treatments.

    Returns:
        Treatments, then positive controls, sorted by perturbation and dose. `n_replicates`, `n_plates` and `n_batches`
        count the replicates that were used; `reason` tells of others.

    Raises:
        InputRejectedError: If the two do not fit, a well comes twice or lacks its perturbation, or a profile is not
            finite.
    """
    called = evaluate(screen_wells(profiles, wells), q_max=q_max, seed=seed)
    return TreatmentCalls.validate(
        called.with_columns(profile=pl.lit(profile_name)).select(TreatmentCalls.column_names()), cast=True
    )


def evaluate(screen: ScreenWells, *, q_max: float, seed: int) -> pl.DataFrame:
    """Return the calls of a screen's treatments, as `call_activity` does, before it is known what the profile is."""
    ratios = count_ratios(screen.cell_counts, screen.plates, screen.is_negcon)
    evidence = gather_evidence(screen, seed=seed)
    called = with_calls(_evidence_table(evidence, ratios), q_max=q_max)
    verdicts = [
        explained_by_count(screen, ratios, item.replicates, seed=seed) if is_hit else None
        for item, is_hit in zip(evidence, called["is_hit"], strict=True)
    ]
    return called.with_columns(explained_by_count=pl.Series(verdicts, dtype=pl.String))


def _evidence_table(evidence: Sequence[Evidence], ratios: NDArray[np.float64]) -> pl.DataFrame:
    rows = [
        {
            "perturbation": item.treatment.perturbation,
            "concentration_micromolar": item.treatment.concentration_micromolar,
            "dose_step": item.treatment.dose_step,
            "control_type": item.treatment.control_type,
            "n_replicates": len(item.replicates),
            "n_plates": item.n_plates,
            "n_batches": item.n_batches,
            "n_controls": item.n_controls,
            "mean_average_precision": item.mean_average_precision,
            "p_value": item.test.p_value if item.test else None,
            "smallest_possible_p": item.test.smallest_possible_p if item.test else None,
            "reason": item.reason,
            "effect": item.effect,
            "cell_count_ratio": _median_ratio(ratios[item.treatment.wells]),
        }
        for item in evidence
    ]
    schema = TreatmentCalls.create_empty().drop(_OF_THE_FAMILY).schema
    return pl.DataFrame(rows, schema=schema)


def _median_ratio(ratios: NDArray[np.float64]) -> float | None:
    counted = ratios[np.isfinite(ratios)]
    return float(np.median(counted)) if counted.size else None


def with_calls(rows: pl.DataFrame, *, q_max: float) -> pl.DataFrame:
    """Add `q_value`, `is_hit` and `call` to a table of p-values, control type by control type.

    The doses of a perturbation are a family: a perturbation is found first, then its doses (`family_q_values`).

    Args:
        rows: `perturbation, control_type, p_value, smallest_possible_p`, a row a treatment; null where not tested.
        q_max: Largest false discovery rate of a hit.
    """
    families = rows["perturbation"].rank("dense").cast(pl.Int64).to_numpy()
    p_values = rows["p_value"].fill_null(float("nan")).to_numpy()
    is_tested = ~np.isnan(p_values)
    q_values, n_families = np.full(rows.height, np.nan), np.zeros(rows.height)
    for control_type in rows["control_type"].unique(maintain_order=True):
        members = (rows["control_type"] == control_type).to_numpy()
        q_values[members] = family_q_values(p_values[members], families[members])
        n_families[members] = len(np.unique(families[members & is_tested]))
    n_doses = pl.col("p_value").count().over("control_type", "perturbation")
    smallest = 1 - (1 - pl.col("smallest_possible_p")) ** n_doses
    call = (
        pl.when(pl.col("p_value").is_null())
        .then(pl.lit("not_callable"))
        .when(pl.col("is_hit"))
        .then(pl.lit("active"))
        .when(smallest > q_max / pl.Series(n_families))
        .then(pl.lit("underpowered"))
        .otherwise(pl.lit("inactive"))
    )
    with_q = rows.with_columns(q_value=pl.Series(q_values).fill_nan(None))
    return with_q.with_columns(is_hit=(pl.col("q_value") <= q_max).fill_null(value=False)).with_columns(call=call)
