"""Tables on stdout as people and machines want them."""

from __future__ import annotations

import json
import math
import sys
from datetime import datetime
from enum import StrEnum
from typing import Any

import polars as pl

WIDTH_OF_A_FILE = 500
"""Columns of a table that no terminal shows: nothing is folded there."""


class Format(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def print_table(frame: pl.DataFrame, *, form: Format, output: str | None = None, title: str | None = None) -> None:
    """Print a table on stdout, or write it to a file whose ending decides: csv, csv.gz, parquet or json."""
    if output is not None:
        from hcs.io.tables import write_table

        write_table(frame, output)
        say(f"{counted(frame.height, 'row')} written to {output}")
        return
    if form is Format.JSON:
        print_object(frame.to_dicts())
    elif form is Format.CSV:
        from hcs.io.tables import table_bytes

        sys.stdout.write(table_bytes(frame, ending="csv").decode())
    else:
        _print_rich(frame, title)


def print_object(value: Any) -> None:
    """Print one JSON value on stdout; a number that JSON does not know becomes null."""
    sys.stdout.write(json.dumps(_jsonable(value), indent=2, ensure_ascii=False, default=str) + "\n")


def counted(number: int, noun: str) -> str:
    """Return `1 plate` or `2 plates`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def put(text: str) -> None:
    """Print a line of a result on stdout."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """Print a line of progress or advice on stderr, so that stdout holds results alone."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _jsonable(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value


def _print_rich(frame: pl.DataFrame, title: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    table = Table(title=title, title_justify="left", show_lines=False)
    for name, dtype in frame.schema.items():
        header = name.replace("_", " ")  # so that a narrow column wraps at words
        table.add_column(header, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    console.print(table, markup=False, highlight=False)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)
