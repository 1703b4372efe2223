"""A plate drawn well by well while it is worked on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from dashboards.components.plate_map import LETTERS_UP_TO, place_of, row_name
from dashboards.look import CATEGORIES, LINES, MISSING
from schemas.api_plates import WellProgress
from schemas.work import WellState

_LOOKS = {
    WellState.WAITING: ("waiting", MISSING, ""),
    WellState.RUNNING: ("under work", CATEGORIES[1], "\N{BULLET}"),
    WellState.DONE: ("done", CATEGORIES[0], "\N{CHECK MARK}"),
    WellState.FAILED: ("failed", CATEGORIES[3], "\N{MULTIPLICATION SIGN}"),
}
"""Of each state: its word, its colour, and a mark, since colour alone is none."""

_WIDTH, _WIDEST, _NARROWEST = 540, 34, 9
_AXIS = {"labelAngle": 0, "ticks": False, "domain": False, "labelFlush": False}


def standing_rows(progress: WellProgress) -> pl.DataFrame:
    """Return a row a well: where it is, how far it is, and its mark."""
    places = [place_of(well.well) for well in progress.wells]
    return pl.DataFrame(
        {
            "well": [well.well for well in progress.wells],
            "row": [row_name(row) for row, _ in places],
            "column": pl.Series([column for _, column in places], dtype=pl.Int64),
            "state": [_LOOKS[well.state][0] for well in progress.wells],
            "sites": pl.Series([well.sites for well in progress.wells], dtype=pl.Int64),
            "failed": pl.Series([well.sites_failed for well in progress.wells], dtype=pl.Int64),
            "mark": [_LOOKS[well.state][2] for well in progress.wells],
        },
        schema_overrides={"well": pl.String, "row": pl.String, "state": pl.String, "mark": pl.String},
    )


def standing_chart(progress: WellProgress) -> dict[str, Any]:
    """Return the map in Vega-Lite. It stays the same while a plate is worked on, so that only its colours change."""
    step = max(_NARROWEST, min(_WIDEST, _WIDTH // progress.columns))
    words, colours, _ = zip(*_LOOKS.values(), strict=True)
    squares = {
        "mark": "rect",
        "encoding": {
            "color": {
                "field": "state",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(words), "range": list(colours)},
                "legend": {
                    "orient": "bottom",
                    "symbolType": "square",
                    "symbolStrokeWidth": 0,
                    "symbolSize": 160,
                    "labelExpr": "datum.label + '  ' + {"
                    + ", ".join(f"'{w}': '{m}'" for w, _, m in _LOOKS.values())
                    + "}[datum.label]",
                },
            },
            "stroke": {"value": LINES},
            "strokeWidth": {"value": 0.4},
            "tooltip": [
                {"field": "well", "title": "Well"},
                {"field": "state", "title": "State"},
                {"field": "sites", "title": "Sites"},
                {"field": "failed", "title": "Sites failed"},
            ],
        },
    }
    marks = {
        "mark": {"type": "text", "fontSize": max(8, step // 2), "fontWeight": "bold", "color": "white",
                 "tooltip": None},
        "encoding": {"text": {"field": "mark", "type": "nominal"}},
    }  # fmt: skip
    return {
        "autosize": {"type": "pad"},
        "width": step * progress.columns,
        "height": step * progress.rows,
        "encoding": {
            "x": {"field": "column", "type": "ordinal", "title": None, "axis": {**_AXIS, "orient": "top"},
                  "scale": {"domain": list(range(1, progress.columns + 1))}},
            "y": {"field": "row", "type": "ordinal", "title": None, "axis": _AXIS,
                  "scale": {"domain": [row_name(row) for row in range(1, progress.rows + 1)]}},
        },
        "layer": [squares, marks] if len(progress.wells) <= LETTERS_UP_TO else [squares],
    }  # fmt: skip


def standing_said(progress: WellProgress) -> str:
    """Return the map in words, for whoever does not see it: `96 wells: 40 done, 8 under work, 48 waiting`."""
    counts = Counter(well.state for well in progress.wells)
    order = (WellState.DONE, WellState.RUNNING, WellState.WAITING, WellState.FAILED)
    said = [f"{counts[state]:,} {_LOOKS[state][0]}" for state in order if counts[state]]
    return f"{len(progress.wells):,} wells: {', '.join(said) or 'none is known yet'}"
