"""Tables on stdout as people and machines want them."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from datetime import datetime
from enum import StrEnum
from typing import Any

import polars as pl

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

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

        emit(table_bytes(frame, ending="csv").decode())
    else:
        _print_rich(frame, title)


def print_object(value: Any) -> None:
    """Print one JSON value on stdout; a number that JSON does not know becomes null."""
    emit(json.dumps(_jsonable(value), indent=2, ensure_ascii=False, default=str) + "\n")


def counted(number: int, noun: str) -> str:
    """Return `1 plate` or `2 plates`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """Return a text as a terminal may get it: what lies in files and names must not move its cursor or colour it."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def put(text: str) -> None:
    """Print a line of a result on stdout."""
    emit(printable(text) + "\n")


def emit(text: str) -> None:
    """Write a text on stdout as it is, if anyone reads it."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        hush_stdout()


def hush_stdout() -> None:
    """Give stdout a place to write to where its reader, as `head`, has gone: the work goes on to its own end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """Print a line of progress or advice on stderr, so that stdout holds results alone."""
    sys.stderr.write(printable(text) + "\n")
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
    return printable(str(value))


class SaidByTenths:
    """Says how many of many things are done, as in `rendered 96 of 960 sites`, at every tenth of them."""

    def __init__(self, verb: str, noun: str) -> None:
        """Start at nothing said."""
        self._verb, self._noun = verb, noun
        self._tenths = 0

    def __call__(self, done: int, total: int) -> None:
        """Say a line when another tenth is done."""
        tenths = 10 * done // max(total, 1)
        if tenths > self._tenths:
            self._tenths = tenths
            say(f"{self._verb} {done} of {counted(total, self._noun)}")
