"""Inserts many rows at once: PostgreSQL takes them as one statement of arrays, SQLite one after another."""

from __future__ import annotations

from typing import Any

import polars as pl
from sqlalchemy import Connection, insert

ROWS_AT_ONCE = 20_000
"""Of one statement: what it holds is in memory here and on the server."""


def insert_frame(connection: Connection, model: type[Any], frame: pl.DataFrame, **constants: object) -> None:
    """Insert the rows of a table in its order, each with the same further columns.

    Args:
        connection: In a writing transaction.
        model: A class of `hcs.catalog.models`.
        frame: Its columns are called as those of the database.
        constants: Column -> value of every row.
    """
    if frame.is_empty():
        return
    if connection.dialect.name != "postgresql":
        connection.execute(insert(model), [{**constants, **row} for row in frame.to_dicts()])
        return
    statement = _statement_of_arrays(connection, model, frame.columns, list(constants))
    for piece in frame.iter_slices(ROWS_AT_ONCE):
        values = [*constants.values(), *(column.to_list() for column in piece.iter_columns())]
        connection.exec_driver_sql(statement, tuple(values))


def _statement_of_arrays(connection: Connection, model: type[Any], columns: list[str], constants: list[str]) -> str:
    """Return an insertion whose parameters are the constants and one array a column.

    A statement a row costs the server more than the row does.
    """
    table, dialect = model.__table__, connection.dialect
    kinds = {name: table.c[name].type.compile(dialect=dialect) for name in (*constants, *columns)}
    quote = dialect.identifier_preparer.quote
    names = ", ".join(map(quote, (*constants, *columns)))
    same = [f"CAST(%s AS {kinds[name]})" for name in constants]
    arrays = ", ".join(f"CAST(%s AS {kinds[name]}[])" for name in columns)
    given = ", ".join([*same, "given.*"])
    return f"INSERT INTO {quote(table.name)} ({names}) SELECT {given} FROM unnest({arrays}) AS given"  # noqa: S608
