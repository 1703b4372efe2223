"""The map of a plate, as what is handed to the browser."""

from __future__ import annotations

import json
import statistics
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.components.plate_map import Drawn, described, geometry_of, place_of, plate_chart, row_name, well_rows
from dashboards.components.plate_profiles import line_medians

SIZES = [(8, 12), (16, 24), (32, 48)]
VALUES = st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False))


def plate(rows: int, columns: int, *, missing: int = 7) -> Drawn:
    """A plate whose value is its row times a hundred and its column; every so often nothing is known."""
    places = [(row, column) for row in range(1, rows + 1) for column in range(1, columns + 1)]
    values = [None if index % missing == 0 else 100.0 * row + column for index, (row, column) in enumerate(places)]
    kinds = ["negcon" if column == 1 else "poscon" if column == 2 else "treatment" for _, column in places]
    return Drawn([f"{row_name(row)}{column:02d}" for row, column in places], values, kinds, "Cells", "cells a site")


def square(chart: dict[str, Any]) -> dict[str, Any]:
    """The map itself, with profiles beside it or without."""
    upper: dict[str, Any] = chart["vconcat"][0]
    return upper["hconcat"][0] if "hconcat" in upper else upper


def layers(chart: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = square(chart)["layer"]
    return found


@given(st.integers(1, 99), st.integers(1, 32))
def test_a_name_of_a_well_leads_to_its_place_and_back(column: int, row: int) -> None:
    assert place_of(f"{row_name(row)}{column:02d}") == (row, column)


def test_what_is_no_well_is_refused() -> None:
    with pytest.raises(ValueError, match="A01"):
        place_of("1A")


@pytest.mark.parametrize("size", SIZES)
def test_a_plate_of_any_format_is_drawn_whole_in_the_same_width(size: tuple[int, int]) -> None:
    drawn = plate(*size)

    chart = square(plate_chart(drawn))

    assert geometry_of(drawn.wells) == size
    assert chart["encoding"]["x"]["scale"]["domain"] == list(range(1, size[1] + 1))
    assert chart["encoding"]["y"]["scale"]["domain"] == [row_name(row) for row in range(1, size[0] + 1)]
    assert 500 <= chart["width"] <= 540
    assert chart["height"] * size[1] == chart["width"] * size[0]
    assert well_rows(drawn).height == size[0] * size[1]


def test_a_plate_of_1536_wells_is_drawn_on_a_canvas_and_a_smaller_one_as_elements() -> None:
    assert plate_chart(plate(32, 48), profiles=True)["usermeta"]["embedOptions"]["renderer"] == "canvas"
    assert "usermeta" not in plate_chart(plate(16, 24), profiles=True)


def test_controls_have_letters_and_wells_of_which_nothing_is_known_are_grey_and_can_be_clicked() -> None:
    drawn = plate(8, 12)

    wells, values, *_ = layers(plate_chart(drawn))
    rows = well_rows(drawn)

    assert wells["mark"]["color"].startswith("#")
    assert wells["params"][0]["select"]["fields"] == ["well"]
    assert values["transform"] == [{"filter": "isValid(datum.value)"}]
    assert [one["mark"].get("aria", True) for one in (wells, values)] == [True, False]  # each is described once
    assert set(rows.filter(pl.col("column") == 1)["mark"]) == {"N"}
    assert set(rows.filter(pl.col("column") == 2)["mark"]) == {"P"}
    assert set(rows.filter(pl.col("column") > 2)["mark"]) == {""}


def test_the_well_shown_is_framed_and_a_well_that_is_none_frames_nothing() -> None:
    drawn = plate(8, 12)

    assert layers(plate_chart(drawn, selected="B03"))[0]["params"][0]["value"] == [{"well": "B03"}]
    for strange in ("Z99", "'] || alert(1) || ['", None):
        assert layers(plate_chart(drawn, selected=strange))[0]["params"][0]["value"] == []


def test_words_have_a_colour_each_and_no_profiles() -> None:
    drawn = Drawn(["A01", "A02"], ["active", None], ["treatment", "negcon"], "Call", "")

    chart = plate_chart(drawn, profiles=True)

    assert len(chart["vconcat"]) == 1
    assert "hconcat" not in chart["vconcat"][0]
    assert layers(chart)[1]["encoding"]["color"]["type"] == "nominal"
    assert described(drawn) == "Map of 2 wells: Call."


def test_a_plate_without_any_value_is_drawn() -> None:
    drawn = Drawn(["A01", "P24"], [None, None], ["treatment", "negcon"], "Cells", "cells a site")

    chart = plate_chart(drawn, profiles=True)

    assert geometry_of(drawn.wells) == (16, 24)
    assert chart["vconcat"][1]["data"]["values"] == []
    assert described(drawn) == "Map of 2 wells: Cells."


def test_names_stay_data() -> None:
    name = "<script>alert(1)</script>" * 20
    drawn = Drawn(["A01"], [1.0], ["treatment"], "Cells", "cells", [name])

    assert "<script>" not in json.dumps(plate_chart(drawn, profiles=True))
    assert len(well_rows(drawn)["content"][0]) <= 60


@given(st.lists(VALUES, min_size=24, max_size=24))
def test_profiles_are_the_medians_of_what_is_known(values: list[float | None]) -> None:
    wells = [(row, column) for row in range(1, 5) for column in range(1, 7)]
    rows = well_rows(Drawn([f"{row_name(r)}{c:02d}" for r, c in wells], values, ["treatment"] * 24, "Cells", ""))

    for line, axis in (("row", 0), ("column", 1)):
        found = {str(one[line]): (one["median"], one["wells"]) for one in line_medians(rows, line).to_dicts()}
        for number in range(1, 5 if line == "row" else 7):
            known = [
                value for place, value in zip(wells, values, strict=True) if place[axis] == number and value is not None
            ]
            name = row_name(number) if line == "row" else str(number)
            if known:
                assert found[name] == (pytest.approx(statistics.median(known)), len(known))
            else:
                assert name not in found


def test_rows_of_a_profile_come_in_the_order_of_the_plate() -> None:
    medians = line_medians(well_rows(plate(32, 48)), "row")

    assert medians["row"].to_list() == [row_name(row) for row in range(1, 33)]
    assert medians["place"].to_list() == list(range(32))
