"""Treatments as points of a map, coloured by what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from dashboards.look import CATEGORIES, MISSING, SEQUENTIAL
from dashboards.views.mechanisms_words import CALLS
from dashboards.words import counted
from schemas.api_results import MapPoint

MARKS = 2_000
"""Points that are drawn; the surest ones."""

RATIO = "Cell count ratio"
OTHERS, UNKNOWN = "others", "not annotated"
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
_NAMED = len(_SHAPES)
"""Groups with a colour and a shape of their own; further ones are `others`."""

_HEIGHT = 480


def _mechanism(point: MapPoint) -> str:
    return point.mechanism or UNKNOWN


def _cluster(point: MapPoint) -> str:
    return "in no cluster" if point.cluster is None else f"cluster {point.cluster}"


def _batch(point: MapPoint) -> str:
    return point.batches[0] if len(point.batches) == 1 else counted(len(point.batches), "batch")


def _plate(point: MapPoint) -> str:
    return point.plates[0] if len(point.plates) == 1 else counted(len(point.plates), "plate")


GROUPINGS: Mapping[str, Callable[[MapPoint], str]] = {
    "Mechanism": _mechanism,
    "Cluster": _cluster,
    "Batch": _batch,
    "Plate": _plate,
}
COLOURS = (*GROUPINGS, RATIO)


def drawn_points(points: Sequence[MapPoint]) -> list[MapPoint]:
    """Return the points that have a place, the surest ones first, and no more than are drawn."""
    placed = [point for point in points if point.umap_x is not None and point.umap_y is not None]
    return sorted(placed, key=lambda point: (point.q_value is None, point.q_value or 0.0, point.treatment))[:MARKS]


def groups_of(points: Sequence[MapPoint], by: str) -> list[str]:
    """Return the group of each point: the most frequent ones by name, all further ones as others."""
    named = [GROUPINGS[by](point) for point in points]
    frequent = sorted(Counter(named).items(), key=lambda item: (item[0] == UNKNOWN, -item[1], item[0]))[:_NAMED]
    known = {name for name, _ in frequent if name != UNKNOWN}
    return [name if name in known or name == UNKNOWN else OTHERS for name in named]


def point_rows(points: Sequence[MapPoint], *, by: str, faint: Callable[[MapPoint], bool]) -> pl.DataFrame:
    """Return a row a point for the chart.

    Args:
        points: That are drawn.
        by: What they are coloured by.
        faint: Which ones stand back.
    """
    groups = groups_of(points, by) if by in GROUPINGS else [""] * len(points)
    rows = [
        {
            "treatment": point.treatment,
            "name": point.name or point.perturbation,
            "mechanism": point.mechanism or "not annotated",
            "call": CALLS[point.call],
            "q": point.q_value,
            "effect": point.effect,
            "ratio": point.cell_count_ratio,
            "cluster": _cluster(point),
            "x": point.umap_x,
            "y": point.umap_y,
            "group": group,
            "faint": faint(point),
        }
        for point, group in zip(points, groups, strict=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def map_chart(groups: Sequence[str], *, by: str) -> dict[str, Any]:
    """Return the map in Vega-Lite: a click takes one point, a box takes those inside.

    Args:
        groups: Of all points, as `groups_of` returns them; not looked at for a number.
        by: What they are coloured by.
    """
    tooltip = [
        {"field": "name", "title": "Treatment", "type": "nominal"},
        {"field": "mechanism", "title": "Mechanism", "type": "nominal"},
        {"field": "cluster", "title": "Cluster", "type": "nominal"},
        {"field": "call", "title": "Call", "type": "nominal"},
        {"field": "q", "title": "q", "type": "quantitative", "format": ".2~g"},
        {"field": "ratio", "title": "Cell count ratio", "type": "quantitative", "format": ".2f"},
    ]
    stands_back = {"test": {"or": ["datum.faint", {"not": {"and": [{"param": "point"}, {"param": "box"}]}}]}}
    return {
        "height": _HEIGHT,
        "params": [
            {"name": "point", "select": {"type": "point", "fields": ["treatment"], "on": "click"}},
            {"name": "box", "select": {"type": "interval", "encodings": ["x", "y"]}},
        ],
        "usermeta": {"embedOptions": {"renderer": "canvas"}},  # as elements of the page, the box would have no words
        "mark": {"type": "point", "filled": True, "size": 80, "cursor": "pointer", "strokeWidth": 0},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": "UMAP 1 (no unit)", **_BARE},
            "y": {"field": "y", "type": "quantitative", "title": "UMAP 2 (no unit)", **_BARE},
            "opacity": {"condition": {**stands_back, "value": 0.15}, "value": 0.9},
            "tooltip": tooltip,
            **(_ratio() if by == RATIO else _named(groups, title=by)),
        },
    }


_BARE = {"axis": {"labels": False, "ticks": False, "grid": False}, "scale": {"zero": False, "padding": 16}}


def map_said(points: Sequence[MapPoint], *, by: str) -> str:
    """Return the map in words, for whoever does not see it."""
    said = f"Map of {counted(len(points), 'treatment')} in two dimensions, coloured by {by.lower()}"
    if by not in GROUPINGS:
        return f"{said}."
    counts = Counter(groups_of(points, by)).most_common(3)
    return f"{said}: {', '.join(f'{n} {name}' for name, n in counts)}."


def _ratio() -> dict[str, Any]:
    return {
        "color": {
            "condition": {
                "test": "isValid(datum.ratio)",
                "field": "ratio",
                "type": "quantitative",
                "title": "Cell count ratio (1 is as DMSO)",
                "scale": {"scheme": SEQUENTIAL},
            },
            "value": MISSING,
        }
    }


def _named(groups: Sequence[str], *, title: str) -> dict[str, Any]:
    counts = Counter(groups)
    own = sorted((name for name in counts if name not in {OTHERS, UNKNOWN}), key=lambda name: (-counts[name], name))
    rest = [name for name in (OTHERS, UNKNOWN) if counts[name]]
    domain = [*own, *rest]
    colours = [*CATEGORIES[: len(own)], *(CATEGORIES[-1] if name == OTHERS else MISSING for name in rest)]
    shapes = [*_SHAPES[: len(own)], *("triangle-left" if name == OTHERS else "circle" for name in rest)]
    field = {"field": "group", "type": "nominal", "title": title}
    legend = {"labelLimit": 240, "symbolSize": 90}
    return {
        "color": {**field, "scale": {"domain": domain, "range": colours}, "legend": legend},
        "shape": {**field, "scale": {"domain": domain, "range": shapes}, "legend": legend},
    }
