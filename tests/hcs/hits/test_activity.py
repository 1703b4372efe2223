"""Calls: families, thresholds, and what cannot be called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control

from hcs.errors import InputRejectedError
from hcs.hits.activity import call_activity, evaluate
from hcs.hits.treatments import screen_wells
from schemas.tables import TreatmentCalls


def call(profiles: np.ndarray, wells: pl.DataFrame, *, q_max: float = 0.05, seed: int = 0) -> pl.DataFrame:
    return call_activity(profiles, wells, profile_name="combined", q_max=q_max, seed=seed)


def test_strong_treatments_are_active_and_others_are_not(make_screen: Callable) -> None:
    calls = call(*make_screen([0.0] * 6 + [3.0] * 3, n_plates=4))

    assert calls["call"].to_list() == ["inactive"] * 6 + ["active"] * 3
    assert (calls["is_hit"] == (calls["call"] == "active")).all()
    assert (calls["profile"] == "combined").all()
    assert calls["mean_average_precision"].to_numpy()[6:] == pytest.approx(1.0, abs=0.05)
    TreatmentCalls.validate(calls)


def test_treatments_and_positive_controls_are_families_of_their_own(make_screen: Callable) -> None:
    calls = call(*make_screen([0.0, 0.5, 1.0, 3.0], n_plates=3, poscon=3.0))
    treatments, positives = calls.partition_by("control_type", maintain_order=True)

    np.testing.assert_allclose(treatments["q_value"], false_discovery_control(treatments["p_position"]))
    assert positives["perturbation"].to_list() == ["positive"]
    assert positives["q_value"].to_list() == positives["p_position"].to_list()
    assert "DMSO" not in calls["perturbation"]


def test_a_layout_that_cannot_reach_the_threshold_is_underpowered_not_inactive(make_screen: Callable) -> None:
    # Two plates of one replicate and 2 controls: 9 designs, p is never below .11.
    calls = call(*make_screen([5.0, 0.0], n_plates=2, n_controls=2))

    assert calls["smallest_possible_p"].to_list() == pytest.approx([1 / 9, 1 / 9])
    assert calls["call"].to_list() == ["underpowered", "underpowered"]


def test_what_could_be_called_is_not_underpowered_and_the_family_decides(make_screen: Callable) -> None:
    # 81 designs: .0123 passes alone among 4 treatments, and not among 5.
    few, many = (call(*without_positions(*make_screen([0.0] * n, n_plates=2, seed=1))) for n in (4, 5))

    assert set(few["call"]) == {"inactive"}
    assert set(many["call"]) == {"underpowered"}


def without_positions(
    profiles: np.ndarray, wells: pl.DataFrame, *, of: str = "negcon"
) -> tuple[np.ndarray, pl.DataFrame]:
    """No position holds a well of this kind on two plates."""
    own = pl.concat_str("plate", "well")
    return profiles, wells.with_columns(well=pl.when(pl.col("control_type") == of).then(own).otherwise("well"))


def test_without_shared_control_positions_the_p_value_is_as_it_came(make_screen: Callable) -> None:
    calls = call(*without_positions(*make_screen()))

    assert set(calls["position_verdict"]) == {"not_testable"}
    assert calls["p_position"].to_list() == calls["p_value"].to_list()
    assert calls["smallest_possible_p_position"].to_list() == calls["smallest_possible_p"].to_list()


def test_treatments_that_share_no_position_keep_their_p_value(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 0.5, 3.0], n_plates=4, n_controls=12)
    moved = without_positions(profiles, wells, of="treatment")

    dealt, fixed = (evaluate(screen_wells(*each), q_max=0.05, seed=0) for each in (moved, (profiles, wells)))

    assert set(dealt.calls["position_verdict"]) == {"not_shared"}
    assert dealt.calls["p_position"].to_list() == dealt.calls["p_value"].to_list() == fixed.calls["p_value"].to_list()
    assert "treatments lie in other positions on other plates" in dealt.sentences[0]
    assert set(fixed.calls["position_verdict"]) == {"corrected"}
    assert "of 12 positions" in fixed.sentences[0]


def test_positions_that_are_alike_for_nothing_leave_nothing_to_be_called(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 2.0], n_plates=4, n_controls=16)
    of_wells = np.random.default_rng(5).normal(scale=3.0, size=(wells["well"].n_unique(), 12))
    moved = profiles + of_wells[wells["well"].rank("dense").to_numpy() - 1]

    found = evaluate(screen_wells(moved, wells), q_max=0.05, seed=0)

    assert (found.calls["p_value"] < 0.05).all()
    assert set(found.calls["call"]) == {"underpowered"}
    assert (found.calls["p_position"] > found.calls["p_value"]).all()
    assert "16 of 16 positions" in found.sentences[0]
    assert "no treatment can be called: the smallest p-value that the positions leave" in found.sentences[1]


def test_hits_alone_carry_what_else_could_explain_them(make_screen: Callable) -> None:
    calls = call(*make_screen([0.0] * 4 + [3.0], n_plates=4, n_replicates=2))

    verdicts = calls.select("explained_by_count", "channel_verdict", "batch_verdict", "quality_verdict").rows()
    assert verdicts[:4] == [(None,) * 4] * 4
    assert verdicts[4] == ("not_explained", "cannot_tell", "every_batch", "cannot_tell")
    hit = calls.row(4, named=True)
    assert (hit["n_batches_testable"], hit["n_batches_holding"], hit["n_other_positions"]) == (2, 2, 8)
    assert hit["other_positions_precision"] > 0.9


def test_many_strong_treatments_are_active_together_where_one_alone_would_be_underpowered(
    make_screen: Callable,
) -> None:
    calls = call(*make_screen([6.0] * 5, n_plates=2, n_controls=8))

    assert set(calls["call"]) == {"active"}


def test_a_screen_without_negative_controls_is_not_callable(make_screen: Callable) -> None:
    calls = call(*make_screen([3.0, 0.0], n_plates=3, n_controls=0, poscon=3.0))

    assert set(calls["call"]) == {"not_callable"}
    assert calls["reason"][0] == "no negative control on the plates of its 3 replicates: nothing to compare with"
    assert set(calls["n_controls"]) == {0}
    assert set(calls["n_replicates"]) == {0}


def test_counts_are_those_of_the_replicates_used(make_screen: Callable) -> None:
    row = call(*make_screen([0.0], n_plates=3, n_replicates=2, n_controls=5)).row(0, named=True)

    assert {name: row[name] for name in ("n_replicates", "n_plates", "n_batches", "n_controls")} == {
        "n_replicates": 6, "n_plates": 3, "n_batches": 2, "n_controls": 15,
    }  # fmt: skip


def test_all_negative_control_perturbations_serve_together(make_screen: Callable) -> None:
    profiles, wells = make_screen([3.0], n_plates=3, n_controls=8)
    index = pl.int_range(pl.len()).over("plate", "control_type")
    renamed = wells.with_columns(
        perturbation=pl.when((pl.col("control_type") == "negcon") & (index % 2 == 0))
        .then(pl.lit("untreated"))
        .otherwise("perturbation")
    )

    assert call(profiles, renamed).equals(call(profiles, wells))


def test_doses_of_one_perturbation_are_called_one_by_one(make_screen: Callable) -> None:
    profiles, wells = make_screen({"a": 0.0, "b": 4.0}, n_plates=4, seed=1)
    wells = wells.with_columns(
        concentration_micromolar=pl.when(pl.col("perturbation") == "b").then(10.0).otherwise(0.1),
        perturbation=pl.when(pl.col("control_type") == "treatment").then(pl.lit("a")).otherwise("perturbation"),
    )

    calls = call(profiles, wells)

    assert calls["concentration_micromolar"].to_list() == [0.1, 10.0]
    assert calls["call"].to_list() == ["inactive", "active"]


def test_rows_are_sorted_treatments_first(make_screen: Callable) -> None:
    calls = call(*make_screen({"z": 0.0, "a": 0.0}, poscon=0.0))

    assert calls["perturbation"].to_list() == ["a", "z", "positive"]


def test_another_treatment_changes_no_p_value(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 0.5, 1.0], n_plates=4)
    kept = wells.with_row_index().filter(pl.col("perturbation") != "c1")["index"].to_numpy()

    alone, together = call(profiles[kept], wells[kept]), call(profiles, wells)

    assert alone["p_value"].to_list() == together.filter(pl.col("perturbation") != "c1")["p_value"].to_list()


def test_a_stricter_threshold_has_fewer_hits(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 0.4, 0.6, 0.8, 1.0, 3.0], n_plates=5)

    strict, lax = (call(profiles, wells, q_max=q_max) for q_max in (0.001, 0.5))

    assert strict["is_hit"].sum() < lax["is_hit"].sum()
    assert strict["q_value"].to_list() == lax["q_value"].to_list()


def test_wells_without_any_difference_are_called_inactive(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 0.0], n_plates=4)

    calls = call(np.zeros_like(profiles), wells)

    assert calls["p_value"].to_list() == [1.0, 1.0]
    assert calls["effect"].to_list() == [None, None]


def test_wells_that_are_copies_of_one_another_are_called_whatever_their_order(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 1.0], n_plates=3, n_controls=6)
    profiles[::2] = profiles[0]
    order = np.random.default_rng(0).permutation(wells.height)

    assert call(profiles[order], wells[order]).equals(call(profiles, wells))


def test_constant_features_change_no_p_value(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 0.7, 3.0], n_plates=3)

    padded = np.hstack([profiles, np.full((len(profiles), 2), 4.2)])

    assert call(padded, wells)["p_value"].to_list() == call(profiles, wells)["p_value"].to_list()


def test_a_profile_with_nan_is_refused(make_screen: Callable) -> None:
    profiles, wells = make_screen()
    profiles[0, 0] = np.nan

    with pytest.raises(InputRejectedError, match="finite"):
        call(profiles, wells)


@pytest.mark.parametrize("kept", ["negcon", "none"])
def test_a_screen_without_treatments_has_no_calls(make_screen: Callable, kept: str) -> None:
    profiles, wells = make_screen([0.0], n_plates=2)
    rows = wells.with_row_index().filter(pl.col("control_type") == kept)["index"].to_numpy()

    calls = call(profiles[rows], wells[rows])

    assert calls.height == 0
    TreatmentCalls.validate(calls)
