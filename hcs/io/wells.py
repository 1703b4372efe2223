"""Names of wells: `A01` to `P24` on 96 and 384 wells, to `AF48` on 1536."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hcs.errors import InputRejectedError

N_ROWS = 32
N_COLUMNS = 48
PLATE_FORMATS = {6: (2, 3), 12: (3, 4), 24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24), 1536: (32, 48)}
"""Wells -> (rows, columns) of the formats that are sold."""

_WELL = re.compile(r"([A-Za-z]{1,2})[ _-]?0*([0-9]{1,3})")
_QUOTES = "\"' "


def well_name(text: str) -> str:
    """Return the normal form of a well's name: `a1`, `A1`, `A01` and `A001` are all `A01`.

    Raises:
        InputRejectedError: If no plate format has such a well.
    """
    match = _WELL.fullmatch(text.strip(_QUOTES))
    if match is None:
        raise InputRejectedError(f"expected a well from A01 to AF48, got {text!r}")
    return well_at(match[1], match[2])


def well_at(row: str, column: str) -> str:
    """Return the name of the well in a row (`B` or `2`) and a column (`3`, `03`).

    Raises:
        InputRejectedError: If no plate format has such a well.
    """
    row, column = row.strip(_QUOTES), column.strip(_QUOTES)
    row_number = int(row) if row.isdecimal() and row.isascii() else row_number_of(row)
    column_number = int(column) if column.isdecimal() and column.isascii() and len(column) < 10 else 0
    if not (1 <= row_number <= N_ROWS and 1 <= column_number <= N_COLUMNS):
        raise InputRejectedError(f"expected rows A to AF and columns 1 to 48, got row {row!r} and column {column!r}")
    return f"{row_letters(row_number)}{column_number:02d}"


def row_letters(number: int) -> str:
    """Return the letters of a row counted from 1: A ... Z, AA ... AF."""
    return chr(64 + number) if number <= 26 else f"A{chr(64 + number - 26)}"


def row_number_of(letters: str) -> int:
    """Return a row's number, counted from 1; 0 where the letters name none."""
    upper = letters.upper()
    if len(upper) == 1 and "A" <= upper <= "Z":
        return ord(upper) - 64
    if len(upper) == 2 and upper[0] == "A" and "A" <= upper[1] <= "F":
        return 26 + ord(upper[1]) - 64
    return 0


def row_and_column(well: str) -> tuple[int, int]:
    """Return the row and column, counted from 1, of a well's name in normal form."""
    letters = well.rstrip("0123456789")
    return row_number_of(letters), int(well[len(letters) :])


def smallest_format(wells: Iterable[str]) -> tuple[int, int]:
    """Return (rows, columns) of the smallest plate format that has all these wells."""
    places = [row_and_column(well) for well in wells]
    rows = max((row for row, _ in places), default=1)
    columns = max((column for _, column in places), default=1)
    return next(shape for shape in PLATE_FORMATS.values() if rows <= shape[0] and columns <= shape[1])
