"""A plate drawn well by well, on which a well can be clicked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
import streamlit as st

from dashboards.components.plate_profiles import SAME_EXTENT, beside
from dashboards.look import CATEGORIES, CONTROL_MARKS, MISSING, OUTLINE, SEQUENTIAL
from dashboards.words import shortened

GEOMETRIES = ((8, 12), (16, 24), (32, 48))
CONTROL_NAMES = {"negcon": "negative control", "poscon": "positive control", "treatment": "treatment", "empty": "empty"}
LETTERS_UP_TO = 384
"""Wells that have room for a letter which is read easily. So many are also drawn as elements of the page; more of them
on a canvas, since that many elements would take longer to draw than all the rest."""
MARKS_IN_WORDS = "N negative control, P positive control"

_WELL = re.compile(r"([A-Z]{1,2})(\d{1,2})")
_WIDTH, _LARGEST_STEP, _SMALLEST_STEP = 528, 42, 9
_ROUND_FROM = 20
"""Pixels of a well from which its corners are round."""
_AXIS = {"labelAngle": 0, "ticks": False, "domain": False, "labelOverlap": "parity"}
_PARAMETER = "well"


@dataclass(frozen=True)
class Drawn:
    """What is drawn of each well, in one order: names, values, what they are, and what a pointer reads beside them."""

    wells: Sequence[str]
    values: Sequence[float | None] | Sequence[str | None]
    control_types: Sequence[str]
    title: str
    unit: str
    contents: Sequence[str] = ()

    @property
    def is_words(self) -> bool:
        """Whether the values are words, each of which has a colour of its own."""
        return any(isinstance(value, str) for value in self.values)

    @property
    def heading(self) -> str:
        """What is shown, with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


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


def show_plate_map(
    drawn: Drawn,
    *,
    key: str,
    selected: str | None = None,
    profiles: bool = False,
    on_click: Callable[[], None] | Literal["rerun"] = "rerun",
) -> str | None:
    """Draw the map, and return the well that is clicked, if one is.

    Args:
        drawn: Numbers are coloured on a scale from low to high, words each in their own colour.
        key: Of the widget.
        selected: The well that is framed at first; the browser itself frames one that is clicked.
        profiles: Whether the medians of rows and columns stand beside it.
        on_click: Called before the page is drawn anew; `clicked_well(key)` says which well it is.
    """
    st.vega_lite_chart(
        well_rows(drawn),
        plate_chart(drawn, selected=selected, profiles=profiles),
        key=key,
        on_select=on_click,
        selection_mode=_PARAMETER,
        alt=described(drawn),
        width="content",
    )
    return clicked_well(key)


def clicked_well(key: str) -> str | None:
    """Return the well that was clicked last on the map with this key; none at first."""
    clicked = st.session_state.get(key, {}).get("selection", {}).get(_PARAMETER) or []
    return str(clicked[0]["well"]) if clicked else None


def well_rows(drawn: Drawn) -> pl.DataFrame:
    """Return a row a well, with the letters of its row and the letter of what it is."""
    places = [place_of(well) for well in drawn.wells]
    contents = [shortened(text) for text in drawn.contents] or [""] * len(places)
    return pl.DataFrame(
        {
            "well": list(drawn.wells),
            "row": [row_name(row) for row, _ in places],
            "column": [column for _, column in places],
            "value": pl.Series(list(drawn.values), dtype=pl.String if drawn.is_words else pl.Float64),
            "control": [CONTROL_NAMES.get(kind, kind) for kind in drawn.control_types],
            "mark": [CONTROL_MARKS.get(kind, "") for kind in drawn.control_types],
            "content": contents,
        }
    )


