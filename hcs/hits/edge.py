"""Treatments whose negative controls lie at the edge alone, where wells dry out and cool faster than those inside."""

from __future__ import annotations

import polars as pl

from hcs.hits.treatments import DOSES


def plates_with_controls_at_edge(wells: pl.DataFrame) -> tuple[str, ...]:
    """Return the plates, sorted, of treatments that are compared with wells of outermost rows and columns alone.

    What an edge does to a well is then taken for what a treatment does. A treatment counts if a well of it lies further
    inside: where all wells are at the edge, controls are as treatments are. It does not count if a plate of it has a
    negative control inside, so that layouts dealt anew on every plate are rarely told of.

    Where the format of a plate is not known, the first row and column are its edge all the same, and a well lies inside
    if it is in neither and others lie beyond it. Wells of which this says nothing are neither.

    Args:
        wells: `plate, row, column, n_rows, n_columns, perturbation, concentration_micromolar, dose_step, control_type`;
            places count from 1 and are null where not known (`hcs.io.well_places.with_places`). With `is_fitted`,
            controls that a transform was fitted on are no negatives.
    """
    kind = pl.col("control_type").cast(pl.String)
    fitted = pl.col("is_fitted").fill_null(value=False) if "is_fitted" in wells.columns else pl.lit(value=False)
    judged = wells.select(
        pl.col("plate").cast(pl.String),
        "perturbation",
        *DOSES,
        at_edge=_at_edge(),
        is_negative=(kind == "negcon") & ~fitted,
        is_treated=kind.is_in(["treatment", "poscon"]),
    )
    negatives = judged.filter("is_negative").group_by("plate")
    plates = negatives.agg(only_edge=pl.col("at_edge").fill_null(value=False).all())
    treated = judged.filter("is_treated").join(plates, on="plate")
    is_inside = ~pl.col("at_edge").fill_null(value=True)
    key = ["perturbation", *DOSES]
    found = treated.filter(is_inside.any().over(key) & pl.col("only_edge").all().over(key))
    return tuple(found["plate"].unique().sort())


def _at_edge() -> pl.Expr:
    """Return whether a well is in an outermost row or column; null where that cannot be known."""
    row, column, n_rows, n_columns = (pl.col(name) for name in ("row", "column", "n_rows", "n_columns"))
    is_first = (row == 1) | (column == 1)
    others_beyond = (row < row.max().over("plate")) & (column < column.max().over("plate"))
    is_last = (
        pl.when(n_rows.is_not_null())
        .then((row == n_rows) | (column == n_columns))
        .when(others_beyond)
        .then(pl.lit(value=False))
    )
    return is_first | is_last
