"""Calls as points in two charts: effect against q, and mAP against p. The same treatment is marked in both."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import polars as pl

from dashboards.look import CATEGORIES, FRAME, LINES, MISSING
from dashboards.views.hits_words import described
from dashboards.words import counted
from schemas.api import Hit

MARKS = 1_000
"""More are not drawn in one chart, and there are two: a browser reads, places and paints each of them."""

MARKS_OF_SVG = 600
"""Above them a chart is one picture, which a browser draws many times faster."""

SHOWN, DOUBTFUL, OTHER = "Shown", "Shown, may be explained otherwise", "Every other treatment"
STATES = (SHOWN, DOUBTFUL, OTHER)
_LOOKS = {
    SHOWN: (f"{CATEGORIES[0]}e6", "circle"),
    DOUBTFUL: (f"{CATEGORIES[1]}e6", "diamond"),
    OTHER: (f"{LINES}73", "circle"),
}
"""Colour with how opaque it is, and shape."""

EFFECT = "effect (\N{MULTIPLICATION SIGN} control)"
_SCHEMA = {
    "name": pl.String,
    "treatment": pl.String,
    "mechanism": pl.String,
    EFFECT: pl.Float64,
    "q": pl.Float64,
    "mAP": pl.Float64,
    "p": pl.Float64,
    "state": pl.String,
}
_HEIGHT = 380
_DECADES = [10.0**-power for power in range(17)]


def points(shown: Sequence[Hit], others: Sequence[Hit]) -> pl.DataFrame:
    """Return one row a treatment, at most `MARKS`: the others first, so that what is shown is drawn over them.

    A row is also what is told of its point, under the names of the columns and in their order.

    Args:
        shown: What the table shows.
        others: Every treatment there is; those among them that are shown come once.
    """
    kept = shown[:MARKS]
    here = {(hit.treatment, hit.control_type) for hit in kept}
    behind = [hit for hit in others if (hit.treatment, hit.control_type) not in here][: MARKS - len(kept)]
    rows = [_point(hit, OTHER) for hit in behind]
    rows += [_point(hit, DOUBTFUL if hit.doubts else SHOWN) for hit in reversed(kept)]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def volcano(frame: pl.DataFrame, *, q_max: float, selected: Hit | None = None) -> dict[str, Any]:
    """Return the chart of effect against q, with the threshold, in Vega-Lite; the frame is that of `points`."""
    ring = None if selected is None else {EFFECT: selected.effect, "q": selected.q_value}
    x = {"field": EFFECT, "type": "quantitative", "title": "Effect (\N{MULTIPLICATION SIGN} control)"}
    return _chart(frame, x, _probability("q", "q (logarithmic, the surest above)"), ring=ring, threshold=q_max)


def precision(frame: pl.DataFrame, *, selected: Hit | None = None) -> dict[str, Any]:
    """Return the chart of mean average precision against p, in Vega-Lite; the frame is that of `points`."""
    ring = None if selected is None else {"mAP": selected.mean_average_precision, "p": selected.p_value}
    x = {"field": "mAP", "type": "quantitative", "title": "Mean average precision (0 to 1)",
         "scale": {"domain": [0, 1]}}  # fmt: skip
    return _chart(frame, x, _probability("p", "p (logarithmic, the surest above)"), ring=ring, threshold=None)


def chart_in_words(frame: pl.DataFrame, what: str) -> str:
    """Return what a chart shows, for whoever does not see it."""
    shown = frame.filter(pl.col("state") != OTHER).height
    return f"{what} of {counted(frame.height, 'treatment')}, {shown:,} of them in the table below."


def states_in(frame: pl.DataFrame) -> list[str]:
    """Return which kinds of points there are, in the order of the legend."""
    present: Collection[str] = frame["state"].unique().to_list()
    return [state for state in STATES if state in present]


def _point(hit: Hit, state: str) -> tuple[Any, ...]:
    exact = (hit.effect, hit.q_value, hit.mean_average_precision, hit.p_value)
    numbers = [None if value is None else float(f"{value:.4g}") for value in exact]  # no point moves by half a pixel
    return (described(hit), hit.treatment, hit.mechanism or "", *numbers, state)


def _probability(field: str, title: str) -> dict[str, Any]:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "reverse": True, "nice": False, "padding": 12},
        "axis": {"format": "~g", "values": _DECADES, "labelOverlap": "greedy"},
    }


def _chart(
    frame: pl.DataFrame,
    x: dict[str, Any],
    y: dict[str, Any],
    *,
    ring: dict[str, float | None] | None,
    threshold: float | None,
) -> dict[str, Any]:
    states = states_in(frame)
    renderer = "svg" if frame.height <= MARKS_OF_SVG else "canvas"
    colours, shapes = ([_LOOKS[state][place] for state in states] for place in (0, 1))

    def by_state(values: Sequence[float]) -> dict[str, Any]:
        """Return a channel by a scale; a condition would be interpreted for each point anew."""
        scale = {"type": "ordinal", "domain": states, "range": values}
        return {"field": "state", "type": "nominal", "scale": scale, "legend": None}

    mark = {"type": "point", "filled": True, "opacity": 1, "strokeWidth": 0, "cursor": "pointer"}
    cloud = {
        "params": [{"name": "point", "select": {"type": "point", "fields": ["treatment"], "on": "click"}}],
        "transform": [{"filter": f"isValid(datum['{y['field']}']) && isValid(datum['{x['field']}'])"}],
        "mark": {**mark, "aria": renderer == "svg", "tooltip": {"content": "data"}},  # fields one by one cost more
        "encoding": {
            "x": x,
            "y": y,
            "color": {"field": "state", "type": "nominal", "scale": {"domain": states, "range": colours},
                      "legend": {"orient": "bottom", "title": None, "columns": 3, "labelLimit": 260}},
            "shape": {"field": "state", "type": "nominal",
                      "scale": {"domain": states, "range": shapes}},
            "size": by_state([28 if state == OTHER else 70 for state in states]),
        },
    }  # fmt: skip
    layers: list[dict[str, Any]] = [cloud]
    if threshold is not None and threshold < 1:
        layers.insert(0, _rule(y, threshold))
    if ring is not None and all(value is not None for value in ring.values()):
        layers.append(_ring(x, y, ring))
    return {"height": _HEIGHT, "layer": layers, "usermeta": {"embedOptions": {"renderer": renderer}}}


def _rule(y: dict[str, Any], at: float) -> dict[str, Any]:
    """Return the line of the threshold; its one row of data is its own, not one a treatment."""
    return {
        "data": {"values": [{y["field"]: at}]},
        "mark": {"type": "rule", "strokeDash": [5, 4], "color": MISSING, "strokeWidth": 1.5, "tooltip": None},
        "encoding": {"y": y},
    }


def _ring(x: dict[str, Any], y: dict[str, Any], at: dict[str, float | None]) -> dict[str, Any]:
    return {
        "data": {"values": [at]},
        "mark": {"type": "point", "shape": "circle", "size": 260, "filled": False, "stroke": FRAME,
                 "strokeWidth": 3, "tooltip": None},
        "encoding": {"x": x, "y": y},
    }  # fmt: skip
