"""Which rows of a table of metadata a selection such as `Metadata_pert_type == 'negcon'` means.

The grammar stands in `hcs.profiling.selection_grammar`. A value in quotes is compared with a column as text, a number
with what the column's cells are as numbers (in text tables every `Metadata_*` column is text), and `true` and `false`
with cells of that word. A missing cell meets no comparison, `!=` and `not` neither: what is not known to be a control
is not one.
"""

from __future__ import annotations

from difflib import get_close_matches
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.selection_grammar import (
    Comparison,
    Condition,
    Junction,
    Membership,
    Negation,
    Value,
    complaint,
    parse_selection,
)

_OPERATORS: dict[str, Any] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def select_rows(metadata: pl.DataFrame, text: str) -> NDArray[np.bool_]:
    """Return which rows a selection means, (W,).

    Args:
        metadata: W rows.
        text: The selection.

    Raises:
        UsageError: If it is not a selection, names a column that is not there (the nearest are offered), or compares
            text with a number.
        InputRejectedError: If it means no row.
    """
    condition = parse_selection(text)
    _check_columns(condition, metadata, text)
    chosen = _rows_of(condition, metadata, text).fill_null(False).to_numpy()
    if not chosen.any():
        shown = _values_shown(condition, metadata, text)
        raise InputRejectedError(f"rows with {text} are expected, but none of {len(chosen)} is such a row; {shown}")
    return np.asarray(chosen, dtype=np.bool_)


def _rows_of(condition: Condition, metadata: pl.DataFrame, text: str) -> pl.Series:
    """Return true, false or null, where it is not known, for every row."""
    if isinstance(condition, Negation):
        return ~_rows_of(condition.condition, metadata, text)
    if isinstance(condition, Comparison):
        return _compared(metadata[condition.column], condition, condition.value, text)
    if isinstance(condition, Membership):
        column = metadata[condition.column]
        equal = [_compared(column, condition, value, text) for value in condition.values]
        return _joined(equal, "or")
    return _joined([_rows_of(one, metadata, text) for one in condition.conditions], condition.word)


def _joined(parts: list[pl.Series], word: str) -> pl.Series:
    """Return all of the parts, or any, by the rules of what is not known: false and unknown is false."""
    joined = parts[0]
    for part in parts[1:]:
        joined = joined & part if word == "and" else joined | part
    return joined


def _compared(column: pl.Series, condition: Comparison | Membership, value: Value, text: str) -> pl.Series:
    operator = condition.operator if isinstance(condition, Comparison) else "=="
    is_order = operator not in {"==", "!="}
    if isinstance(value, bool):
        if is_order:
            raise complaint(text, condition.place, "== or != with true and false", operator)
        return _as_series(_OPERATORS[operator](_as_text(column).str.to_lowercase(), str(value).lower()))
    if isinstance(value, str):
        if is_order and _is_number(value):
            advice = f"write {value} without quotes"
            raise complaint(text, condition.place, f"a number after {operator}", f"the text '{value}'", advice)
        return _as_series(_OPERATORS[operator](_as_text(column), value))
    text_or_number = column if column.dtype.is_numeric() else _as_text(column)
    numbers = text_or_number.cast(pl.Float64, strict=False)
    if numbers.null_count() == len(numbers) and column.null_count() < len(column):
        shown = column.drop_nulls()[0]
        advice = "put the value between quotes"
        raise complaint(text, condition.place, f"numbers in {column.name}", f"text such as {shown!r}", advice)
    return _as_series(_OPERATORS[operator](numbers.fill_nan(None), value))


def _as_series(compared: Any) -> pl.Series:
    assert isinstance(compared, pl.Series)  # noqa: S101 - what comparing a series gives
    return compared


def _as_text(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise UsageError(
            f"a column of text, numbers or truths is expected in a selection, but {column.name} holds {column.dtype}"
        ) from error


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _check_columns(condition: Condition, metadata: pl.DataFrame, text: str) -> None:
    for part in _comparisons(condition):
        if part.column not in metadata.columns:
            near = get_close_matches(part.column[:200], metadata.columns, n=3, cutoff=0.5)
            offered = f"the nearest are {', '.join(near)}" if near else f"there are {_listed(metadata.columns)}"
            raise complaint(text, part.place, "a metadata column", part.column[:200], offered)


def _comparisons(condition: Condition) -> list[Comparison | Membership]:
    if isinstance(condition, Negation):
        return _comparisons(condition.condition)
    if isinstance(condition, Junction):
        return [part for one in condition.conditions for part in _comparisons(one)]
    return [condition]


def _values_shown(condition: Condition, metadata: pl.DataFrame, text: str) -> str:
    """Return what the first column holds whose comparison no row meets, so that a misspelled value is seen."""
    parts = _comparisons(condition)
    unmet = [part for part in parts if not _rows_of(part, metadata, text).fill_null(False).any()]
    if len(parts) > 1 and not unmet:
        return "each comparison is met by some row, but not as they are joined"
    column = (unmet or parts)[0].column
    values = [str(value) for value in metadata[column].unique(maintain_order=True)[:6].to_list()]
    return f"{column} holds {_listed(values)}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
