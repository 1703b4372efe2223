"""Treatments of one well in a screen: what they are compared with, and that they change nothing for others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from hcs.hits.activity import call_activity, evaluate
from hcs.hits.explain import sentences_of_call
from hcs.hits.explain_hit import WellFacts
from hcs.hits.singlicates import call_singlicates
from hcs.hits.treatments import screen_wells


def call(profiles: np.ndarray, wells: pl.DataFrame) -> pl.DataFrame:
    return call_activity(profiles, wells, profile_name="combined", q_max=0.05, seed=3)


def primary(make_screen: Callable, *, n_plates: int = 8, n_controls: int = 24, seed: int = 0) -> tuple:
    """Plates on which every treatment well has a name of its own; two of eight are far from all controls."""
    profiles, wells = make_screen([4.0, 4.0] + [0.0] * 6, n_plates=n_plates, n_controls=n_controls, seed=seed)
    own = pl.when(pl.col("control_type") == "treatment").then(pl.format("{} of {}", "perturbation", "plate"))
    return profiles, wells.with_columns(perturbation=own.otherwise("perturbation"))


def test_wells_far_from_the_controls_are_hits_with_what_is_known_of_them(make_screen: Callable) -> None:
    profiles, wells = primary(make_screen)

    calls = call(profiles, wells)

    is_far = calls["perturbation"].str.contains("^c[01] ")
    assert set(calls.filter(is_far)["call"]) == {"active"}
    assert calls.filter(~is_far)["is_hit"].sum() <= 3
    first = calls.row(0, named=True)
    assert first["n_replicates"] == 1
    assert first["n_controls"] == 12
    assert first["smallest_possible_p"] == pytest.approx(1 / (1 + 8 * 12))
    assert first["mean_average_precision"] is None
    assert first["p_position"] == first["p_value"]
    assert first["reason"] == ("one replicate: p is of its distance from controls, beside those of 96 held out for it")
    said = sentences_of_call(first)
    assert (
        said[0]
        == f"whether its place explains it cannot be told of one well: its p-value, {first['p_value']:.2g}, stays"
    )
    assert "it has one well: whether it would look alike in another one is not known" in said
    assert not any("not tested" in sentence for sentence in said)


def test_p_values_are_those_of_single_wells_by_themselves(make_screen: Callable) -> None:
    profiles, wells = primary(make_screen, seed=1)
    is_control = (wells["control_type"] == "negcon").to_numpy()

    calls = call(profiles, wells)

    alone = call_singlicates(profiles, plates=wells["plate"], wells=wells["well"], is_control=is_control)
    names = wells["perturbation"].to_numpy()[alone["row"].to_numpy()]
    expected = dict(zip(names.tolist(), alone["p_value"].to_list(), strict=True))
    assert dict(calls.select("perturbation", "p_value").iter_rows()) == pytest.approx(expected, rel=1e-12)


def test_they_change_no_call_of_treatments_with_replicates(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.4, 0.6, 3.0, 0.0, 0.0], n_plates=4, n_controls=12, seed=2)
    single = (pl.col("perturbation") == "c4") & (pl.col("plate") != "P0")
    with_single = wells.with_row_index().filter(~single)["index"].to_numpy()
    without = wells.with_row_index().filter(pl.col("perturbation") != "c4")["index"].to_numpy()

    calls, expected = call(profiles[with_single], wells[with_single]), call(profiles[without], wells[without])

    assert calls.filter(pl.col("perturbation") != "c4").equals(expected)
    one = calls.row(by_predicate=pl.col("perturbation") == "c4", named=True)
    assert one["q_value"] == one["p_value"]
    assert one["call"] in {"inactive", "underpowered"}


def test_controls_of_another_cell_line_are_not_looked_at(make_screen: Callable) -> None:
    profiles, wells = primary(make_screen)
    is_other = wells["plate"].is_in(["P4", "P5", "P6", "P7"]).to_numpy()
    wider = np.where(is_other[:, None], 3 * profiles, profiles)
    screen = screen_wells(wider, wells)

    calls = evaluate(screen, q_max=0.05, seed=0, facts=WellFacts(strata=is_other.astype(int))).calls

    rows = np.flatnonzero(~is_other)
    alone = evaluate(screen_wells(profiles[rows], wells[rows]), q_max=0.05, seed=0).calls
    mine = calls.filter(pl.col("perturbation").is_in(alone["perturbation"].implode()))
    assert mine["p_value"].to_list() == alone["p_value"].to_list()
    assert mine["smallest_possible_p"].unique().to_list() == [pytest.approx(1 / (1 + 4 * 12))]


@pytest.mark.parametrize(
    ("n_controls", "reason"),
    [
        pytest.param(1, "fewer than 2 negative controls on its plate", id="one-control"),
        pytest.param(0, "no negative control on the plates", id="no-control"),
    ],
)
def test_a_plate_without_controls_to_compare_with_is_told(make_screen: Callable, n_controls: int, reason: str) -> None:
    profiles, wells = primary(make_screen)
    gone = (pl.col("plate") == "P3") & (pl.col("control_type") == "negcon")
    order = pl.int_range(pl.len()).over("plate", "control_type")
    rows = wells.with_row_index().filter(~(gone & (order >= n_controls)))["index"].to_numpy()

    calls = call(profiles[rows], wells[rows])

    left = calls.filter(pl.col("perturbation").str.ends_with("P3"))
    assert set(left["call"]) == {"not_callable"}
    assert left["p_value"].null_count() == left.height
    assert all(reason in one for one in left["reason"])
    assert calls.filter(~pl.col("perturbation").str.ends_with("P3"))["p_value"].null_count() == 0


def test_controls_that_do_not_differ_leave_wells_that_cannot_be_called(make_screen: Callable) -> None:
    profiles, wells = primary(make_screen, n_plates=2, n_controls=4)
    is_control = (wells["control_type"] == "negcon").to_numpy()

    calls = call(np.where(is_control[:, None], 0.0, profiles), wells)

    assert set(calls["call"]) == {"not_callable"}
    assert all("its distance from controls cannot be told: a covariance needs" in one for one in calls["reason"])


def test_where_no_plate_has_four_controls_the_reason_says_so(make_screen: Callable) -> None:
    calls = call(*primary(make_screen, n_controls=3))

    assert set(calls["call"]) == {"not_callable"}
    assert all("a plate with at least 4 negative controls is expected" in one for one in calls["reason"])


def test_two_fitted_controls_are_too_few_for_a_distance(make_screen: Callable) -> None:
    profiles, wells = primary(make_screen, n_plates=1, n_controls=4)

    calls = call(profiles, wells)

    assert set(calls["call"]) == {"not_callable"}
    assert all("too few or too alike" in one for one in calls["reason"])


def test_controls_at_shared_places_are_not_said_to_correct_single_wells(make_screen: Callable) -> None:
    profiles, wells = primary(make_screen)

    activity = evaluate(screen_wells(profiles, wells), q_max=0.05, seed=0)

    assert activity.sentences == ()


def test_names_of_plates_and_the_order_of_rows_change_no_bit(make_screen: Callable) -> None:
    profiles, wells = primary(make_screen, seed=5)
    order = np.random.default_rng(0).permutation(wells.height)
    renamed = wells.with_columns(pl.format("{}z", pl.col("plate").str.reverse()).alias("plate"))

    assert call(profiles[order], renamed[order]).equals(call(profiles, wells))
