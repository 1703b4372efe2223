from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import insert
from together import at_once

from hcs.catalog import (
    Once,
    ask_again,
    cancel_run,
    claim_run,
    complete,
    fail,
    get_run,
    lease,
    list_runs,
    plan,
    plates_of,
    publish,
    release_claim,
    run_status,
    set_run_state,
    submission_of,
    units_of,
    wells_of,
)
from hcs.catalog.models import ApiKey
from hcs.errors import CancelledError, ConflictError, EngineError, InputChangedError, NotFoundError, UsageError
from schemas.screen import PlateEntry
from schemas.work import RunState, UnitState

OWNER = "somewhere else/1/2/abcd"


def with_failed_units(catalog, make, run_id, *reasons):
    """A registered run whose units failed for these reasons."""
    units = [make.unit(number) for number in range(len(reasons))]
    plan(catalog, run_id, units)
    for _ in range(3):
        for unit, reason in zip(lease(catalog, run_id, OWNER, limit=9, seconds=60), reasons, strict=True):
            fail(catalog, run_id, unit.spec.key, fence=unit.fence, reason=reason)
    return units


@pytest.fixture
def key(catalog):
    with catalog.writing() as connection:
        row = {"prefix": "p", "secret_sha256": "s", "name": "robot", "scopes": "submit", "created_at": 1.0}
        return connection.execute(insert(ApiKey).values(**row).returning(ApiKey.id)).scalar_one()


def test_a_submitted_run_reads_back_and_nothing_is_known_of_it_yet(catalog, make):
    made = make.submit(catalog, by="robot-7")

    run = get_run(catalog, "run-1")
    assert made.is_new
    assert made.run == run
    assert (run.state, run.config, run.code_version) == (RunState.SUBMITTED, make.screen(), "0.1.0")
    assert (run.pin, run.encoders, run.is_looked_at, run.notes, run.finished_at) == (None, (), False, (), None)
    record = submission_of(catalog, 1)
    assert (record.submitted_by, record.attempts, record.retry_only, record.is_claimed) == ("robot-7", 0, None, False)
    with pytest.raises(ConflictError, match="run-1 of screen pilot was submitted, and nobody has looked"):
        run.known_pin()


def test_whatever_is_asked_of_a_submitted_run_has_an_answer(catalog, make):
    make.submit(catalog)

    status = run_status(catalog, 1)
    assert (status.state, status.plates, status.sites, status.drivers) == (RunState.SUBMITTED, (), 0, 0)
    assert set(status.units.values()) == {0}
    assert list_runs(catalog).select("run", "state", "plates", "units").rows() == [("run-1", "submitted", 0, 0)]
    assert plates_of(catalog, 1).is_empty()
    assert wells_of(catalog, run=1).is_empty()
    assert units_of(catalog, 1).is_empty()


def test_the_same_submission_again_is_the_same_run_unless_a_new_one_is_asked_for(catalog, make):
    first, again, new, newest = (
        make.submit(catalog),
        make.submit(catalog),
        make.submit(catalog, new=True),
        make.submit(catalog),
    )
    other = make.submit(catalog, make.screen(quality="drop"))

    assert [made.run.id for made in (first, again, new, newest, other)] == [1, 1, 2, 2, 3]
    assert [made.is_new for made in (first, again, new, newest, other)] == [True, False, True, False, True]


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_a_submission_that_ended_badly_is_made_again(catalog, state, make):
    make.submit(catalog)
    set_run_state(catalog, 1, state)

    assert make.submit(catalog).run.id == 2


def test_the_same_submission_by_several_at_once_is_one_run(catalog, make):
    made = at_once(*[lambda: make.submit(catalog)] * 8)

    assert {one.run.id for one in made} == {1}
    assert sorted(one.is_new for one in made) == [False] * 7 + [True]


def test_a_request_under_one_key_is_carried_out_once_also_where_a_new_run_was_asked_for(catalog, key, make):
    once = Once(key, "abc", make.sha("body"))

    first = make.submit(catalog, once=once, new=True)
    again = make.submit(catalog, once=once, new=True)
    fresh = make.submit(catalog, once=Once(key, "abd", make.sha("body")), new=True)

    assert [made.run.id for made in (first, again, fresh)] == [1, 1, 2]
    assert [made.is_new for made in (first, again, fresh)] == [True, False, True]


