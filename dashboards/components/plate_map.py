"""A plate drawn well by well, on which a well can be clicked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st

from dashboards.look import CATEGORIES, CONTROL_MARKS, FRAME, LINES, MISSING, SEQUENTIAL

GEOMETRIES = ((8, 12), (16, 24), (32, 48))
_WELL = re.compile(r"([A-Z]{1,2})(\d{1,2})")
_WIDTH = 760
_AXIS = {"labelAngle": 0, "ticks": False, "domain": False, "labelOverlap": "parity"}
LETTERS_UP_TO = 384
"""Wells; smaller ones have no room for a letter, and the table says it."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn of each well, in one order: names, values and what they are."""

    wells: Sequence[str]
    values: Sequence[float | None] | Sequence[str | None]
    control_types: Sequence[str]
    title: str
    unit: str


def place_of(well: str) -> tuple[int, int]:
    """Return row and column of a well, from 1: `B03` is (2, 3), `AF48` (32, 48)."""
    found = _WELL.fullmatch(well)
    if found is None:
        raise ValueError(f"a well such as A01 or AF48 was expected, got {well!r}")
    row = 0
    for letter in found[1]:
        row = row * 26 + ord(letter) - ord("A") + 1
    return row, int(found[2])


def row_name(row: int) -> str:
    """Return the letters of a row: 1 is A, 27 is AA."""
    first, last = divmod(row - 1, 26)
    return ("" if first == 0 else chr(ord("A") + first - 1)) + chr(ord("A") + last)


def geometry_of(wells: Sequence[str]) -> tuple[int, int]:
    """Return rows and columns of the smallest usual plate that holds the wells."""
    places = [place_of(well) for well in wells] or [(1, 1)]
    rows, columns = max(row for row, _ in places), max(column for _, column in places)
    return next((size for size in GEOMETRIES if rows <= size[0] and columns <= size[1]), (rows, columns))


def show_plate_map(drawn: Drawn, *, key: str, selected: str | None = None) -> str | None:
    """Draw the map, and return the well that is clicked, if one is.

    Args:
        drawn: Numbers are coloured on a scale from low to high, words each in their own colour.
        key: Of the widget.
        selected: The well that is framed.
    """
    event = st.vega_lite_chart(
        well_rows(drawn),
        plate_chart(drawn, selected=selected),
        key=key,
        on_select="rerun",
        selection_mode="well",
        alt=described(drawn),
        width="content",
    )
    clicked = event["selection"].get("well") or []
    return str(clicked[0]["well"]) if clicked else None


def well_rows(drawn: Drawn) -> pl.DataFrame:
    """Return a row a well, with the letters of its row and the letter of what it is."""
    is_words = any(isinstance(value, str) for value in drawn.values)
    places = [place_of(well) for well in drawn.wells]
    return pl.DataFrame(
        {
            "well": list(drawn.wells),
            "row": [row_name(row) for row, _ in places],
            "column": [column for _, column in places],
            "value": pl.Series(list(drawn.values), dtype=pl.String if is_words else pl.Float64),
            "control": list(drawn.control_types),
            "mark": [CONTROL_MARKS.get(kind, "") for kind in drawn.control_types],
        }
    )


def plate_chart(drawn: Drawn, *, selected: str | None = None) -> dict[str, Any]:
    """Return the map in Vega-Lite: a square a well, and a letter on controls."""
    rows, columns = geometry_of(drawn.wells)
    is_words = any(isinstance(value, str) for value in drawn.values)
    title = f"{drawn.title} ({drawn.unit})" if drawn.unit else drawn.title
    step = max(8, min(34, _WIDTH // columns))
    frame = f"datum.well === {_quoted(selected)}"
    colour: dict[str, Any] = {"field": "value", "type": "nominal", "title": title, "scale": {"range": list(CATEGORIES)}}
    if not is_words:
        colour = {"field": "value", "type": "quantitative", "title": title, "scale": {"scheme": SEQUENTIAL}}
    shown = {"field": "value", "title": title, "type": colour["type"]} | ({} if is_words else {"format": ".4~g"})
    squares = {
        "params": [{"name": "well", "select": {"type": "point", "fields": ["well"], "on": "click"}}],
        "mark": {"type": "rect", "cursor": "pointer"},
        "encoding": {
            "color": {"condition": {"test": "isValid(datum.value)", **colour}, "value": MISSING},
            "stroke": {"condition": {"test": frame, "value": FRAME}, "value": LINES},
            "strokeWidth": {"condition": {"test": frame, "value": 3}, "value": 0.4},
            "tooltip": [
                {"field": "well", "title": "Well", "type": "nominal"},
                shown,
                {"field": "control", "title": "What it is", "type": "nominal"},
            ],
        },
    }
    letters = {
        "mark": {"type": "text", "fontSize": max(7, step // 2), "fontWeight": "bold", "color": "white",
                 "stroke": "black", "strokeWidth": 0.5, "tooltip": None},
        "encoding": {"text": {"field": "mark"}},
    }  # fmt: skip
    return {
        "width": step * columns,
        "height": step * rows,
        "encoding": {
            "x": {"field": "column", "type": "ordinal", "title": None, "axis": {**_AXIS, "orient": "top"},
                  "scale": {"domain": list(range(1, columns + 1))}},
            "y": {"field": "row", "type": "ordinal", "title": None, "axis": _AXIS,
                  "scale": {"domain": [row_name(row) for row in range(1, rows + 1)]}},
        },
        "layer": [squares, letters] if len(drawn.wells) <= LETTERS_UP_TO else [squares],
    }  # fmt: skip


def described(drawn: Drawn) -> str:
    """Return the map in words, for whoever does not see it."""
    numbers = sorted(value for value in drawn.values if isinstance(value, int | float))
    said = f"Map of {len(drawn.wells)} wells: {drawn.title}"
    if not numbers:
        return said + "."
    unit = f" {drawn.unit}" if drawn.unit else ""
    return f"{said}, from {numbers[0]:.4g} to {numbers[-1]:.4g}{unit}, median {numbers[len(numbers) // 2]:.4g}."


def _quoted(well: str | None) -> str:
    return f"'{well}'" if well is not None and _WELL.fullmatch(well) else "null"
