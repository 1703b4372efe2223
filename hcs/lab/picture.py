"""Small pictures as SVG: a curve and a scatter, drawn without a plotting library."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

WIDTH, HEIGHT, MARGIN = 720, 440, 56
COLOURS: Final = ("#3b6fb6", "#d1495b", "#66a182", "#edae49", "#7b5ea7", "#2e4057", "#00a5a8", "#9c6644")
"""Of categories, in the order that they come; told apart also by people who see fewer colours by their shape."""
SHAPES: Final = ("circle", "square", "triangle", "diamond")
_LEGEND_Y: Final = 44
_LETTER: Final = 7
"""Width of a letter in pixels, about."""

Points = Sequence[tuple[float, float]]

_IMPOSSIBLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, in whatever form."""


class Dot(NamedTuple):
    """A point of a scatter. `shade` in [0, 1] makes it paler towards 0; `label` is shown when it is pointed at."""

    x: float
    y: float
    kind: str
    label: str
    shade: float = 1.0


def curve_svg(curves: Mapping[str, Points], *, title: str, x: str, y: str) -> str:
    """Return curves by their name over common axes. A curve without points is left out."""
    drawn = {name: list(points) for name, points in curves.items() if points}
    scale = _Scale([point for points in drawn.values() for point in points], y_from_zero=True)
    body = []
    for index, (name, points) in enumerate(drawn.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{scale.x(a):.1f},{scale.y(b):.1f}" for a, b in points)
        body.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
        body.append(_text(WIDTH - MARGIN, MARGIN + 18 * index, name, colour=colour, anchor="end"))
    return _frame(body, scale, title=title, x=x, y=y)


def scatter_svg(dots: Sequence[Dot], *, title: str, x: str, y: str) -> str:
    """Return a scatter with one colour and shape a kind, and a legend."""
    scale = _Scale([(dot.x, dot.y) for dot in dots])
    kinds = sorted({dot.kind for dot in dots})
    body = []
    for dot in dots:
        index = kinds.index(dot.kind)
        mark = _mark(scale.x(dot.x), scale.y(dot.y), SHAPES[index % len(SHAPES)])
        colour, opacity = COLOURS[index % len(COLOURS)], 0.25 + 0.75 * dot.shade
        body.append(f'<g fill="{colour}" fill-opacity="{opacity:.2f}">{mark}<title>{escape(dot.label)}</title></g>')
    return _frame([*body, *_legend(kinds)], scale, title=title, x=x, y=y)


def _legend(kinds: Sequence[str]) -> list[str]:
    """Return a row above the points with the mark and the name of every kind."""
    marks, place = [], MARGIN + 8.0
    for index, kind in enumerate(kinds):
        mark = _mark(place, _LEGEND_Y - 4.5, SHAPES[index % len(SHAPES)])
        marks.append(f'<g fill="{COLOURS[index % len(COLOURS)]}">{mark}</g>')
        marks.append(_text(place + 12, _LEGEND_Y, kind, anchor="start"))
        place += 36 + _LETTER * len(kind)
    return marks


class _Scale:
    """Where values lie on the picture."""

    def __init__(self, points: Points, *, y_from_zero: bool = False) -> None:
        xs, ys = [point[0] for point in points] or [0.0, 1.0], [point[1] for point in points] or [0.0, 1.0]
        self.x_range = _range(xs)
        self.y_range = _range([0.0, *ys] if y_from_zero else ys)

    def x(self, value: float) -> float:
        low, high = self.x_range
        return MARGIN + (value - low) / (high - low) * (WIDTH - 2 * MARGIN)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return HEIGHT - MARGIN - (value - low) / (high - low) * (HEIGHT - 2 * MARGIN)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.5
    return (low if low == 0 else low - margin, high + margin)


def _mark(x: float, y: float, shape: str) -> str:
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
    if shape == "square":
        return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"/>'
    around = [(0, -6), (5.5, 4.5), (-5.5, 4.5)] if shape == "triangle" else [(0, -6), (6, 0), (0, 6), (-6, 0)]
    return f'<polygon points="{" ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in around)}"/>'


def _text(x: float, y: float, text: str, *, colour: str = "#333", anchor: str = "middle", size: int = 13) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def escape(text: str) -> str:
    """Return a text as it may stand in XML, between tags and in quotes."""
    return html.escape(_IMPOSSIBLE.sub("\ufffd", text))


def _frame(body: Sequence[str], scale: _Scale, *, title: str, x: str, y: str) -> str:
    left, right, top, bottom = MARGIN, WIDTH - MARGIN, MARGIN, HEIGHT - MARGIN
    (x_low, x_high), (y_low, y_high) = scale.x_range, scale.y_range
    axes = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{left},{top - 16} V{bottom} H{right}" fill="none" stroke="#999"/>',
        _text(WIDTH / 2, 24, title, size=15),
        _text((left + right) / 2, bottom + 38, x),
        f'<g transform="translate(16,{(top + bottom) / 2:.0f}) rotate(-90)">{_text(0, 0, y)}</g>',
        _text(left, bottom + 18, f"{x_low:.3g}"),
        _text(right, bottom + 18, f"{x_high:.3g}"),
        _text(left - 6, bottom, f"{y_low:.3g}", anchor="end"),
        _text(left - 6, top, f"{y_high:.3g}", anchor="end"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" role="img" '
        f'aria-label="{escape(title)}">' + "".join([*axes, *body]) + "</svg>\n"
    )
