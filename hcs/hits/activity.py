"""Calls every treatment: does it look different from the negative controls, and can this layout tell?"""

from __future__ import annotations

from collections.abc import Sequence

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.hits.count import count_ratios, explained_by_count
from hcs.hits.evidence import Evidence, gather_evidence
from hcs.hits.treatments import screen_wells
from hcs.statistics.multiple_testing import benjamini_hochberg
from schemas.tables import TreatmentCalls

_OF_THE_FAMILY = ("profile", "q_value", "is_hit", "call", "explained_by_count")
"""Columns that are known only once all treatments have been looked at."""


def call_activity(
    profiles: NDArray[np.float64], wells: pl.DataFrame, *, profile_name: str, q_max: float, seed: int
) -> dy.DataFrame[TreatmentCalls]:
    """Return one call a treatment: a perturbation at one concentration or dose step.

    Replicates are compared with the negative controls of their own plate, all of them together; controls are never
    pooled over plates. `p_value` is that of the joint design permutation (`hcs.statistics.permutation`), for which each
    plate's pool is centred; `mean_average_precision` is the plain one. q-values are made within treatments and within
    positive controls, so that controls do not change what is called of compounds.

    A treatment is `active` if its q-value is at most `q_max`; else `underpowered` if even the smallest p-value of its
    layout exceeds `q_max` over the number of callable treatments, so that alone it could not have been called; else
    `inactive`. It is `not_callable`, with a reason, if fewer than two replicates lie on plates with a negative control.

    Args:
        profiles: (N, D), one row a well in the order of `wells`, normalized, finite. Treatment wells without an effect
            must be exchangeable with the controls of their plate: fits have seen both alike.
        wells: `plate, well, batch, perturbation, concentration_micromolar, dose_step, control_type, cell_count`; empty
            wells are left out.
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
    screen = screen_wells(profiles, wells)
    ratios = count_ratios(screen.cell_counts, screen.plates, screen.is_negcon)
    evidence = gather_evidence(screen, seed=seed)
    called = _with_calls(_evidence_table(evidence, ratios), q_max=q_max)
    verdicts = [
        explained_by_count(screen, ratios, item.replicates, seed=seed) if is_hit else None
        for item, is_hit in zip(evidence, called["is_hit"], strict=True)
    ]
    return TreatmentCalls.validate(
        called.with_columns(
            profile=pl.lit(profile_name), explained_by_count=pl.Series(verdicts, dtype=pl.String)
        ).select(TreatmentCalls.column_names()),
        cast=True,
    )


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


def _with_calls(rows: pl.DataFrame, *, q_max: float) -> pl.DataFrame:
    """Add q-values, family by family, and what follows from them."""
    q_values = np.full(rows.height, np.nan)
    for family in ("treatment", "poscon"):
        members = (rows["control_type"] == family).to_numpy()
        q_values[members] = benjamini_hochberg(rows["p_value"].fill_null(float("nan")).to_numpy()[members])
    is_hit = (pl.col("q_value") <= q_max).fill_null(value=False)
    n_callable = pl.col("p_value").count().over("control_type")
    call = (
        pl.when(pl.col("p_value").is_null())
        .then(pl.lit("not_callable"))
        .when(is_hit)
        .then(pl.lit("active"))
        .when(pl.col("smallest_possible_p") > q_max / n_callable)
        .then(pl.lit("underpowered"))
        .otherwise(pl.lit("inactive"))
    )
    return rows.with_columns(q_value=pl.Series(q_values).fill_nan(None)).with_columns(is_hit=is_hit, call=call)
