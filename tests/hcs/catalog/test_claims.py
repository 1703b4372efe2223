from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from together import at_once

from hcs.catalog import (
    MAX_ATTEMPTS,
    ask_again,
    cancel_run,
    claim_run,
    fail_claimed,
    get_run,
    is_run_waiting,
    keep_claim,
    owner_of_this_process,
    publish,
    release_claim,
    release_claims,
    run_state,
    set_run_state,
    submission_of,
)
from hcs.errors import CatalogError
from schemas.work import RunState

ONE, TWO = "somewhere else/1/2/abcd", "somewhere else/3/4/abcd"

CLAIM_ALL = """
import sys, time
from hcs.catalog import claim_run, open_catalog, owner_of_this_process
catalog, owner = open_catalog(sys.argv[1], parts_uri="/parts"), owner_of_this_process()
print("ready", flush=True)
sys.stdin.readline()
while claim := claim_run(catalog, owner, seconds=600):
    print(claim.run.id, claim.attempt, flush=True)
    time.sleep(0.02)  # it would perform the run now
sys.stdin.read()
"""


def start(place):
    """A process that claims all there is when it is told to, and lives on."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    support = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", CLAIM_ALL, place.url], **pipes, text=True, env=support)


def submit_several(catalog, make, number):
    for n in range(number):
        make.submit(catalog, make.screen(f"screen {n % 3}"), new=True)


def test_runs_are_claimed_one_by_one_oldest_first(catalog, make):
    submit_several(catalog, make, 3)
    cancel_run(catalog, 2)

    assert [claim_run(catalog, ONE, seconds=60).run.id for _ in range(2)] == [1, 3]
    assert claim_run(catalog, TWO, seconds=60) is None
    assert not is_run_waiting(catalog)


def test_four_processes_claim_twenty_runs_each_exactly_once(catalog, place, make):
    submit_several(catalog, make, 20)
    processes = [start(place) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"

    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in processes]

    assert [errors for _, errors in answers] == [""] * 4
    lines = [line.split() for output, _ in answers for line in output.splitlines()]
    assert sorted(int(run_id) for run_id, _ in lines) == list(range(1, 21))
    assert {attempt for _, attempt in lines} == {"1"}
    assert sum(bool(output) for output, _ in answers) > 1, "one process claimed all of them: nothing was tested"


def test_threads_that_claim_at_once_get_different_runs(catalog, make):
    submit_several(catalog, make, 4)

    claims = at_once(*[partial(claim_run, catalog, f"else/{n}/2/abcd", seconds=60) for n in range(6)])

    assert sorted(claim.run.id for claim in claims if claim) == [1, 2, 3, 4]


def test_what_a_killed_process_had_claimed_is_taken_up_at_once_and_what_a_living_one_has_is_not(catalog, place, make):
    make.submit(catalog)
    process = start(place)
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "1 1\n"
    assert submission_of(catalog, 1).is_claimed
    assert not is_run_waiting(catalog)
    assert claim_run(catalog, ONE, seconds=60) is None

    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert not submission_of(catalog, 1).is_claimed
    assert is_run_waiting(catalog)
    assert claim_run(catalog, ONE, seconds=60).attempt == 2


def test_a_claim_elsewhere_ends_by_the_clock_of_the_database(catalog, make):
    make.submit(catalog)
    claim_run(catalog, ONE, seconds=60)
    assert claim_run(catalog, TWO, seconds=60) is None

    assert keep_claim(catalog, 1, ONE, seconds=0)

    assert not submission_of(catalog, 1).is_claimed
    assert claim_run(catalog, TWO, seconds=60).attempt == 2
    assert not keep_claim(catalog, 1, ONE, seconds=60)
    assert not release_claim(catalog, 1, ONE)
    assert not fail_claimed(catalog, 1, ONE, reason="too late")
    assert keep_claim(catalog, 1, TWO, seconds=60)
    assert run_state(catalog, 1) is RunState.SUBMITTED


def test_a_run_that_is_kept_is_not_taken(catalog, make):
    make.submit(catalog)
    claim_run(catalog, ONE, seconds=0)

    assert keep_claim(catalog, 1, ONE, seconds=60)  # too late, but nobody was faster

    assert claim_run(catalog, TWO, seconds=60) is None


def test_an_attempt_that_was_handed_back_does_not_count(catalog, make):
    make.submit(catalog)
    for _ in range(2 * MAX_ATTEMPTS):
        assert claim_run(catalog, ONE, seconds=60).attempt == 1
        assert release_claim(catalog, 1, ONE)

    assert run_state(catalog, 1) is RunState.SUBMITTED


def test_all_that_somebody_holds_is_handed_back_and_does_not_count(catalog, make):
    submit_several(catalog, make, 3)
    ours = [claim_run(catalog, ONE, seconds=600).run.id for _ in range(2)]
    theirs = claim_run(catalog, TWO, seconds=600).run.id

    assert release_claims(catalog, ONE) == 2
    assert release_claims(catalog, ONE) == 0

    assert [(submission_of(catalog, run).is_claimed, submission_of(catalog, run).attempts) for run in ours] == [
        (False, 0),
        (False, 0),
    ]
    assert submission_of(catalog, theirs).is_claimed
    assert claim_run(catalog, TWO, seconds=600).attempt == 1


@pytest.mark.parametrize("ends", ["vanishes", "gives up without knowing why"])
def test_a_run_that_ends_its_dispatcher_three_times_fails_with_a_note(catalog, make, ends):
    make.submit(catalog)
    make.submit(catalog, new=True)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert claim_run(catalog, ONE, seconds=0, besides=[2]).attempt == attempt
        make.register(catalog, 1)  # it is running then, and no other place
        if ends != "vanishes":
            release_claim(catalog, 1, ONE, is_counted=True)
    assert is_run_waiting(catalog, besides=[2])

    claim = claim_run(catalog, TWO, seconds=60)

    assert claim.run.id == 2  # the queue goes on
    failed = get_run(catalog, 1, finished=False)
    assert failed.state is RunState.FAILED
    assert "3 dispatchers" in failed.notes[0]
    assert not submission_of(catalog, 1).is_claimed
    assert not is_run_waiting(catalog)


def test_attempts_begin_anew_where_work_was_finished(catalog, make):
    make.submit(catalog)
    for _ in range(2 * MAX_ATTEMPTS):
        assert claim_run(catalog, ONE, seconds=60).attempt <= 2
        assert keep_claim(catalog, 1, ONE, seconds=0, has_moved=True)

    assert run_state(catalog, 1) is RunState.SUBMITTED


def test_a_claimed_run_fails_with_its_reason(catalog, make):
    make.submit(catalog)
    claim_run(catalog, ONE, seconds=60)

    assert fail_claimed(catalog, 1, ONE, reason="no plate can be worked with")

    run = get_run(catalog, 1, finished=False)
    assert (run.state, run.notes) == (RunState.FAILED, ("no plate can be worked with",))
    assert not fail_claimed(catalog, 1, ONE, reason="again")


def test_a_run_that_was_cancelled_meanwhile_does_not_fail(catalog, make):
    make.submit(catalog)
    claim_run(catalog, ONE, seconds=60)
    cancel_run(catalog, 1)

    assert not fail_claimed(catalog, 1, ONE, reason="no plate can be worked with")

    assert run_state(catalog, 1) is RunState.CANCELLED


def test_a_run_is_either_claimed_or_cancelled_before(catalog, make):
    for number in range(1, 7):
        make.submit(catalog, new=True)

        claim, _ = at_once(partial(claim_run, catalog, ONE, seconds=60), partial(cancel_run, catalog, number))

        assert claim is None or claim.run.id == number
        assert run_state(catalog, number) is RunState.CANCELLED
        assert claim_run(catalog, TWO, seconds=60) is None


def test_looking_for_a_run_writes_nothing(sqlite_catalog, sqlite_place, make):
    make.submit(sqlite_catalog)
    claim_run(sqlite_catalog, ONE, seconds=60)
    before = {path.name: path.read_bytes() for path in Path(sqlite_place.url).parent.glob("catalog.sqlite*")}

    for _ in range(3):
        assert not is_run_waiting(sqlite_catalog)

    after = {path.name: path.read_bytes() for path in Path(sqlite_place.url).parent.glob("catalog.sqlite*")}
    assert {name: content for name, content in after.items() if not name.endswith("-shm")} == {
        name: content for name, content in before.items() if not name.endswith("-shm")
    }


def test_claims_behave_as_a_dictionary_of_runs_does(catalog, make):
    owners = {"one": ONE, "two": TWO, "here": owner_of_this_process()}

    class Queue(RuleBasedStateMachine):
        """`model` holds per run: state, owner, whether its claim has run out, attempts."""

        def __init__(self):
            super().__init__()
            self.model = {}
            for _ in range(3):
                run_id = make.submit(catalog, new=True).run.id
                self.model[run_id] = {"state": "submitted", "owner": None, "is_over": False, "attempts": 0}
            self.others = [run_id for run_id in range(1, min(self.model)) if run_id not in self.model]

        def is_open(self, run):
            return run["state"] == "submitted" and (run["owner"] is None or run["is_over"])

        @rule(who=st.sampled_from(sorted(owners)))
        def claim(self, who):
            expected = None
            for run_id, run in self.model.items():
                if self.is_open(run):
                    if run["attempts"] < MAX_ATTEMPTS:
                        expected = run_id
                        run.update(owner=who, is_over=False, attempts=run["attempts"] + 1)
                        break
                    run.update(state="failed", owner=None, is_over=False)

            claim = claim_run(catalog, owners[who], seconds=3600, besides=self.others)

            assert (claim and claim.run.id) == expected
            assert claim is None or claim.attempt == self.model[expected]["attempts"]

        @rule(who=st.sampled_from(sorted(owners)), data=st.data(), is_over=st.booleans(), has_moved=st.booleans())
        def keep_or_let_run_out(self, who, data, is_over, has_moved):
            run_id = data.draw(st.sampled_from(sorted(self.model)))
            run = self.model[run_id]

            kept = keep_claim(catalog, run_id, owners[who], seconds=0 if is_over else 3600, has_moved=has_moved)

            assert kept == (run["owner"] == who)
            if kept:
                run.update(is_over=is_over, attempts=1 if has_moved else run["attempts"])

        @rule(who=st.sampled_from(sorted(owners)), data=st.data(), is_counted=st.booleans())
        def release(self, who, data, is_counted):
            run_id = data.draw(st.sampled_from(sorted(self.model)))
            run = self.model[run_id]

            assert release_claim(catalog, run_id, owners[who], is_counted=is_counted) == (run["owner"] == who)

            if run["owner"] == who:
                fewer = 0 if is_counted or not run["attempts"] else 1
                run.update(owner=None, is_over=False, attempts=run["attempts"] - fewer)

        @rule(who=st.sampled_from(sorted(owners)), data=st.data())
        def fail(self, who, data):
            run_id = data.draw(st.sampled_from(sorted(self.model)))
            run = self.model[run_id]
            may = run["owner"] == who and run["state"] == "submitted"

            assert fail_claimed(catalog, run_id, owners[who], reason="no luck") == may

            if run["owner"] == who:
                run.update(state="failed" if may else run["state"], owner=None, is_over=False)

        @rule(data=st.data())
        def cancel(self, data):
            run_id = data.draw(st.sampled_from(sorted(self.model)))
            cancel_run(catalog, run_id)
            self.model[run_id]["state"] = "cancelled"

        @rule(data=st.data())
        def ask_again(self, data):
            run_id = data.draw(st.sampled_from(sorted(self.model)))
            assert ask_again(catalog, run_id) == 0
            self.model[run_id].update(state="submitted", attempts=0)

        @invariant()
        def the_catalog_is_the_model(self):
            for run_id, run in self.model.items():
                record = submission_of(catalog, run_id)
                assert run_state(catalog, run_id).value == run["state"]
                assert record.attempts == run["attempts"]
                assert record.is_claimed == (run["owner"] is not None and not run["is_over"])
            waiting = any(self.is_open(run) for run in self.model.values())
            assert is_run_waiting(catalog, besides=self.others) == waiting

    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_run_cannot_wait_again_while_its_results_stand(catalog, make):
    run_id = make.run(catalog).id
    empty = {"calls": make.calls([]), "neighbours": make.neighbours([]), "profiles": []}
    publish(catalog, run_id, state=RunState.COMPLETE, **empty)

    with pytest.raises(CatalogError, match="cannot become submitted"):
        set_run_state(catalog, run_id, RunState.SUBMITTED)
