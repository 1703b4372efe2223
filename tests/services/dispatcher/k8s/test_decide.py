"""What is decided from what is there, without a database and a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.catalog import Dispatch, OpenRun, RunRecord
from hcs.k8s.meaning import Meaning
from schemas.work import DispatchState, RunState
from services.dispatcher.k8s.decide import (
    Begin,
    Create,
    Decision,
    Delete,
    End,
    GiveUp,
    Missing,
    Note,
    Patience,
    Sight,
    decide,
)
from services.dispatcher.k8s.seen import SeenRayJob

NOW = 1_000_000.0
ASKED, WAITING, WORKING, ENDED = DispatchState


def run(run_id: int = 1, *, last: Dispatch | None = None, fruitless: int = 0, is_claimed: bool = False) -> OpenRun:
    values: dict[str, Any] = dict.fromkeys(RunRecord.__dataclass_fields__)
    values |= {"id": run_id, "state": RunState.SUBMITTED, "created_at": datetime(2026, 1, 1, tzinfo=UTC)}
    return OpenRun(RunRecord(**values), is_claimed=is_claimed, units_done=0, last=last, fruitless=fruitless)


def dispatch(run_id: int = 1, attempt: int = 1, state: DispatchState = WAITING, ago: float | None = None) -> Dispatch:
    ended = None if ago is None else NOW - ago
    return Dispatch(run_id, attempt, f"r-{run_id}-{attempt}", state, "it rained", 0, 0.0, 0.0, ended)


def job(run_id: int = 1, attempt: int = 1, *, state: DispatchState = WORKING, **values: Any) -> SeenRayJob:
    name = f"r-{run_id}-{attempt}"
    usual = {"is_leaving": False, "keep_seconds": 600}
    return SeenRayJob(name, f"uid of {name}", str(run_id), Meaning(state, "as it is"), **usual | values)


def decided(
    rayjobs: Sequence[SeenRayJob] | None = (),
    going_on: Sequence[Dispatch] = (),
    ended: Sequence[Dispatch] = (),
    runs: Sequence[OpenRun] = (),
    *,
    over_since: dict[str, float] | None = None,
    patience: Patience | None = None,
) -> Decision:
    sight = Sight(rayjobs, going_on, ended, runs, NOW, "away" if rayjobs is None else "")
    return decide(sight, over_since=over_since or {}, patience=patience or Patience())


def test_a_new_run_is_begun() -> None:
    assert decided(runs=[run()]).actions == (Begin(run()),)


def test_a_run_that_somebody_performs_is_left_to_them() -> None:
    assert decided(runs=[run(is_claimed=True)]).actions == ()


def test_what_was_asked_for_and_never_seen_is_made() -> None:
    asked = dispatch(state=ASKED)
    assert decided(going_on=[asked], runs=[run(last=asked)]).actions == (Create(run(last=asked), asked),)


@pytest.mark.parametrize("state", [WAITING, WORKING])
def test_what_was_seen_and_is_there_no_more_is_asked_for_first(state: DispatchState) -> None:
    was = dispatch(state=state)
    assert decided(going_on=[was], runs=[run(last=was)]).actions == (Missing(was),)


def test_what_is_there_is_noted_and_what_has_ended_ends() -> None:
    one = dispatch()
    assert decided([job()], [one], runs=[run(last=one)]).actions == (Note(one, WORKING, "as it is"),)
    (end,) = decided([job(state=ENDED)], [one], runs=[run(last=one)]).actions
    assert end == End(one, "as it is; its run is not at its end")
    assert decided([job(state=ENDED)], [one]).actions == (End(one, "as it is"),)


def test_a_dispatch_of_a_run_that_has_ended_waits_for_its_driver_and_not_for_ever() -> None:
    one = dispatch()
    first = decided([job()], [one])
    assert first.actions == (Note(one, WORKING, "as it is"),)
    assert first.over_since == {one.name: NOW}
    assert decided([job()], [one], over_since={one.name: NOW - 119}).actions == (Note(one, WORKING, "as it is"),)
    assert decided([job()], [one], over_since={one.name: NOW - 120}).actions == (Delete(job(), "its run has ended"),)
    assert decided([job()], [one], runs=[run(last=one)], over_since={one.name: NOW - 999}).over_since == {}
    leaving = job(is_leaving=True)
    assert not [a for a in decided([leaving], [one], over_since={one.name: NOW - 999}).actions if isinstance(a, Delete)]


def test_a_dispatch_without_run_and_rayjob_is_over() -> None:
    assert isinstance(decided(going_on=[dispatch()]).actions[0], End)


def test_a_rayjob_without_dispatch_is_deleted_unless_it_leaves() -> None:
    (delete,) = decided([job()]).actions
    assert isinstance(delete, Delete)
    assert delete.rayjob == job()
    assert decided([job(is_leaving=True)]).actions == ()


def test_a_rayjob_that_lives_though_its_dispatch_has_ended_is_deleted_before_another_is_begun() -> None:
    over = dispatch(ago=9999)
    actions = decided([job()], ended=[over], runs=[run(last=over)]).actions
    assert actions == (Delete(job(), "its dispatch has ended"),)
    assert decided([job(is_leaving=True)], ended=[over], runs=[run(last=over)]).actions == ()


@pytest.mark.parametrize(("ago", "is_deleted"), [(599.0, False), (600.0, True)])
def test_the_last_rayjob_of_a_run_is_kept_as_long_as_it_says(ago: float, is_deleted: bool) -> None:
    over = dispatch(ago=ago)
    assert bool(decided([job(state=ENDED)], ended=[over]).actions) == is_deleted


def test_a_rayjob_before_the_last_is_deleted_once_another_came() -> None:
    over, now = dispatch(ago=1), dispatch(attempt=2)
    actions = decided([job(state=ENDED), job(attempt=2)], [now], [over], [run(last=now)]).actions
    assert [action.rayjob.name for action in actions if isinstance(action, Delete)] == [over.name]


@pytest.mark.parametrize(("fruitless", "pause"), [(0, 10), (1, 10), (2, 20), (3, 40), (4, 80)])
def test_pauses_grow(fruitless: int, pause: float) -> None:
    patience = Patience(max_fruitless=9)
    assert patience.pause(fruitless) == pause
    early, late = dispatch(ago=pause - 0.5), dispatch(ago=pause)
    assert decided(runs=[run(last=early, fruitless=fruitless)], patience=patience).actions == ()
    begun = run(last=late, fruitless=fruitless)
    assert decided(runs=[begun], patience=patience).actions == (Begin(begun),)


def test_after_three_that_came_to_nothing_the_run_is_given_up_with_the_reason() -> None:
    given_up = run(last=dispatch(attempt=3, ago=0), fruitless=3)
    (action,) = decided(runs=[given_up]).actions
    assert isinstance(action, GiveUp)
    assert "it rained" in action.reason
    assert "hcs retry run-1" in action.reason


def test_without_a_cluster_runs_say_why_they_wait_and_nothing_ends() -> None:
    one = dispatch(1)
    actions = decided(None, [one, dispatch(9)], runs=[run(1, last=one), run(2)], over_since={"x": 1.0})
    assert actions.actions == (Note(one, WAITING, "away"), Begin(run(2)))
    assert actions.over_since == {"x": 1.0}


RUNS = st.integers(1, 3)
JOBS = st.builds(
    job, RUNS, st.integers(1, 2), state=st.sampled_from([WAITING, WORKING, ENDED]), is_leaving=st.booleans()
)
DISPATCHES = st.builds(dispatch, RUNS, st.integers(1, 2), st.sampled_from([ASKED, WAITING, WORKING]))


@settings(deadline=None)
@given(
    st.lists(JOBS, max_size=6, unique_by=lambda one: one.name),
    st.lists(DISPATCHES, max_size=3, unique_by=lambda one: one.run_id),
    st.lists(st.builds(dispatch, RUNS, st.integers(1, 2), ago=st.floats(0, 999)), max_size=4),
    st.sets(RUNS),
)
def test_whatever_is_there_nothing_is_begun_beside_a_living_one(
    rayjobs: list[SeenRayJob], going_on: list[Dispatch], ended: list[Dispatch], open_ids: set[int]
) -> None:
    names = {one.name for one in going_on}
    past = list({one.name: one for one in ended if one.name not in names}.values())
    last = {one.run_id: one for one in (*past, *going_on)}
    runs = [run(run_id, last=last.get(run_id)) for run_id in sorted(open_ids)]
    actions = decided(rayjobs, going_on, past, runs).actions
    started = [str(action.run.run.id) for action in actions if isinstance(action, (Begin, Create))]
    assert len(started) == len(set(started))
    alive = {one.run for one in rayjobs if not one.has_ended and one.name not in names}
    assert not alive & {str(action.run.run.id) for action in actions if isinstance(action, Begin)}
    touched = [action.rayjob.name for action in actions if isinstance(action, Delete)]
    assert len(touched) == len(set(touched))
    ended_now = {action.dispatch.name for action in actions if isinstance(action, End)}
    still = {one.name for one in rayjobs if not one.has_ended}
    assert not ended_now & still
