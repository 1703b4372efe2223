"""A table of profiles as a matrix of features beside a table of metadata, and back."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError

_INDEX = re.compile(r"__index_level_\d+__|Unnamed: 0")
"""Columns in which pandas keeps the numbers of rows: they measure nothing."""
METADATA_PREFIX = "Metadata_"
"""What names of metadata begin with, by the convention of CellProfiler and pycytominer."""


@dataclass(frozen=True)
class ProfileMatrix:
    """W profiles of D features."""

    metadata: pl.DataFrame
    """One row a profile."""
    values: NDArray[np.floating]
    """(W, D), contiguous; NaN where a value is missing."""
    features: tuple[str, ...]
    """(D,)."""

    def chosen(self, conditions: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
        """Return the rows that meet one of these conditions `(column, value)`, (W,); values are compared as text.

        Raises:
            UsageError: If there is no such column.
            InputRejectedError: If no row meets any.
        """
        chosen = np.zeros(self.metadata.height, dtype=np.bool_)
        for column, value in conditions:
            if column not in self.metadata.columns:
                raise UsageError(
                    f"rows with {column}={value} are asked for, but the table has no metadata column {column}; it has "
                    f"{', '.join(self.metadata.columns)}"
                )
            chosen |= (self.metadata[column].cast(pl.String) == value).fill_null(False).to_numpy()
        if not chosen.any():
            wanted = " or ".join(f"{column}={value}" for column, value in conditions)
            raise InputRejectedError(f"rows with {wanted} are expected, but none of {len(chosen)} is such a row")
        return chosen

    def rows(self, chosen: NDArray[np.bool_]) -> ProfileMatrix:
        """Return some of the profiles, (W,)."""
        if chosen.all():
            return self
        return ProfileMatrix(self.metadata.filter(chosen), self.values[chosen], self.features)

    def table(self) -> pl.DataFrame:
        """Return one table again: metadata first; what is missing is null."""
        columns = [pl.Series(name, self.values[:, place]).fill_nan(None) for place, name in enumerate(self.features)]
        return self.metadata.with_columns(columns)


def profile_matrix(
    table: pl.DataFrame, *, metadata: Collection[str] = (), features: str | None = None
) -> ProfileMatrix:
    """Return a table of profiles as a matrix and its metadata.

    Columns that begin with `Metadata_` or are named are metadata; all others are features, which must be numbers. The
    numbers of rows that pandas writes are neither.

    Args:
        table: One row a profile.
        metadata: Further columns that are metadata.
        features: A regular expression: features are the other columns in whose name it finds something, and what is
            neither is left out. Default all. It is Rust's kind, without look-around, whose time is linear.

    Returns:
        float32 where all features are, else float64.

    Raises:
        UsageError: If a named column is missing, or `features` finds nothing.
        InputRejectedError: If there is no row, no metadata or no feature, or one is not a number.
    """
    missing = sorted(set(metadata) - set(table.columns))
    if missing:
        raise UsageError(f"the table has no column {', '.join(missing)}; it has {', '.join(table.columns[:10])}, ...")
    about = [name for name in table.columns if name.startswith(METADATA_PREFIX) or name in metadata]
    others = [name for name in table.columns if name not in set(about) and not _INDEX.fullmatch(name)]
    names = others if features is None else matching_names(others, features)
    if features is not None and others and not names:
        raise UsageError(
            f"--features {features!r} finds nothing in the names of {len(others)} columns, such as {others[0]}"
        )
    if not about or not names or table.is_empty():
        raise InputRejectedError(
            f"profiles with metadata and features are expected, but the table has {table.height} rows, {len(about)} "
            f"columns of metadata and {len(names)} features; columns that do not begin with {METADATA_PREFIX} and are "
            "metadata must be named"
        )
    types = table.schema
    is_empty = {name for name in names if table[name].null_count() == table.height}  # what it would hold is not known
    words = [name for name in names if not (types[name].is_numeric() or name in is_empty)]
    if words:
        raise InputRejectedError(
            f"a column that is not metadata must hold numbers, but {words[0]} holds {types[words[0]]} ({len(words)} "
            f"columns like it); name it as metadata, or take it out"
        )
    dtype = pl.Float32 if all(types[name] == pl.Float32 for name in names) else pl.Float64
    nothing = pl.repeat(None, pl.len(), dtype=dtype)
    numbers = [nothing.alias(name) if name in is_empty else pl.col(name).cast(dtype) for name in names]
    values = table.select(numbers).fill_null(float("nan")).to_numpy(order="c")
    return ProfileMatrix(table.select(about), np.ascontiguousarray(values), tuple(names))


def matching_names(names: list[str], pattern: str) -> list[str]:
    """Return the names in which a regular expression finds something; an empty one finds something in all.

    Raises:
        UsageError: If it is not one.
    """
    try:
        is_found = pl.Series(names, dtype=pl.String).str.contains(pattern)
    except pl.exceptions.ComputeError as error:
        lines = str(error).splitlines()
        said = next((line for line in lines if line.startswith("error: ")), lines[0]).removeprefix("error: ")
        raise UsageError(
            f"a regular expression that names features is expected, but {pattern!r} came: {said}"
        ) from error
    return [name for name, found in zip(names, is_found, strict=True) if found]
