"""From the p-values of all treatments to calls."""

from __future__ import annotations

import numpy as np
import polars as pl

from hcs.statistics.multiple_testing import family_q_values

_PLAIN = ("p_value", "smallest_possible_p")
_IS_SINGLE = pl.col("n_replicates") == 1
_OF_POSITIONS = ("p_position", "smallest_possible_p_position")


def with_calls(rows: pl.DataFrame, *, q_max: float, one_well_apart: bool = True) -> pl.DataFrame:
    """Add `q_value`, `is_hit` and `call` to a table of p-values, control type by control type.

    The doses of a perturbation are a family: a perturbation is found first, then its doses (`family_q_values`).

    Args:
        rows: `perturbation, control_type, n_replicates, p_value, smallest_possible_p`, a row a treatment; null where
            not tested. Where there are `p_position` and `smallest_possible_p_position`, these are used instead.
        q_max: Largest false discovery rate of a hit.
        one_well_apart: Whether treatments of one well, which are tested otherwise, are corrected apart from those with
            replicates, so that they change no call of these.
    """
    is_single = (_IS_SINGLE & one_well_apart).alias("is_single")
    has_positions = "p_position" in rows.columns
    p, smallest_p = _OF_POSITIONS if has_positions else _PLAIN
    families = rows["perturbation"].rank("dense").cast(pl.Int64).to_numpy()
    p_values = rows[p].fill_null(float("nan")).to_numpy()
    is_tested = ~np.isnan(p_values)
    q_values, n_families = np.full(rows.height, np.nan), np.zeros(rows.height)
    kinds = rows.select(pl.struct("control_type", is_single).rank("dense")).to_series().to_numpy()
    for kind in np.unique(kinds):
        members = kinds == kind
        q_values[members] = family_q_values(p_values[members], families[members])
        n_families[members] = len(np.unique(families[members & is_tested]))
    n_doses = pl.col("p_value").count().over("control_type", "perturbation", is_single)
    smallest = 1 - (1 - pl.col(smallest_p)) ** n_doses
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
