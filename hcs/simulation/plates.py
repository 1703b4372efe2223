"""Where a position of a plate lies, and what it is called."""

from __future__ import annotations

from hcs.simulation.design import PLATE_SHAPES


def place_of(position: int, *, n_wells: int) -> tuple[str, int, int]:
    """Return the name, row and column of a position counted row by row, all from 0: 13 of 96 is B02, 1, 1."""
    row, column = divmod(position, PLATE_SHAPES[n_wells][1])
    return f"{_row_name(row)}{column + 1:02d}", row, column


def _row_name(row: int) -> str:
    return chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)
