from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.lab.picture import COLOURS, HEIGHT, MARGIN, WIDTH, Dot, curve_svg, scatter_svg

HOSTILE = "</title><script>alert('&amp;\"')</script>\x00\x1b\ud800\uffff"
MARKS = ("circle", "rect", "polygon")

FLOATS = st.floats(-1e6, 1e6)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def elements(svg: str, name: str) -> list[ElementTree.Element]:
    return parsed(svg).findall(f".//{{*}}{name}")


def curve_points(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]
        for line in elements(svg, "polyline")
    ]


def labels(svg: str) -> list[str | None]:
    return [element.text for element in elements(svg, "title")]


def test_a_curve_is_drawn_to_scale() -> None:
    svg = curve_svg({"loss": [(0, 4.0), (50, 2.0), (100, 1.0)], "none": []}, title="t", x="step", y="loss")

    ((first, second, third),) = curve_points(svg)

    assert first[0] < second[0] < third[0]
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.11)
    assert second[1] - first[1] == pytest.approx(2 * (third[1] - second[1]), abs=0.3), "y grows downwards"
    texts = [element.text for element in elements(svg, "text")]
    assert {"t", "step", "loss"} <= set(texts)
    assert "none" not in texts, "a curve without points has no name either"


def test_curves_have_the_same_axes_and_colours_of_their_own() -> None:
    svg = curve_svg({"a": [(0, 1), (1, 1)], "b": [(0, 2), (1, 2)]}, title="t", x="x", y="y")

    a, b = curve_points(svg)

    assert a[0][1] > b[0][1]
    assert [line.attrib["stroke"] for line in elements(svg, "polyline")] == list(COLOURS[:2])


@given(points=st.lists(st.tuples(FLOATS, FLOATS), max_size=6), named=st.text())
def test_whatever_a_curve_is_it_parses_and_stays_in_the_picture(points: list[tuple[float, float]], named: str) -> None:
    svg = curve_svg({named: points}, title=named, x=named, y=named)

    for x, y in (point for line in curve_points(svg) for point in line):
        assert MARGIN <= x <= WIDTH - MARGIN
        assert MARGIN <= y <= HEIGHT - MARGIN


@given(
    dots=st.lists(
        st.builds(Dot, x=FLOATS, y=FLOATS, kind=st.text(), label=st.text(), shade=st.floats(0, 1)), max_size=6
    )
)
def test_whatever_a_scatter_is_it_parses_and_every_dot_has_its_label(dots: list[Dot]) -> None:
    svg = scatter_svg(dots, title="t", x="x", y="y")

    assert len(labels(svg)) == len(dots)
    for group in elements(svg, "g"):
        assert 0.25 <= float(group.attrib.get("fill-opacity", 1)) <= 1


def test_hostile_names_are_text_and_nothing_else() -> None:
    dots = [Dot(0, 0, HOSTILE, HOSTILE), Dot(1, 1, "kind", "label")]

    for svg in (
        scatter_svg(dots, title=HOSTILE, x=HOSTILE, y=HOSTILE),
        curve_svg({HOSTILE: [(0, 1)]}, title=HOSTILE, x=HOSTILE, y=HOSTILE),
    ):
        shown = HOSTILE[:-4] + 4 * "\ufffd"
        assert elements(svg, "script") == []
        assert parsed(svg).attrib["aria-label"] == shown
        assert [element.text for element in elements(svg, "text")].count(shown) == 4
        svg.encode("utf-8")
    assert labels(scatter_svg(dots, title="t", x="x", y="y")) == [HOSTILE[:-4] + 4 * "\ufffd", "label"]


def test_an_empty_picture_has_its_axes_and_no_mark() -> None:
    for svg in (scatter_svg([], title="t", x="x", y="y"), curve_svg({"loss": []}, title="t", x="x", y="y")):
        assert elements(svg, "polyline") == elements(svg, "title") == []
        assert len(elements(svg, "path")) == 1


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0, 1e-12])
@pytest.mark.parametrize("n", [1, 5])
def test_one_point_and_constant_values_lie_inside(value: float, n: int) -> None:
    svg = scatter_svg([Dot(value, value, "k", "l")] * n, title="t", x="x", y="y")
    curve = curve_svg({"loss": [(value, abs(value))] * n}, title="t", x="x", y="y")

    circles = elements(svg, "circle")
    assert len(circles) == n + 1, "and one in the legend"
    for mark in circles[:n]:
        assert MARGIN <= float(mark.attrib["cx"]) <= WIDTH - MARGIN
        assert MARGIN <= float(mark.attrib["cy"]) <= HEIGHT - MARGIN
    assert len(set(curve_points(curve)[0])) == 1


def test_kinds_are_told_apart_by_colour_and_by_shape() -> None:
    kinds = ["a", "b", "c", "d"]
    svg = scatter_svg([Dot(i, i, kind, kind) for i, kind in enumerate(kinds)], title="t", x="x", y="y")

    drawn = [group for group in elements(svg, "g") if group.find("{*}title") is not None]
    shapes = {tuple(child.tag.split("}")[1] for child in group if child.tag.split("}")[1] in MARKS) for group in drawn}

    assert len({group.attrib["fill"] for group in drawn}) == 4
    assert shapes == {("circle",), ("rect",), ("polygon",)}
    assert len({group.find("{*}polygon").attrib["points"].count(" ") for group in drawn[2:]}) == 2
