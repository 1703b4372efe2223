from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from together import at_once

from hcs.catalog import (
    ask_again,
    begin_dispatch,
    cancel_run,
    claim_run,
    cluster_time,
    complete,
    delete_run,
    dispatches,
    end_dispatch,
    fail_undispatched,
    get_run,
    last_dispatch,
    lease,
    note_dispatch,
    open_runs,
    plan,
    release_claim,
    run_state,
)
from hcs.errors import CatalogError, UsageError
from schemas.work import DispatchState, RunState

ONE = "somewhere else/1/2/abcd"
PREFIX = "hcs-01234567"

BEGIN_ALL = """
import sys
from hcs.catalog import begin_dispatch, end_dispatch, open_catalog
with open_catalog(sys.argv[1], parts_uri="/parts") as catalog:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(20):
        for run_id in (1, 2):
            begun = begin_dispatch(catalog, run_id, prefix="hcs")
            if begun is not None:
                print(begun.name, end_dispatch(catalog, run_id, begun.attempt, message="over"), flush=True)
"""


def submitted(catalog, make):
    return make.submit(catalog, new=True).run.id


def finish_units(catalog, make, run_id, number):
    for leased in lease(catalog, run_id, ONE, limit=number, seconds=60):
        complete(**make.done(catalog, run_id, leased))


def test_a_dispatch_is_written_down_under_a_name_that_follows_from_run_and_attempt(catalog, make):
    run_id = submitted(catalog, make)
    before = cluster_time(catalog)

    begun = begin_dispatch(catalog, run_id, prefix=PREFIX)

    assert (begun.run_id, begun.attempt, begun.name) == (run_id, 1, f"{PREFIX}-run-{run_id}-1")
    assert (begun.state, begun.message, begun.units_done, begun.ended_at) == (DispatchState.ASKED, None, 0, None)
    assert before <= begun.asked_at == begun.changed_at <= cluster_time(catalog)
    assert dispatches(catalog) == [begun]
    (one,) = open_runs(catalog)
    assert (one.run, one.last, one.fruitless) == (get_run(catalog, run_id, finished=False), begun, 0)


def test_a_run_has_one_dispatch_at_a_time_and_the_next_has_the_next_number(catalog, make):
    run_id = submitted(catalog, make)
    assert begin_dispatch(catalog, run_id, prefix=PREFIX).attempt == 1
    assert begin_dispatch(catalog, run_id, prefix=PREFIX) is None

    assert end_dispatch(catalog, run_id, 1, message="the head was lost")

    first = last_dispatch(catalog, run_id)
    second = begin_dispatch(catalog, run_id, prefix=PREFIX)
    assert (first.state, first.message, first.has_ended) == (DispatchState.ENDED, "the head was lost", True)
    assert first.asked_at <= first.ended_at <= second.asked_at
    assert second.attempt == 2
    assert last_dispatch(catalog, run_id) == second
    assert last_dispatch(catalog, 99) is None
    assert dispatches(catalog, ended=True) == [first]
    assert dispatches(catalog, ended=False) == [second]


def test_only_an_open_run_of_a_submission_is_dispatched(catalog, make):
    never_submitted = make.run(catalog).id
    cancelled = submitted(catalog, make)
    cancel_run(catalog, cancelled)

    for run_id in (never_submitted, cancelled, 77):
        assert begin_dispatch(catalog, run_id, prefix=PREFIX) is None
        assert not fail_undispatched(catalog, run_id, reason="x")
    assert open_runs(catalog) == []
    assert dispatches(catalog) == []
    assert run_state(catalog, never_submitted) is RunState.RUNNING


def test_what_is_noted_is_shown_and_the_same_again_writes_nothing(sqlite_catalog, sqlite_place, make):
    run_id = submitted(sqlite_catalog, make)
    begin_dispatch(sqlite_catalog, run_id, prefix=PREFIX)
    waits = {"state": DispatchState.WAITING, "message": "image x does not exist (ImagePullBackOff)"}
    assert note_dispatch(sqlite_catalog, run_id, 1, **waits)
    noted, log = open_runs(sqlite_catalog)[0].last, Path(f"{sqlite_place.url}-wal").read_bytes()
    assert (noted.state, noted.message) == tuple(waits.values())

    assert note_dispatch(sqlite_catalog, run_id, 1, **waits)

    assert Path(f"{sqlite_place.url}-wal").read_bytes() == log
    assert open_runs(sqlite_catalog)[0].last == noted


