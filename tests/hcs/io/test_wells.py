from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError
from hcs.io.wells import PLATE_FORMATS, row_and_column, row_letters, smallest_format, well_at, well_name
from schemas.screen import WELL_PATTERN

ROWS, COLUMNS = st.integers(1, 32), st.integers(1, 48)


@settings(deadline=None)
@given(ROWS, COLUMNS)
def test_every_spelling_of_a_well_is_one_name(row: int, column: int) -> None:
    letters = row_letters(row)
    name = f"{letters}{column:02d}"

    spellings = [f"{letters}{column}", f"{letters.lower()}{column:02d}", f"{letters}{column:03d}", f' "{name}" ']

    assert re.fullmatch(WELL_PATTERN, name)
    assert {well_name(text) for text in spellings} == {name}
    assert well_at(letters, str(column)) == well_at(str(row), f"{column:02d}") == name
    assert row_and_column(name) == (row, column)


@pytest.mark.parametrize(
    "text", ["Q99", "A00", "AG01", "A49", "ZZ1", "1A", "", "A", "A01A", "A-1-1", "Ä01", "A٣", "A0000000001x"]
)
def test_a_well_that_no_plate_has_is_refused(text: str) -> None:
    with pytest.raises(InputRejectedError, match="expected"):
        well_name(text)


@pytest.mark.parametrize(
    ("row", "column"), [("0", "1"), ("33", "1"), ("A", "0"), ("A", "x"), ("", ""), ("A", "9" * 20)]
)
def test_a_place_that_no_plate_has_is_refused(row: str, column: str) -> None:
    with pytest.raises(InputRejectedError, match="rows A to AF"):
        well_at(row, column)


@settings(deadline=None)
@given(st.lists(st.tuples(ROWS, COLUMNS), max_size=5))
def test_the_smallest_format_has_all_the_wells_and_no_smaller_one_does(places: list[tuple[int, int]]) -> None:
    rows, columns = smallest_format(f"{row_letters(row)}{column:02d}" for row, column in places)

    assert (rows, columns) in PLATE_FORMATS.values()
    assert all(row <= rows and column <= columns for row, column in places)
    smaller = [shape for shape in PLATE_FORMATS.values() if shape[0] * shape[1] < rows * columns]
    assert all(any(row > shape[0] or column > shape[1] for row, column in places) for shape in smaller)
