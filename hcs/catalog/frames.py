"""Tables in and out: polars frames are checked, and rows become typed frames in an order of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import dataframely as dy
import polars as pl
import polars.selectors as cs
from dataframely.exc import SchemaError, ValidationError
from sqlalchemy import ColumnElement, Connection, Select, false

from hcs.catalog.names import is_text
from hcs.errors import CatalogError


def canonical_json(value: object) -> str:
    """Return the one spelling of a JSON value: keys sorted, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of_json(value: object) -> str:
    """Return the SHA-256 of a JSON value's one spelling."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def checked(frame: pl.DataFrame, contract: type[dy.Schema], *, what: str) -> pl.DataFrame:
    """Return the contract's columns of a table, in its order and dtypes. Zero has no sign, since SQLite keeps none.

    Raises:
        CatalogError: If the table breaks the contract; it is a mistake of the caller, and nothing is written.
    """
    problem = f"{what} must satisfy the contract {contract.__name__}, but they do not, and nothing was written"
    if missing := [name for name in contract.columns() if name not in frame.columns]:
        raise CatalogError(f"{problem}: without {', '.join(missing)}.")
    try:
        valid = contract.validate(frame, cast=True)
    except (ValidationError, SchemaError) as error:
        raise CatalogError(f"{problem}: {' '.join(str(error).split())}.") from error
    return valid.with_columns(
        pl.when(column == 0).then(pl.lit(0.0, dtype=column.dtype)).otherwise(column).alias(column.name)
        for column in valid.select(cs.float()).iter_columns()
    )


def select_frame(
    connection: Connection, query: Select[*tuple[Any, ...]], schema: Mapping[str, Any], *, by: Sequence[str]
) -> pl.DataFrame:
    """Return the answer to a query as a typed table, sorted here: databases order text in different ways.

    Args:
        connection: Where to ask.
        query: Its columns are those of `schema`, in its order.
        schema: Column -> polars dtype.
        by: The columns to sort by, nulls first.
    """
    return pl.DataFrame(_tuples(connection, query), schema=dict(schema), orient="row").sort(by, maintain_order=True)


def _tuples(connection: Connection, query: Select[*tuple[Any, ...]]) -> list[Any]:
    """Return the rows of an answer: as the driver gives them, where no value has to be made into something else."""
    result, dialect = connection.execute(query), connection.dialect
    if result.cursor is None or any(
        column.type.dialect_impl(dialect).result_processor(dialect, told[1])
        for column, told in zip(query.selected_columns, result.cursor.description, strict=True)
    ):
        return [tuple(row) for row in result]
    rows = result.cursor.fetchall()
    result.close()
    return list(rows)


def equals(column: Any, value: str) -> ColumnElement[bool]:
    """Return the condition that a column holds a text that somebody typed; nothing holds what cannot be stored."""
    return column == value if is_text(value) else false()


def schema_of(contract: type[dy.Schema]) -> dict[str, Any]:
    """Return column -> polars dtype of a contract."""
    return {name: column.dtype for name, column in contract.columns().items()}
