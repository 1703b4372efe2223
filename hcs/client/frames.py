"""Records as a table."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    import polars as pl

BETWEEN = " | "
"""Between several words of one field."""


def frame_of(records: Iterable[BaseModel], record_type: type[BaseModel]) -> pl.DataFrame:
    """Return one row a record, in their order; the columns and their types are those of the record's plain fields.

    Several words of one field are joined by ` | `, since a file of comma-separated values holds no lists.
    """
    import polars as pl  # noqa: PLC0415 - who asks for records alone does not wait for it

    columns = {str: pl.String, bool: pl.Boolean, int: pl.Int64, float: pl.Float64, tuple: pl.String}
    schema = {name: columns[plain_type(field.annotation)] for name, field in record_type.model_fields.items()}
    rows = [{name: _cell(value) for name, value in record.model_dump().items()} for record in records]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _cell(value: Any) -> Any:
    return BETWEEN.join(value) if isinstance(value, tuple) else value


def plain_type(annotation: Any) -> type:
    """Return the one type that a field holds where it is not null, such as str for `Literal["a", "b"] | None`."""
    if get_origin(annotation) in {Union, types.UnionType}:
        (annotation,) = (item for item in get_args(annotation) if item is not type(None))
    if get_origin(annotation) is Literal:
        (annotation,) = {type(value) for value in get_args(annotation)}
    if get_origin(annotation) is tuple:
        return tuple
    return annotation  # type: ignore[no-any-return]