def test_what_has_ended_is_left_as_it_is(catalog, make):
    run_id = submitted(catalog, make)
    begin_dispatch(catalog, run_id, prefix=PREFIX)
    end_dispatch(catalog, run_id, 1, message="first")
    before = dispatches(catalog)

    assert not note_dispatch(catalog, run_id, 1, state=DispatchState.WORKING, message="late")
    assert not end_dispatch(catalog, run_id, 1, message="again")
    assert not note_dispatch(catalog, run_id, 2, state=DispatchState.WORKING, message="unknown")
    assert not end_dispatch(catalog, 99, 1, message="unknown")
    assert dispatches(catalog) == before


def test_a_dispatch_ends_with_a_reason_and_not_by_a_note(catalog, make):
    run_id = submitted(catalog, make)
    begin_dispatch(catalog, run_id, prefix=PREFIX)

    with pytest.raises(CatalogError, match="end_dispatch"):
        note_dispatch(catalog, run_id, 1, state=DispatchState.ENDED, message=None)


@pytest.mark.parametrize("text", ["a\0b", "Zürich 東京 'quoted'; drop", "x" * 10_000, "half \udcff"])
def test_any_words_of_a_cluster_can_be_kept(catalog, make, text):
    run_id = submitted(catalog, make)
    begin_dispatch(catalog, run_id, prefix=PREFIX)

    assert note_dispatch(catalog, run_id, 1, state=DispatchState.WAITING, message=text)

    kept = dispatches(catalog)[0].message
    assert kept == text or "\\x00" in kept or "\\udcff" in kept or (len(kept) == 4_000 and kept.endswith("…"))
    with pytest.raises(UsageError):
        begin_dispatch(catalog, run_id, prefix="a\0b")


def test_a_run_is_claimed_while_its_process_is_heard_of(catalog, make):
    run_id = submitted(catalog, make)
    begin_dispatch(catalog, run_id, prefix=PREFIX)
    assert not open_runs(catalog)[0].is_claimed

    claim_run(catalog, ONE, seconds=60)
    assert open_runs(catalog)[0].is_claimed
    assert not fail_undispatched(catalog, run_id, reason="nobody came")

    release_claim(catalog, run_id, ONE)
    assert not open_runs(catalog)[0].is_claimed
    claim_run(catalog, ONE, seconds=0)
    assert not open_runs(catalog)[0].is_claimed


def test_a_run_that_nobody_can_be_brought_to_perform_fails_with_a_note(catalog, make):
    run_id = submitted(catalog, make)

    assert fail_undispatched(catalog, run_id, reason="the quota is too small: ask for more")

    run = get_run(catalog, run_id, finished=False)
    assert (run.state, run.notes) == (RunState.FAILED, ("the quota is too small: ask for more",))
    assert open_runs(catalog) == []
    assert not fail_undispatched(catalog, run_id, reason="again")


def test_attempts_without_a_unit_more_are_counted_until_the_run_gets_on_or_is_asked_for_again(catalog, make):
    run_id = submitted(catalog, make)
    make.register(catalog, run_id)
    plan(catalog, run_id, [make.unit(number) for number in range(4)])

    def attempt(*, n_done=0):
        number = begin_dispatch(catalog, run_id, prefix=PREFIX).attempt
        finish_units(catalog, make, run_id, n_done)
        end_dispatch(catalog, run_id, number, message="over")
        return open_runs(catalog)[0].fruitless

    assert [attempt(), attempt(), attempt(n_done=1), attempt()] == [1, 2, 0, 1]
    begin_dispatch(catalog, run_id, prefix=PREFIX)
    assert (open_runs(catalog)[0].fruitless, open_runs(catalog)[0].units_done) == (1, 1)

    ask_again(catalog, run_id)

    assert open_runs(catalog)[0].fruitless == 0
    end_dispatch(catalog, run_id, 5, message="it was of before")
    assert open_runs(catalog)[0].fruitless == 0
    assert attempt() == 1
    assert [one.units_done for one in dispatches(catalog)] == [0, 0, 1, 1, 1, 1]


def test_of_threads_that_begin_at_once_one_does(catalog, make):
    for _ in range(5):
        run_id = submitted(catalog, make)

        begun = at_once(*[partial(begin_dispatch, catalog, run_id, prefix=PREFIX)] * 4)

        assert [one.attempt for one in begun if one] == [1]


def test_a_run_is_dispatched_before_it_is_cancelled_or_not_at_all(catalog, make):
    for _ in range(5):
        run_id = submitted(catalog, make)

        begun, _ = at_once(
            partial(begin_dispatch, catalog, run_id, prefix=PREFIX), partial(cancel_run, catalog, run_id)
        )

        assert [one.run_id for one in dispatches(catalog, ended=False)].count(run_id) == (begun is not None)
        assert begin_dispatch(catalog, run_id, prefix=PREFIX) is None


