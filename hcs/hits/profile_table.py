"""The wells of any table of profiles, as calls want them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError


@dataclass(frozen=True, kw_only=True)
class WellColumns:
    """Which columns of the metadata say what; a table need not have the ones with a default."""

    perturbation: str
    concentration: str | None = None
    cells: str | None = None
    plate: str = "Metadata_Plate"
    well: str = "Metadata_Well"
    batch: str = "Metadata_Batch"


def wells_of(
    metadata: pl.DataFrame,
    columns: WellColumns,
    *,
    is_negcon: NDArray[np.bool_],
    is_poscon: NDArray[np.bool_] | None = None,
    is_fitted: NDArray[np.bool_] | None = None,
) -> pl.DataFrame:
    """Return one row a profile: plate, well, batch, perturbation, dose, control type, cell count, and if fitted on.

    A row that is no control and names no perturbation is `empty`. Where no column of wells is named, and there is none
    of the usual name, every row is a well of its own, whose place is not known: null; without a column of batches all
    are of one.

    Args:
        metadata: (N rows).
        columns: Names of its columns.
        is_negcon: (N,), negative controls; whatever their perturbation is.
        is_poscon: (N,), positive controls [none].
        is_fitted: (N,), rows that a transform was fitted on [none].

    Raises:
        UsageError: If a column that is named is missing, or there is none of plates.
        InputRejectedError: If a plate is not named, or a well that others have names of; if a dose or count is not a
            number, or a row is a control of both kinds.
    """
    asked_for = [name for name in (columns.well, columns.batch) if name not in (WellColumns.well, WellColumns.batch)]
    needed = [columns.plate, columns.perturbation, columns.concentration, columns.cells, *asked_for]
    missing = [name for name in needed if name is not None and name not in metadata.columns]
    if missing:
        raise UsageError(
            f"a metadata column {missing[0]} is expected, but the table has {', '.join(metadata.columns)}; name the "
            "column that it has, as by --plate, or add it with --metadata if it does not begin with Metadata_"
        )
    if metadata[columns.plate].null_count():
        raise InputRejectedError(
            f"every row needs its plate, but {columns.plate} is empty in {metadata[columns.plate].null_count()} rows; "
            "a well is compared with the controls of its own plate"
        )
    n = metadata.height
    unknown = pl.Series([None] * n, dtype=pl.String)
    none = pl.Series([None] * n, dtype=pl.Float64)
    wells = pl.DataFrame(
        {
            "plate": metadata[columns.plate].cast(pl.String),
            "well": metadata[columns.well].cast(pl.String) if columns.well in metadata.columns else unknown,
            "batch": metadata[columns.batch].cast(pl.String)
            if columns.batch in metadata.columns
            else pl.Series([""] * n, dtype=pl.String),
            "perturbation": metadata[columns.perturbation].cast(pl.String),
            "concentration_micromolar": none
            if columns.concentration is None
            else _numbers(metadata, columns.concentration),
            "dose_step": none,
            "cell_count": none if columns.cells is None else _numbers(metadata, columns.cells),
            "is_negcon": is_negcon,
            "is_poscon": np.zeros(n, dtype=np.bool_) if is_poscon is None else is_poscon,
            "is_fitted": np.zeros(n, dtype=np.bool_) if is_fitted is None else is_fitted,
        }
    )
    kind = (
        pl.when("is_negcon")
        .then(pl.lit("negcon"))
        .when(pl.col("perturbation").is_null())
        .then(pl.lit("empty"))
        .when("is_poscon")
        .then(pl.lit("poscon"))
        .otherwise(pl.lit("treatment"))
    )
    named = pl.when("is_negcon").then(pl.col("perturbation").fill_null("negative control")).otherwise("perturbation")
    _check_kinds(wells, columns)
    return wells.with_columns(control_type=kind, perturbation=named).drop("is_negcon", "is_poscon")


def _check_kinds(wells: pl.DataFrame, columns: WellColumns) -> None:
    n_negative = wells["is_negcon"].sum()
    if n_negative and wells.filter("is_negcon")["is_fitted"].all():
        raise InputRejectedError(
            f"negative controls that nothing was fitted on are expected, but all {n_negative} of them are said to be "
            "fitted on; leave some of each plate to compare with"
        )
    is_control = pl.col("is_negcon") | pl.col("is_poscon")
    n_both = wells.filter(pl.col("is_negcon") & pl.col("is_poscon")).height
    if n_both:
        raise InputRejectedError(
            f"a control is expected to be negative or positive, but {n_both} rows are both; choose others by "
            "--controls or by --positives"
        )
    nameless = wells.filter(pl.col("well").is_null() & (is_control | pl.col("perturbation").is_not_null())).height
    if nameless and wells["well"].null_count() < wells.height:
        raise InputRejectedError(
            f"every row needs its well, but {columns.well} is empty in {nameless} of {wells.height} rows; fill it in, "
            "or leave the column out where no place is known"
        )


def _numbers(metadata: pl.DataFrame, column: str) -> pl.Series:
    numbers = metadata[column].cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & metadata[column].is_not_null()
    if wrong.any():
        example = metadata[column].filter(wrong)[0]
        raise InputRejectedError(
            f"{column} is expected to hold numbers, but {example!r} is none ({int(wrong.sum())} rows like it)"
        )
    return numbers
