"""What a correction must know of the wells, read from a table of metadata."""

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

    Args:
        metadata: One row a well.
        columns: Which columns say what. A perturbation or a count may be missing, a plate or batch not. Names of wells
            that are not like A01 give no position.
        is_negcon: (W,), negative controls.

    Raises:
        UsageError: If a column is missing.
        InputRejectedError: If a well says no plate or batch, or a count of cells is no number.
    """
    missing = [name for name in columns.named if name not in metadata.columns]
    if missing:
        raise UsageError(
            f"a correction needs the column {', '.join(missing)}, but the table has {', '.join(metadata.columns)}; "
            "name others with --plate, --batch, --perturbation, --well and --count"
        )
    plates = _numbered(metadata[columns.plate], is_needed=True)
    batches = np.zeros_like(plates) if columns.batch is None else _numbered(metadata[columns.batch], is_needed=True)
    nothing = np.full(len(plates), -1, dtype=np.intp)
    rows, places = (None, None) if columns.well is None else _positions(metadata[columns.well])
    return Design(
        plates=plates,
        batches=batches,
        perturbations=nothing if columns.perturbation is None else _numbered(metadata[columns.perturbation]),
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


def _numbered(column: pl.Series, *, is_needed: bool = False) -> NDArray[np.intp]:
    """Return 0, 1, ... in order of appearance for the values of a column, -1 for null."""
    values = column.cast(pl.String)
    if is_needed and values.null_count():
        raise InputRejectedError(
            f"every well must say in {column.name} where it is from, but {values.null_count()} of {len(values)} do not"
        )
    names = values.drop_nulls().unique(maintain_order=True)
    numbers = values.replace_strict(
        names, pl.Series(range(len(names)), dtype=pl.Int64), default=-1, return_dtype=pl.Int64
    )
    return numbers.fill_null(-1).to_numpy().astype(np.intp)


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
