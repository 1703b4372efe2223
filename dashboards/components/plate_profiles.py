"""What rows and columns of a plate have in common: their medians, beside the map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from dashboards.look import PROFILE

_SIDE, _GAP = 80, 14
SAME_EXTENT = {"minExtent": 44, "maxExtent": 44}
"""Of axes on the left, so that what stands below one another has the same columns."""

_VALUES = {"type": "quantitative", "scale": {"zero": False, "nice": False}}
_AXIS = {
    "tickCount": 3,
    "format": ".4~r",
    "labelOverlap": True,
    "domain": False,
    "title": "median",
    "titleFontWeight": "normal",
    "titleFontSize": 11,
    "titlePadding": 4,
}


def line_medians(rows: pl.DataFrame, line: str) -> pl.DataFrame:
    """Return `line` (`row` or `column`), the `median` of its wells whose value is known, their number `wells`, `place`.

    Lines come in the order of the plate, which `place` counts; one of which nothing is known is not there.
    """
    order = [pl.col("row").str.len_chars(), pl.col("row")] if line == "row" else [pl.col("column")]
    known = rows.filter(pl.col("value").is_not_null()).sort(order)
    medians = known.group_by(line, maintain_order=True)
    return medians.agg(pl.col("value").median().alias("median"), pl.len().alias("wells")).with_row_index("place")


def beside(
    chart: dict[str, Any], rows: pl.DataFrame, *, domains: tuple[Sequence[int], Sequence[str]], unit: str
) -> dict[str, Any]:
    """Return a map with the medians of its rows on its right and those of its columns below."""
    columns, letters = domains
    of_rows = _profile(rows, "row", unit=unit) | {"width": _SIDE, "height": chart["height"]}
    of_rows["encoding"] |= {
        "y": {"field": "row", "type": "ordinal", "scale": {"domain": list(letters)}, "axis": None},
        "x": {"field": "median", **_VALUES, "axis": {**_AXIS, "orient": "top", "tickCount": 2, "labelSeparation": 8}},
    }
    of_columns = _profile(rows, "column", unit=unit) | {"width": chart["width"], "height": _SIDE}
    of_columns["encoding"] |= {
        "x": {"field": "column", "type": "ordinal", "scale": {"domain": list(columns)}, "axis": None},
        "y": {"field": "median", **_VALUES, "axis": {**_AXIS, **SAME_EXTENT}},
    }
    upper = {"hconcat": [chart, of_rows], "spacing": _GAP, "bounds": "flush"}
    return {"vconcat": [upper, of_columns], "spacing": _GAP}


def _profile(rows: pl.DataFrame, line: str, *, unit: str) -> dict[str, Any]:
    """Return a line of medians without its places."""
    name = line.capitalize()
    median = f"Median ({unit})" if unit else "Median"
    return {
        "data": {"values": line_medians(rows, line).to_dicts()},
        "mark": {"type": "line", "color": PROFILE, "strokeWidth": 1.5,
                 "point": {"filled": True, "size": 22, "color": PROFILE}},
        "encoding": {
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": [
                {"field": line, "title": name, "type": "nominal"},
                {"field": "median", "title": median, "type": "quantitative", "format": ".4~g"},
                {"field": "wells", "title": "Wells", "type": "quantitative"},
            ],
        },
    }  # fmt: skip
