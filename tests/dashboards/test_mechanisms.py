"""The page of mechanisms: which are among the hits, the map, and its clusters."""

from __future__ import annotations

import time

import pytest
from apps import Opened
from hypothesis import given
from hypothesis import strategies as st
from served import COMPOUNDS, Finished

from dashboards.views.mechanisms_chart import (
    COLOURS,
    GROUPINGS,
    MARKS,
    OTHERS,
    UNKNOWN,
    drawn_points,
    groups_of,
    map_chart,
    map_said,
    point_rows,
)
from dashboards.views.mechanisms_map import taken_by
from dashboards.views.mechanisms_words import (
    cluster_rows,
    clusters_said,
    figure_said,
    found_among_hits,
    mechanism_rows,
    treatment_rows,
)
from hcs.client import Client
from schemas.api import Mechanism
from schemas.api_results import ClusterFigure, ClusterRow, MapPoint

SECONDS_FOR_A_MAP = 120


def point(number: int, **changes: object) -> MapPoint:
    plain = {
        "treatment": f"T{number}@1", "perturbation": f"T{number}", "control_type": "treatment", "name": None,
        "mechanism": f"m{number % 12}", "call": "active", "q_value": number / 10_000, "effect": 2.0,
        "cluster": number % 3 or None, "probability": 1.0, "umap_x": float(number % 71), "umap_y": float(number % 37),
        "cell_count_ratio": 0.9, "batches": ("b1",), "plates": ("P1", "P2"),
    }  # fmt: skip
    return MapPoint.model_validate(plain | changes)


def test_mechanisms_are_those_of_the_api_and_hostile_names_stay_text(opened: Opened) -> None:
    app = opened("mechanisms")

    with Client() as client:
        truth = {one.label: (one.hits, one.treatments) for one in client.mechanisms()}
    table = app.dataframe[0].value
    shown = {row["label"]: (row["hits"], row["treatments"]) for _, row in table.iterrows()}
    assert shown == truth


@pytest.mark.slow
def test_the_map_of_all_treatments_comes_and_has_every_treatment(opened: Opened) -> None:
    app = opened("mechanisms", everything="true")
    give_up = time.monotonic() + SECONDS_FOR_A_MAP
    while any("being made" in info.value for info in app.info):
        assert time.monotonic() < give_up
        time.sleep(0.5)
        app.run()

    with Client() as client:
        truth = client.map("run-1", everything=True)
    assert truth is not None
    table = next(table.value for table in app.dataframe if "treatment" in table.value)
    assert sorted(table["treatment"]) == sorted(one.treatment for one in truth.items)
    assert {name.split("@")[0] for name in table["treatment"]} == set(COMPOUNDS)
    assert app.header[-1].value == "Against chance"


def test_a_state_that_is_nonsense_is_as_none(opened: Opened) -> None:
    app = opened("mechanisms", colour="Weight", cluster="77", run="run-1")

    assert app.segmented_control(key="colour").value == COLOURS[0]


def test_what_the_api_cannot_do_is_said_on_the_page(
    opened: Opened, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCS_API_KEY", finished.keys.revoked)

    assert "not valid" in opened("mechanisms").warning[0].value


@given(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=60), st.integers(0, 5))
def test_groups_are_few_and_the_frequent_ones_keep_their_name(labels: list[str], n_unknown: int) -> None:
    points = [point(number, mechanism=label) for number, label in enumerate(labels)]
    points += [point(1000 + number, mechanism=None) for number in range(n_unknown)]
    groups = groups_of(points, "Mechanism")

    named = set(groups) - {OTHERS, UNKNOWN}
    assert len(named) <= 7
    assert groups.count(UNKNOWN) == n_unknown
    counts = {label: labels.count(label) for label in set(labels)}
    assert all(
        group in {OTHERS, point.mechanism} for group, point in zip(groups, points, strict=True) if point.mechanism
    )
    assert min((counts[name] for name in named), default=0) >= max(
        (counts[label] for label in set(labels) - named), default=0
    )