def plate_chart(drawn: Drawn, *, selected: str | None = None, profiles: bool = False) -> dict[str, Any]:
    """Return the map in Vega-Lite: a square a well, and a letter on controls.

    The clicked well is a parameter of the chart, so that it is framed at once and the chart stays as it is.
    """
    rows, columns = geometry_of(drawn.wells)
    step = max(_SMALLEST_STEP, min(_LARGEST_STEP, _WIDTH // columns))
    padding = {"paddingInner": 0.08 if step >= _ROUND_FROM else 0.04, "paddingOuter": 0.04}
    numbers, letters = list(range(1, columns + 1)), [row_name(row) for row in range(1, rows + 1)]
    chart: dict[str, Any] = {
        "width": step * columns,
        "height": step * rows,
        "encoding": {
            "x": {"field": "column", "type": "ordinal", "title": None, "axis": {**_AXIS, "orient": "top"},
                  "scale": {"domain": numbers, **padding}},
            "y": {"field": "row", "type": "ordinal", "title": None, "axis": {**_AXIS, **SAME_EXTENT},
                  "scale": {"domain": letters, **padding}},
        },
        "layer": [*_squares(drawn, step=step, selected=selected), *_letters(step), *_frames(step)],
    }  # fmt: skip
    if profiles and not drawn.is_words:
        chart = beside(chart, well_rows(drawn), domains=(numbers, letters), unit=drawn.unit)
    else:
        chart = {"vconcat": [chart]}  # a chart by itself would be squeezed into the height that Streamlit gives it
    if len(drawn.wells) > LETTERS_UP_TO:
        chart["usermeta"] = {"embedOptions": {"renderer": "canvas"}}
    return chart


def described(drawn: Drawn) -> str:
    """Return the map in words, for whoever does not see it."""
    numbers = sorted(value for value in drawn.values if isinstance(value, int | float))
    said = f"Map of {len(drawn.wells)} wells: {drawn.title}"
    if not numbers:
        return said + "."
    unit = f" {drawn.unit}" if drawn.unit else ""
    return f"{said}, from {numbers[0]:.4g} to {numbers[-1]:.4g}{unit}, median {numbers[len(numbers) // 2]:.4g}."


def _squares(drawn: Drawn, *, step: int, selected: str | None) -> list[dict[str, Any]]:
    """Return the layers of the wells: all of them, of which one can be clicked, and those whose value is known.

    A well is described once, by its square in the first layer.
    """
    clicked = {"type": "point", "fields": ["well"], "on": "rect:click", "clear": False, "toggle": False}
    first = [{"well": selected}] if selected in drawn.wells else []
    tooltip = _tooltip(drawn)
    return [
        {
            "params": [{"name": _PARAMETER, "select": clicked, "value": first}],
            "mark": {**_shape(step), "cursor": "pointer", "color": MISSING},
            "encoding": {"tooltip": tooltip},
        },
        {
            "transform": [{"filter": "isValid(datum.value)"}],
            "mark": {**_shape(step), "cursor": "pointer", "aria": False},
            "encoding": {"color": _colour(drawn, width=step * geometry_of(drawn.wells)[1]), "tooltip": tooltip},
        },
    ]


def _letters(step: int) -> list[dict[str, Any]]:
    """Return the layers of the letters on controls: dark edges, and on them the letters in white."""
    text = {"type": "text", "fontSize": max(7, step // 2), "fontWeight": "bold", "color": "white", "tooltip": None}
    edges = {"stroke": "black", "strokeWidth": 2.2, "strokeOpacity": 0.65, "strokeJoin": "round"}
    filtered = {"transform": [{"filter": "datum.mark !== ''"}], "encoding": {"text": {"field": "mark"}}}
    return [{**filtered, "mark": {**text, **edges}}, {**filtered, "mark": text}]


def _frames(step: int) -> list[dict[str, Any]]:
    """Return the layers of the frame around the well that is clicked."""
    framed = [{"filter": {"param": _PARAMETER, "empty": False}}]
    line = {**_shape(step), "fill": None, "tooltip": None, "aria": False}
    return [{"transform": framed, "mark": {**line, "stroke": colour, "strokeWidth": wide}} for colour, wide in OUTLINE]


def _shape(step: int) -> dict[str, Any]:
    return {"type": "rect", "cornerRadius": 3 if step >= _ROUND_FROM else 0}


def _colour(drawn: Drawn, *, width: int) -> dict[str, Any]:
    """Return how a value becomes a colour."""
    known: dict[str, Any] = {"field": "value", "title": drawn.heading}
    if drawn.is_words:
        legend = {"orient": "top", "titleLimit": 0, "labelLimit": 0}
        known |= {"type": "nominal", "scale": {"range": list(CATEGORIES)}, "legend": legend}
    else:
        legend = {"orient": "top", "gradientLength": min(320, width), "gradientThickness": 10, "titleLimit": 0}
        known |= {"type": "quantitative", "scale": {"scheme": SEQUENTIAL}, "legend": {**legend, "format": ".4~r"}}
    return known


def _tooltip(drawn: Drawn) -> list[dict[str, Any]]:
    kind = "nominal" if drawn.is_words else "quantitative"
    return [
        {"field": "well", "title": "Well", "type": "nominal"},
        {"field": "value", "title": drawn.heading, "type": kind} | ({} if drawn.is_words else {"format": ".4~g"}),
        {"field": "control", "title": "What it is", "type": "nominal"},
        *([{"field": "content", "title": "Content", "type": "nominal"}] if drawn.contents else []),
    ]
