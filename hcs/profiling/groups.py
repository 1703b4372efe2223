"""Which rows of a table belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError


@dataclass(frozen=True)
class RowGroups:
    """G groups of the rows of a table; every row is in one of them."""

    keys: pl.DataFrame
    """One row a group, sorted, nulls last."""
    order: NDArray[np.intp]
    """(W,), the rows, one group after the other, in a group as they stand in the table."""
    starts: NDArray[np.intp]
    """(G + 1,), where in `order` each group begins, and the end."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def rows(self, group: int) -> NDArray[np.intp]:
        """Return the rows of one group."""
        return self.order[self.starts[group] : self.starts[group + 1]]

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Return how many rows each group has, (G,)."""
        return np.diff(self.starts)

    def name(self, group: int) -> str:
        """Return a group's key as messages show it."""
        if not self.keys.width:
            return "all rows"
        return ", ".join(f"{column} {value}" for column, value in self.keys.row(group, named=True).items())


def group_rows(metadata: pl.DataFrame, by: Sequence[str]) -> RowGroups:
    """Return the groups of rows that have the same values in these columns; null is a value, and NaN is null.

    Args:
        metadata: One row a profile.
        by: Columns; none makes one group of all rows.

    Raises:
        UsageError: If a column is missing.
        InputRejectedError: If there is no row.
    """
    missing = [column for column in by if column not in metadata.columns]
    if missing:
        raise UsageError(
            f"rows shall be grouped by {', '.join(by)}, but the table has no column {', '.join(missing)}; it has "
            f"{', '.join(metadata.columns)}"
        )
    if metadata.is_empty():
        raise InputRejectedError("profiles with at least one row are expected, but the table is empty")
    if not by:
        return RowGroups(pl.DataFrame(), np.arange(metadata.height), np.array([0, metadata.height]))
    keys = metadata.select(pl.col(by).fill_nan(None) if _has_floats(metadata, by) else pl.col(by))
    row, size = "__row__", "__size__"
    grouped = (
        keys.with_row_index(row)
        .group_by(by, maintain_order=True)
        .agg(pl.col(row), pl.len().alias(size))
        .sort(by, nulls_last=True)
    )
    starts = np.concatenate([[0], np.cumsum(grouped[size].to_numpy())]).astype(np.intp)
    return RowGroups(grouped.select(by), grouped[row].explode().to_numpy().astype(np.intp), starts)


def _has_floats(metadata: pl.DataFrame, by: Sequence[str]) -> bool:
    return any(metadata.schema[column].is_float() for column in by)