@pytest.mark.parametrize("by", list(GROUPINGS))
def test_a_group_has_a_colour_and_a_shape_of_its_own(by: str) -> None:
    points = [point(number, batches=(f"b{number % 12}",), plates=(f"P{number % 12}",)) for number in range(120)]
    groups = groups_of(points, by)
    encoding = map_chart(groups, by=by)["encoding"]

    for name in ("color", "shape"):
        scale = encoding[name]["scale"]
        assert set(scale["domain"]) == set(groups)
        assert len(set(scale["range"])) == len(scale["range"]) == len(scale["domain"])


def test_of_thousands_the_surest_are_drawn_and_said_in_words() -> None:
    points = [point(number) for number in range(5_000)]
    points.append(point(9_999, umap_x=None, umap_y=None))
    drawn = drawn_points(points[::-1])

    assert [one.treatment for one in drawn] == [f"T{number}@1" for number in range(MARKS)]
    frame = point_rows(drawn, by="Mechanism", faint=lambda one: one.cluster is None)
    assert frame.height == MARKS
    assert frame["faint"].sum() == sum(one.cluster is None for one in drawn)
    assert map_said(drawn, by="Mechanism").startswith(
        "Map of 2,000 treatments in two dimensions, coloured by mechanism"
    )


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), max_size=20),
    st.tuples(*[st.floats(-9, 9)] * 4),
)
def test_a_box_takes_what_lies_in_it_and_a_click_one(
    places: list[tuple[float, float]], box: tuple[float, float, float, float]
) -> None:
    points = [point(number, umap_x=x, umap_y=y) for number, (x, y) in enumerate(places)]
    left, right, low, high = box
    taken = taken_by(points, {"box": {"x": [left, right], "y": [low, high]}})

    inside = [
        number for number, (x, y) in enumerate(places)
        if min(left, right) <= x <= max(left, right) and min(low, high) <= y <= max(low, high)
    ]  # fmt: skip
    assert taken is not None
    assert [one.treatment for one in taken] == [f"T{number}@1" for number in inside]
    assert taken_by(points, {}) is None
    if points:
        assert taken_by(points, {"point": [{"treatment": "T0@1"}], "box": {}}) == points[:1]


def test_tables_hold_names_as_they_are_and_words_have_them_escaped() -> None:
    name = "<script>" + "x" * 400
    row = ClusterRow(
        cluster=1, size=3, n_perturbations=3, members=(name, "=1+1"), mechanism=name, n_with_mechanism=2,
        p_value=0.001, q_value=0.002, share_annotated=2 / 3,
    )  # fmt: skip

    assert cluster_rows([row])["mechanism"][0] == name
    assert treatment_rows([point(1, name=name)])["name"][0] == name
    words = clusters_said([row])
    assert "<script>" not in words
    assert "q 0.002" in words
    assert len(words) < 200
    assert "<script>" not in found_among_hits([Mechanism(label=name, treatments=2, hits=1)])


def test_figures_are_said_beside_chance_and_why_one_is_not_there() -> None:
    retrieved = ClusterFigure(figure="not_same_compound", value=0.88, shuffled=0.107, n=17, reason=None)
    missing = ClusterFigure(
        figure="not_same_compound_or_batch", value=None, shuffled=None, n=0, reason="all wells are of one batch"
    )
    plainly = [figure_said(one).replace("\\", "") for one in (retrieved, missing)]

    assert plainly[0] == (
        "The nearest other compound shares the mechanism for 88% of 17 annotated profiles; "
        "shuffled annotations give 11%."
    )
    assert plainly[1].endswith("not known, since all wells are of one batch.")


def test_mechanisms_with_most_hits_come_first_and_none_is_said() -> None:
    some = [Mechanism(label="a", treatments=4, hits=1), Mechanism(label="b", treatments=4, hits=2)]

    assert mechanism_rows(some)["label"].to_list() == ["b", "a"]
    assert mechanism_rows(some)["share"].to_list() == [50.0, 25.0]
    assert found_among_hits(some) == "2 of 2 mechanisms are among the hits; first b (2 of 4), a (1 of 4)."
    assert "annotations" in found_among_hits([])
    assert "None of 1 mechanism" in found_among_hits([Mechanism(label="a", treatments=4, hits=0)])
