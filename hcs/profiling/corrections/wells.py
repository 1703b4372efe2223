"""What a correction or an audit must know of the wells, read from a table of metadata."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.halves import half_of_controls

_WELL = r"^\s*([A-Za-z]{1,2})[ _-]?0*([0-9]{1,2})\s*$"


@dataclass(frozen=True)
class WellColumns:
    """Which columns say what; None where no column does."""

    plate: str = "Metadata_Plate"
    batch: str | None = None
    """Without one, all wells are one batch."""
    perturbation: str | None = None
    well: str | None = None
    cell_count: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Return the columns that are asked for."""
        asked = (self.plate, self.batch, self.perturbation, self.well, self.cell_count)
        return tuple(name for name in asked if name is not None)


def design_of(metadata: pl.DataFrame, columns: WellColumns, *, is_negcon: NDArray[np.bool_]) -> Design:
    """Return the design of W wells; corrections may look at all of their negative controls.

    Names are numbered in the order in which they appear (`names_in`).

    Args:
        metadata: One row a well.
        columns: Which columns say what. A perturbation or a count may be missing, a plate or batch not. Names of wells
            that are not like A01 give no position.
        is_negcon: (W,), negative controls.

    Raises:
        UsageError: If a column is missing.
        InputRejectedError: If a well says no plate or batch, or a count of cells is no number.
    """
    require_columns(
        metadata, columns, asker="a correction", options="--plate, --batch, --perturbation, --well and --count"
    )
    plates = _all_numbered(metadata[columns.plate])
    batches = np.zeros_like(plates) if columns.batch is None else _all_numbered(metadata[columns.batch])
    nothing = np.full(len(plates), -1, dtype=np.intp)
    rows, places = (None, None) if columns.well is None else _positions(metadata[columns.well])
    return Design(
        plates=plates,
        batches=batches,
        perturbations=nothing if columns.perturbation is None else numbered(metadata[columns.perturbation]),
        is_negcon=is_negcon,
        is_fitted=is_negcon,
        rows=rows,
        columns=places,
        cell_counts=None if columns.cell_count is None else _counts(metadata[columns.cell_count]),
    )


def fitted_on_half(
    design: Design, values: NDArray[np.floating], metadata: pl.DataFrame, columns: WellColumns
) -> Design:
    """Return the design with one half of every plate's negative controls held out of fits."""
    names = [""] * metadata.height if columns.well is None else metadata[columns.well].cast(pl.String).fill_null("")
    half = half_of_controls(values, wells=list(names), plates=design.plates, is_negcon=design.is_negcon)
    return replace(design, is_fitted=half)


def require_columns(metadata: pl.DataFrame, columns: WellColumns, *, asker: str, options: str) -> None:
    """Raise if a column that is asked for is missing.

    Args:
        metadata: The table.
        columns: What is asked for.
        asker: Of the sentence: `a correction`.
        options: Of the command line, that name other columns.

    Raises:
        UsageError: With the columns that are missing and those that there are.
    """
    missing = [name for name in columns.named if name not in metadata.columns]
    if missing:
        raise UsageError(
            f"{asker} needs the column {', '.join(missing)}, but the table has {', '.join(metadata.columns)}; name "
            f"others with {options}"
        )


def names_in(column: pl.Series) -> pl.Series:
    """Return the values of a column as text, each once, in order of appearance and without null."""
    return column.cast(pl.String).drop_nulls().unique(maintain_order=True)


def numbered(column: pl.Series) -> NDArray[np.intp]:
    """Return the place of each value in `names_in`, -1 for null, (W,)."""
    names = names_in(column)
    places = pl.Series(range(len(names)), dtype=pl.Int64)
    numbers = column.cast(pl.String).replace_strict(names, places, default=-1, return_dtype=pl.Int64)
    return numbers.fill_null(-1).to_numpy().astype(np.intp)


def _all_numbered(column: pl.Series) -> NDArray[np.intp]:
    if column.null_count():
        raise InputRejectedError(
            f"every well must say in {column.name} where it is from, but {column.null_count()} of {len(column)} do not"
        )
    return numbered(column)


def _positions(column: pl.Series) -> tuple[NDArray[np.intp] | None, NDArray[np.intp] | None]:
    """Return every well's row and column, from 0; None where a name is not one of a well."""
    parts = column.cast(pl.String).str.to_uppercase().str.extract_groups(_WELL).struct.unnest()
    letters, digits = parts.to_series(0), parts.to_series(1).cast(pl.Int64)
    if letters.null_count() or digits.null_count() or (digits < 1).any():
        return None, None
    known = letters.unique()
    number = {text: _row_number(text) for text in known}
    rows = np.array([number[text] for text in letters], dtype=np.intp)
    return rows, digits.to_numpy().astype(np.intp) - 1


def _row_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _counts(column: pl.Series) -> NDArray[np.float64]:
    counts = column.cast(pl.Float64, strict=False)
    if counts.null_count() > column.null_count():
        raise InputRejectedError(f"counts of cells are expected in {column.name}, but it holds what is no number")
    return counts.fill_null(float("nan")).to_numpy()
