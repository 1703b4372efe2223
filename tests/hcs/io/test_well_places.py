"""Places and formats from the names of wells."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.io.well_places import with_places
from hcs.io.wells import PLATE_FORMATS, well_at


def places(**plates: list[str | None]) -> dict[str, list[tuple[int | None, ...]]]:
    rows = [(plate, well) for plate, wells in plates.items() for well in wells]
    found = with_places(pl.DataFrame(rows, orient="row", schema={"plate": pl.String, "well": pl.String}))
    return {
        plate: found.filter(pl.col("plate") == plate).select("row", "column", "n_rows", "n_columns").rows()
        for plate in plates
    }


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(PLATE_FORMATS)), st.data())
def test_a_plate_that_reaches_its_last_row_or_column_has_its_format(n_wells: int, data: st.DataObject) -> None:
    n_rows, n_columns = PLATE_FORMATS[n_wells]
    row, column = data.draw(st.integers(1, n_rows)), data.draw(st.integers(1, n_columns))
    corner = data.draw(st.sampled_from([(n_rows, column), (row, n_columns)]))
    smaller = [shape for shape in PLATE_FORMATS.values() if corner[0] <= shape[0] and corner[1] <= shape[1]]
    last = well_at(str(corner[0]), str(corner[1]))

    found = places(p=[last, "A01"])["p"]

    assert found[0][:2] == corner
    # A last row of one format may be an inner one of a larger plate: then the smallest that has it is meant.
    expected = smaller[0] if corner[0] == smaller[0][0] or corner[1] == smaller[0][1] else (None, None)
    assert {place[2:] for place in found} == {expected}


def test_a_plate_of_inner_wells_has_the_format_of_the_others() -> None:
    whole, inner = ["a1", "H12"], ["B2", "G11"]

    assert places(whole=whole, inner=inner)["inner"] == [(2, 2, 8, 12), (7, 11, 8, 12)]
    assert places(inner=inner)["inner"] == [(2, 2, None, None), (7, 11, None, None)]
    assert places(whole=whole, other=["P24"], inner=inner)["inner"][0] == (2, 2, None, None)
    assert places(whole=whole, inner=["C14"])["inner"] == [(3, 14, None, None)]


@pytest.mark.parametrize("name", [None, "", "well 17", "ZZ99"])
def test_a_name_that_is_no_place_leaves_the_format_open(name: str | None) -> None:
    assert places(p=["H12", name])["p"] == [(8, 12, None, None), (None, None, None, None)]


def test_no_well_has_no_place() -> None:
    found = with_places(pl.DataFrame(schema={"plate": pl.String, "well": pl.String}))

    assert found.columns == ["plate", "well", "row", "column", "n_rows", "n_columns"]
    assert found.is_empty()
