"""Hits gained and lost, against a few lines of plain Python."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.catalog import HitLimits, compare_hits, find_hits, publish
from hcs.catalog.comparing import FIGURES, KEY, KNOWN, compared
from hcs.catalog.hits import CALLS
from hcs.errors import NotFoundError, UsageError
from schemas.work import RunState

COLUMNS = {name: CALLS[name] for name in (*KEY, *KNOWN, *FIGURES)}
Q_VALUES = [None, 0.001, 0.05, 0.050001, 0.9]


def side(calls):
    """One side's calls, from (treatment, control type) -> q value."""
    rows = [
        {**dict.fromkeys(COLUMNS), "treatment": name, "control_type": kind, "perturbation": name, "call": "active",
         "q_value": q_value, "effect": float(len(name)), "n_replicates": 3}
        for (name, kind), q_value in calls.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=COLUMNS)


sides = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "B", "ä", "板", "cc"]), st.sampled_from(["treatment", "poscon"])),
    st.sampled_from(Q_VALUES),
)


@given(before=sides, after=sides, q_max=st.sampled_from([0.001, 0.05, 1.0]))
def test_what_is_a_hit_on_one_side_is_gained_or_lost(before, after, q_max):
    def hits(calls):
        return {key for key, q_value in calls.items() if q_value is not None and q_value <= q_max}

    found = compared(side(before), side(after), q_max=q_max)

    told = {change: set() for change in ("gained", "lost", "both")}
    for row in found.iter_rows(named=True):
        key = (row["treatment"], row["control_type"])
        told[row["change"]].add(key)
        for name, calls in (("before", before), ("after", after)):
            assert row[f"{name}_q_value"] == calls.get(key)
            assert (row[f"{name}_call"] is None) is (key not in calls)
        assert row["perturbation"] == row["treatment"]
    assert told["gained"] == hits(after) - hits(before)
    assert told["lost"] == hits(before) - hits(after)
    assert told["both"] == hits(before) & hits(after)
    assert found.height == sum(map(len, told.values()))


@given(before=sides, after=sides)
def test_the_other_way_round_gains_are_losses_in_the_same_order(before, after):
    there, back = compared(side(before), side(after), q_max=0.05), compared(side(after), side(before), q_max=0.05)

    for change, inverse in (("gained", "lost"), ("lost", "gained")):
        assert there.filter(change=change).select(KEY).rows() == back.filter(change=inverse).select(KEY).rows()


@given(calls=sides)
def test_a_side_against_itself_gains_and_loses_nothing(calls):
    assert set(compared(side(calls), side(calls), q_max=0.05)["change"]) <= {"both"}


def test_the_strongest_come_first_and_a_loss_is_judged_by_who_had_it():
    before = {("lost weak", "treatment"): 0.04, ("lost", "treatment"): 0.001, ("gained", "treatment"): 0.06}
    after = {("gained", "treatment"): 0.01, ("lost", "treatment"): 0.9, ("lost weak", "treatment"): 0.06}
    after |= {("gained first", "poscon"): 0.001}

    found = compared(side(before), side(after), q_max=0.05)

    assert found["treatment"].to_list() == ["gained first", "gained", "lost", "lost weak"]


def release(catalog, make, rows):
    run_id = make.run(catalog).id
    calls = make.calls(rows)
    publish(catalog, run_id, calls=calls, neighbours=make.neighbours([]), profiles=[], state=RunState.COMPLETE)
    return run_id


@pytest.fixture
def two_runs(catalog, make):
    """A run that is hit by a and b, and one after it by b and c; on `named` the second has its own."""
    release(catalog, make, [{"perturbation": n, "q_value": q} for n, q in [("a", 0.01), ("b", 0.02), ("c", 0.5)]])
    rows = [{"perturbation": n, "q_value": q, "name": n.upper()} for n, q in [("a", None), ("b", 0.03), ("c", 0.04)]]
    rows += [{"perturbation": "only here", "q_value": 0.01}, {"perturbation": "nowhere a hit", "q_value": 0.06}]
    rows += [{"perturbation": n, "q_value": 0.01, "profile": "named"} for n in "ab"]
    release(catalog, make, rows)
    return catalog


def changes(found):
    return {row["perturbation"]: row["change"] for row in found.calls.iter_rows(named=True)}


def test_two_runs_are_compared_treatment_by_treatment(two_runs):
    found = compare_hits(two_runs, run="run-2", other="run-1")

    assert changes(found) == {"only here": "gained", "c": "gained", "a": "lost", "b": "both"}
    assert [found.count(change) for change in ("gained", "lost", "both")] == [2, 1, 1]
    assert (found.run_id, found.other_id, found.other_profile) == (2, 1, "combined")
    (lost,) = found.calls.filter(change="lost").rows(named=True)
    assert (lost["before_q_value"], lost["after_q_value"], lost["after_call"]) == (0.01, None, "active")
    (gained,) = found.calls.filter(perturbation="only here").rows(named=True)
    assert gained["before_call"] is None
    assert found.calls.filter(perturbation="b")["name"].to_list() == ["B"], "what one side knows is told"


def test_a_run_is_compared_with_itself_on_another_profile(two_runs):
    found = compare_hits(two_runs, run="latest", other="run-2", profile="named", other_profile="combined")

    assert changes(found) == {"a": "gained", "c": "lost", "only here": "lost", "b": "both"}


@pytest.mark.parametrize("q_max", [0.01, 0.03, 0.5])
def test_hits_are_those_of_find_hits(two_runs, q_max):
    found = compare_hits(two_runs, run=2, other=1, q_max=q_max)

    now = set(find_hits(two_runs, HitLimits(q_max=q_max), run=2)["treatment"])
    before = set(find_hits(two_runs, HitLimits(q_max=q_max), run=1)["treatment"])
    assert set(found.calls.filter(pl.col("change") != "lost")["treatment"]) == now
    assert set(found.calls.filter(pl.col("change") != "gained")["treatment"]) == before


def test_what_is_not_there_is_said(two_runs, make):
    running = make.run(two_runs).name
    for asked in ({"other": "run-77"}, {"run": "run-77"}, {"profile": "none"}, {"other_profile": "named"}):
        with pytest.raises(NotFoundError, match=r"run-77|none|named"):
            compare_hits(two_runs, **{"run": "run-2", "other": "run-1", **asked})
    with pytest.raises(NotFoundError, match="no results yet"):
        compare_hits(two_runs, run="run-2", other=running)
    with pytest.raises(UsageError, match="--q-max"):
        compare_hits(two_runs, run="run-2", other="run-1", q_max=0)


def test_runs_that_have_no_hit_in_common_and_none_at_all(two_runs, make):
    release(two_runs, make, [{"perturbation": "a", "q_value": 0.9}])

    assert changes(compare_hits(two_runs, run=3, other=3)) == {}
    assert changes(compare_hits(two_runs, run=3, other=1)) == {"a": "lost", "b": "lost"}