def test_a_deleted_run_takes_its_dispatches_with_it_whatever_they_are_at(catalog, make):
    first, second = submitted(catalog, make), submitted(catalog, make)
    for run_id in (first, second):
        begin_dispatch(catalog, run_id, prefix=PREFIX)
    cancel_run(catalog, first)

    delete_run(catalog, first)

    assert [one.run_id for one in dispatches(catalog)] == [second]
    assert not end_dispatch(catalog, first, 1, message="gone")
    assert not note_dispatch(catalog, first, 1, state=DispatchState.WORKING, message=None)


def test_two_processes_that_race_never_begin_the_same_dispatch(catalog, place, make):
    runs = [submitted(catalog, make), submitted(catalog, make)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", BEGIN_ALL, place.url]
    processes = [subprocess.Popen(command, **pipes, text=True, env=environment) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"

    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in processes]

    assert [errors for _, errors in answers] == ["", ""]
    assert all(output for output, _ in answers), "one process began all of them: nothing was tested"
    lines = sorted(line for output, _ in answers for line in output.splitlines())
    kept = dispatches(catalog)
    assert lines == sorted(f"{one.name} True" for one in kept)
    for run_id in runs:
        mine = [one for one in kept if one.run_id == run_id]
        assert [one.attempt for one in mine] == list(range(1, len(mine) + 1))
        assert all(one.ended_at <= other.asked_at for one, other in pairwise(mine))


def test_a_catalog_says_the_time_by_the_clock_of_its_database(catalog):
    assert abs(cluster_time(catalog) - time.time()) < 60


def test_dispatches_behave_as_a_list_for_each_run_does(catalog, make):
    class Dispatching(RuleBasedStateMachine):
        """`model` holds per run: its state, its dispatches as [state, message, is counted]."""

        def __init__(self):
            super().__init__()
            self.model = {submitted(catalog, make): {"state": "submitted", "list": []} for _ in range(2)}

        def some(self, data):
            run_id = data.draw(st.sampled_from(sorted(self.model)))
            return run_id, self.model[run_id]

        @rule(data=st.data())
        def begin(self, data):
            run_id, run = self.some(data)
            may = run["state"] == "submitted" and all(one[0] == "ended" for one in run["list"])

            begun = begin_dispatch(catalog, run_id, prefix=PREFIX)

            assert (begun is not None) == may
            if may:
                run["list"].append(["asked", None, True])
                assert begun.attempt == len(run["list"])

        @rule(data=st.data(), state=st.sampled_from(["asked", "waiting", "working"]), said=st.sampled_from([None, "x"]))
        def note(self, data, state, said):
            run_id, run = self.some(data)
            attempt = data.draw(st.integers(1, len(run["list"]) + 1))
            may = attempt <= len(run["list"]) and run["list"][attempt - 1][0] != "ended"

            assert note_dispatch(catalog, run_id, attempt, state=DispatchState(state), message=said) == may

            if may:
                run["list"][attempt - 1][:2] = [state, said]

        @rule(data=st.data())
        def end(self, data):
            run_id, run = self.some(data)
            attempt = data.draw(st.integers(1, len(run["list"]) + 1))
            may = attempt <= len(run["list"]) and run["list"][attempt - 1][0] != "ended"

            assert end_dispatch(catalog, run_id, attempt, message="over") == may

            if may:
                run["list"][attempt - 1][:2] = ["ended", "over"]

        @rule(data=st.data())
        def cancel(self, data):
            run_id, run = self.some(data)
            cancel_run(catalog, run_id)
            run["state"] = "cancelled"

        @rule(data=st.data())
        def ask_again(self, data):
            run_id, run = self.some(data)
            ask_again(catalog, run_id)
            run["state"] = "submitted"
            for one in run["list"]:
                one[2] = False

        @rule(data=st.data())
        def fail(self, data):
            run_id, run = self.some(data)
            may = run["state"] == "submitted"
            assert fail_undispatched(catalog, run_id, reason="no luck") == may
            run["state"] = "failed" if may else run["state"]

        @invariant()
        def the_catalog_is_the_model(self):
            found = {one.run.id: one for one in open_runs(catalog)}
            kept = [one for one in dispatches(catalog) if one.run_id in self.model]
            for run_id, run in self.model.items():
                assert run_state(catalog, run_id).value == run["state"]
                mine = [one for one in kept if one.run_id == run_id]
                assert [[one.state.value, one.message] for one in mine] == [one[:2] for one in run["list"]]
                assert [one.has_ended for one in mine] == [one[0] == "ended" for one in run["list"]]
                if run["state"] == "submitted":
                    n_fruitless = sum(one[0] == "ended" and one[2] for one in run["list"])
                    one = found.pop(run_id)
                    assert (one.last, one.fruitless) == (mine[-1] if mine else None, n_fruitless)
            assert not set(found) & set(self.model)

    run_state_machine_as_test(
        Dispatching,
        settings=settings(
            max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
