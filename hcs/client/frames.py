"""Records as a table."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    import polars as pl


def frame_of(records: Iterable[BaseModel], record_type: type[BaseModel]) -> pl.DataFrame:
    """Return one row a record, in their order; the columns and their types are those of the record's plain fields."""
    import polars as pl  # noqa: PLC0415 - who asks for records alone does not wait for it

    columns = {str: pl.String, bool: pl.Boolean, int: pl.Int64, float: pl.Float64}
    schema = {name: columns[plain_type(field.annotation)] for name, field in record_type.model_fields.items()}
    return pl.DataFrame([record.model_dump() for record in records], schema=schema, orient="row")


def plain_type(annotation: Any) -> type:
    """Return the one type that a field holds where it is not null, such as str for `Literal["a", "b"] | None`."""
    if get_origin(annotation) in {Union, types.UnionType}:
        (annotation,) = (item for item in get_args(annotation) if item is not type(None))
    if get_origin(annotation) is Literal:
        (annotation,) = {type(value) for value in get_args(annotation)}
    return annotation  # type: ignore[no-any-return]