def test_a_request_is_answered_with_its_run_also_when_that_was_cancelled(catalog, key, make):
    once = Once(key, "abc", make.sha("body"))
    make.submit(catalog, once=once)
    cancel_run(catalog, 1)

    assert make.submit(catalog, once=once).run.id == 1


def test_another_request_under_the_same_key_is_refused_and_submits_nothing(catalog, key, make):
    make.submit(catalog, once=Once(key, "abc", make.sha("body")))

    with pytest.raises(ConflictError, match=r"Idempotency-Key 'abc'.*run-1"):
        make.submit(catalog, make.screen("another"), once=Once(key, "abc", make.sha("another body")))

    assert list_runs(catalog).height == 1


def test_one_request_that_comes_many_times_at_once_makes_one_run(catalog, key, make):
    once = Once(key, "abc", make.sha("body"))

    made = at_once(*[lambda: make.submit(catalog, once=once, new=True)] * 8)

    assert {one.run.id for one in made} == {1}
    assert list_runs(catalog).height == 1


def test_two_requests_that_come_at_once_under_one_key_are_one_run_and_one_refusal(catalog, key, make):
    requests = [
        partial(make.submit, catalog, make.screen(name), once=Once(key, "abc", make.sha(name)))
        for name in ("one", "two", "three", "four")
    ]

    answers = at_once(*requests)

    assert sorted(type(answer).__name__ for answer in answers) == ["ConflictError"] * 3 + ["Submission"]
    assert list_runs(catalog).height == 1


BAD_PLATE = PlateEntry.model_construct(**{**dict(PlateEntry(uri="x")), "uri": "a\0b"})


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, {"by": "a\0b"}, "name of who submits"),
        ({}, {"once": Once(1, "k" * 501, "0" * 64)}, "Idempotency-Key"),
        ({"screen": "x" * 501}, {}, "screen's name"),
        ({"plates": (BAD_PLATE,)}, {}, "delivery's URI"),
    ],
)
def test_names_that_cannot_be_stored_are_refused(catalog, changes, options, said, make):
    with pytest.raises(UsageError, match=said):
        make.submit(catalog, make.screen().model_copy(update=changes), **options)

    assert list_runs(catalog).is_empty()


def test_a_registration_fills_the_submitted_run_and_makes_none(catalog, make):
    make.submit(catalog)

    made = make.register(catalog, 1)

    assert made.is_new
    assert made.run == get_run(catalog, 1)
    assert (made.run.state, made.run.pin, made.run.code_version) == (RunState.RUNNING, make.pin, "0.2.0")
    assert list(made.run.encoders) == [make.encoder()]
    assert plates_of(catalog, 1)["plate"].to_list() == ["P1"]
    assert wells_of(catalog, run="run-1").height == 4
    assert list_runs(catalog).height == 1


def test_a_filled_run_is_the_one_of_its_configuration_and_of_its_submission(catalog, make):
    make.submit(catalog)
    filled = make.register(catalog, 1).run

    assert make.register(catalog, None).run.id == 1  # `hcs run` of the same takes part in it
    assert not make.submit(catalog).is_new
    assert filled.config_sha256 == make.run(catalog, config=make.screen(), running=False).config_sha256


def test_a_second_look_finds_what_the_first_one_registered(catalog, make):
    make.submit(catalog)
    make.register(catalog, 1)

    again = make.register(catalog, 1, plates=[make.plate("P1", uri="/moved/P1")])

    assert not again.is_new
    assert plates_of(catalog, 1)["root_uri"].to_list() == ["/moved/P1"]


def test_a_submitted_run_of_a_configuration_that_has_runs_is_the_next_repetition(catalog, make):
    earlier = make.run(catalog, config=make.screen())
    make.submit(catalog)
    make.submit(catalog, new=True)

    made = [make.register(catalog, run_id).run for run_id in (2, 3)]

    assert {run.config_sha256 for run in made} == {earlier.config_sha256}
    assert make.register(catalog, None).run.id == 3  # the newest


def test_two_submissions_of_one_configuration_may_be_registered_at_once(catalog, make):
    for _ in range(4):
        make.submit(catalog, new=True)

    made = at_once(*[partial(make.register, catalog, run_id) for run_id in (1, 2, 3, 4)])

    assert [one.run.id for one in made] == [1, 2, 3, 4]


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.FAILED])
def test_a_run_that_was_ended_meanwhile_is_not_registered(catalog, make, state):
    make.submit(catalog)
    set_run_state(catalog, 1, state)

    with pytest.raises(CancelledError, match=f"run-1 is {state.value}"):
        make.register(catalog, 1)

    assert get_run(catalog, 1).state is state
    assert plates_of(catalog, 1).is_empty()


