"""An audit as one page of pictures that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.profiling.audit.audit import Audit, MethodAudit
from hcs.profiling.audit.planes import Plane
from hcs.profiling.audit.told import method_table, sentences, verdict

COLOURS: Final = ("#2b83c6", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6fdf", "#7f7f7f")
"""Of batches, told apart by most eyes on light and dark ground (after Okabe and Ito); later batches begin again."""
_SIDE: Final = 260
_MARGIN: Final = 14
_SHOWN_BATCHES: Final = 16
_COLUMNS: Final = {
    "method": "method",
    "retrieval": "retrieval",
    "gain": "gain over none",
    "controls_by_position": "controls, same position",
    "controls_by_chance": "by chance",
    "local_diversity": "batches in a neighbourhood",
    "batch_silhouette": "silhouette of batches",
    "batch_variance": "variance of batches",
    "replicate_distance": "Cohen's d",
    "rand_index": "adjusted Rand index",
    "not_same_batch": "NSCB",
    "held_out_controls": "held-out / fitted controls",
}
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1a1a1a;--soft:#5f6368;--ground:#ffffff;--line:#d5d8dc;--card:#f6f7f9}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a5abb3;--ground:#16181c;--line:#3a3f47;--card:#1f2329}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);margin:2rem auto;max-width:70rem;
padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
div.wide{overflow-x:auto}
th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:right}
td{white-space:nowrap}
th{vertical-align:bottom;font-size:.85rem}
th:first-child,td:first-child{text-align:left}
tr.picked{font-weight:600;background:var(--card)}
figure{display:inline-block;max-width:41rem;margin:.5rem;vertical-align:top;background:var(--card);padding:.5rem;border-radius:.5rem}
figcaption{font-size:.85rem;color:var(--soft)}
svg text{fill:var(--ink);font:11px system-ui,sans-serif}
svg .axis{stroke:var(--line);fill:none}
.key span{display:inline-block;margin-right:1rem}
.key i{display:inline-block;width:.7rem;height:.7rem;border-radius:50%;margin-right:.3rem}
p.verdict{font-size:1.1rem;font-weight:600}
"""


def audit_page(audit: Audit, *, title: str, batches: Sequence[str]) -> str:
    """Return the page as HTML, names escaped, pictures as SVG inside.

    Args:
        audit: With figures and planes.
        title: Of the page, such as the name of the file.
        batches: Their names, by their numbers.
    """
    parts = [
        f"<h1>Audit of corrections: {escape(title)}</h1>",
        f'<p class="verdict">{escape(verdict(audit))}</p>',
        _table(audit),
        "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences(audit)) + "</ul>",
        "<h2>Batches mixed, and biology kept</h2>",
        _trade(audit),
        "<h2>Wells before and after, coloured by batch</h2>",
        _key(batches),
        *(_plane(one) for one in audit.methods if one.plane is not None),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Audit: {escape(title)}</title><style>{_STYLE}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _table(audit: Audit) -> str:
    rows = []
    for row in method_table(audit).iter_rows(named=True):
        cells = [f"<td>{_cell(row, name)}</td>" for name in _COLUMNS]
        rows.append(f"<tr{' class=picked' if row['is_picked'] else ''}>{''.join(cells)}</tr>")
    head = "".join(f"<th>{escape(title)}</th>" for title in _COLUMNS.values())
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _cell(row: dict[str, object], name: str) -> str:
    value = row[name]
    if name == "method":
        return escape(str(value)) + (" (refused)" if row["refused"] else "")
    if not isinstance(value, float):
        return "-"
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    interval = f" [{low:.3f}, {high:.3f}]" if isinstance(low, float) and isinstance(high, float) else ""
    return f"{value:.3f}{interval}"


def _trade(audit: Audit) -> str:
    """Return retrieval over the mixing of batches, one point a method with its interval."""
    shown = [one for one in audit.methods if one.reported is not None and one.mixing and one.mixing.diversity]
    if not shown:
        return "<p>There is nothing to compare.</p>"
    x = np.array([one.mixing.diversity or np.nan for one in shown if one.mixing])
    even = max(one.mixing.even_diversity or 1.0 for one in shown if one.mixing)
    bounds = np.array(
        [(one.reported.low, one.reported.mean, one.reported.high) for one in shown if one.reported], float
    )
    bounds = np.where(np.isfinite(bounds), bounds, bounds[:, 1:2])
    top = max(float(bounds.max()) * 1.08, 1e-9)
    width, height, left, bottom = 640, 320, 46, 36
    along = left + (x - 1) / max(even - 1, 1e-9) * (width - left - 90)
    up = height - bottom - bounds / top * (height - bottom - 12)
    marks = []
    for one, place, (low, mean, high) in zip(shown, along, up, strict=True):
        colour = COLOURS[1] if one.method == audit.choice.method else COLOURS[0]
        marks.append(
            f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>'
            f'<circle cx="{place:.1f}" cy="{mean:.1f}" r="5" fill="{colour}"/>'
            f'<text x="{place + 8:.1f}" y="{mean - 6:.1f}">{escape(one.method)}</text>'
        )
    axes = f'<path class="axis" d="M{left} 8V{height - bottom}H{width - 40}"/>'
    words = (
        f'<text x="{left}" y="{height - 20}">1 batch in a neighbourhood</text>'
        f'<text x="{width - 150}" y="{height - 20}">{even:.2f}, evenly mixed</text>'
        f'<text x="{left - 6}" y="{height - bottom}" text-anchor="end">0</text>'
        f'<text x="{left - 6}" y="18" text-anchor="end">{top:.2f}</text>'
    )
    caption = (
        "Up: mean average precision of replicates in other batches and positions, perturbations that were not chosen "
        "on, with 95 % interval. Right: batches in a neighbourhood (LISI). Orange: what was picked."
    )
    svg = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img">{axes}{"".join(marks)}{words}</svg>'
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _key(batches: Sequence[str]) -> str:
    shown = [
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(batches[:_SHOWN_BATCHES])
    ]
    more = f"<span>and {len(batches) - _SHOWN_BATCHES} more</span>" if len(batches) > _SHOWN_BATCHES else ""
    return f'<p class="key">{"".join(shown)}{more}</p>'


def _plane(one: MethodAudit) -> str:
    assert one.plane is not None  # noqa: S101 - asked for by the caller
    paths = [
        f'<path d="{_dots(_placed(one.plane)[one.plane.batches == batch])}" stroke="{COLOURS[batch % len(COLOURS)]}" '
        'stroke-width="3.2" stroke-linecap="round" stroke-opacity=".65" fill="none"/>'
        for batch in np.unique(one.plane.batches)
    ]
    caption = f"{escape(one.method)}: components 1 and 2, {one.plane.shares[0]:.1%} and {one.plane.shares[1]:.1%}"
    svg = f'<svg viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}" height="{_SIDE}" role="img">{"".join(paths)}</svg>'
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _placed(plane: Plane) -> NDArray[np.float64]:
    """Return the points in the picture's units, cut at the 0.5 and 99.5 percentiles: few wells shall not rule it."""
    low, high = np.quantile(plane.places, [0.005, 0.995], axis=0)
    span = np.maximum(high - low, 1e-12)
    placed: NDArray[np.float64] = _MARGIN + np.clip((plane.places - low) / span, 0, 1) * (_SIDE - 2 * _MARGIN)
    return placed


def _dots(places: NDArray[np.float64]) -> str:
    return "".join(f"M{x:.1f} {_SIDE - y:.1f}h0" for x, y in places)