def test_what_changed_between_two_looks_is_not_mixed(catalog, make):
    make.submit(catalog)
    make.register(catalog, 1)
    one = make.plate("P1")

    with pytest.raises(InputChangedError, match="run-1"):
        make.register(catalog, 1, plates=[one.__class__(one.entry, one.layout, make.sha("?"), one.report)])
    with pytest.raises(EngineError, match="batch_size 8"):
        make.register(catalog, 1, pin=make.pin.model_copy(update={"batch_size": 8}))


@pytest.mark.parametrize("ended", [RunState.CANCELLED, RunState.FAILED])
def test_a_run_that_nobody_has_looked_at_waits_again_when_it_is_asked_for_again(catalog, ended, make):
    make.submit(catalog, by="robot-7")
    set_run_state(catalog, 1, ended, notes=["because"])

    assert ask_again(catalog, 1, by="someone else") == 0

    run = get_run(catalog, 1)
    assert (run.state, run.finished_at) == (RunState.SUBMITTED, None)
    assert run.notes == (() if ended is RunState.FAILED else ("because",))
    assert submission_of(catalog, 1).submitted_by == "robot-7"
    assert claim_run(catalog, OWNER, seconds=60).run.id == 1


@pytest.mark.parametrize("ended", [RunState.CANCELLED, RunState.FAILED])
def test_a_run_that_was_ended_half_way_goes_on_when_it_is_asked_for_again(catalog, make, ended):
    make.submit(catalog)
    make.register(catalog, 1)
    plan(catalog, 1, [make.unit(1)])
    set_run_state(catalog, 1, ended)
    assert claim_run(catalog, OWNER, seconds=60) is None

    assert ask_again(catalog, 1) == 0

    assert get_run(catalog, 1).state is RunState.RUNNING
    assert claim_run(catalog, OWNER, seconds=60).run.id == 1


def test_failed_units_of_a_run_with_holes_are_asked_for_again_by_their_reason(catalog, make):
    run_id = make.run(catalog).id  # it was never submitted
    with_failed_units(catalog, make, run_id, "out of memory", "no such file")
    empty = {"calls": make.calls([]), "neighbours": make.neighbours([]), "profiles": []}
    publish(catalog, run_id, state=RunState.COMPLETE_WITH_HOLES, **empty)

    assert ask_again(catalog, run_id, only="something else") == 0
    assert get_run(catalog, run_id).state is RunState.COMPLETE_WITH_HOLES
    assert submission_of(catalog, run_id) is None
    assert ask_again(catalog, run_id, only="MEMORY", by="someone") == 1

    assert get_run(catalog, run_id).state is RunState.RUNNING
    assert run_status(catalog, run_id).units[UnitState.READY] == 1
    assert submission_of(catalog, run_id).submitted_by == "someone"
    claim = claim_run(catalog, OWNER, seconds=60)
    assert (claim.run.id, claim.attempt, claim.retry_only) == (run_id, 1, "MEMORY")


def test_a_complete_run_stays_as_it_is(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    complete(**make.done(catalog, run_id, unit))
    empty = {"calls": make.calls([]), "neighbours": make.neighbours([]), "profiles": []}
    publish(catalog, run_id, state=RunState.COMPLETE, **empty)

    assert ask_again(catalog, run_id) == 0

    assert get_run(catalog, run_id).state is RunState.COMPLETE
    assert claim_run(catalog, OWNER, seconds=60) is None


def test_a_run_that_was_given_up_has_all_its_attempts_when_it_is_asked_for_again(catalog, make):
    make.submit(catalog)
    for _ in range(3):
        assert claim_run(catalog, OWNER, seconds=0)
    assert claim_run(catalog, OWNER, seconds=0) is None
    assert get_run(catalog, 1).state is RunState.FAILED

    ask_again(catalog, 1)

    assert claim_run(catalog, OWNER, seconds=60).attempt == 1
    assert release_claim(catalog, 1, OWNER)


def test_a_run_that_does_not_exist_is_asked_for_in_vain(catalog):
    with pytest.raises(NotFoundError, match="run '7'"):
        ask_again(catalog, 7)
    assert submission_of(catalog, 7) is None
