from __future__ import annotations

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from hcs.catalog import (
    adopt_finished,
    complete,
    fail,
    hand_back,
    lease,
    list_runs,
    plan,
    publish,
    run_status,
    set_run_state,
    units_of,
)
from hcs.catalog.models import Unit
from hcs.catalog.progress import PAUSE_SECONDS, paused_seconds
from hcs.errors import NotFoundError
from schemas.work import RunState, UnitState

OWNER = "somewhere else/1/2/abcd"
OTHER = "somewhere else/1/2/efgh"

moments = st.integers(0, 300)
spans = st.lists(st.tuples(moments, moments).filter(lambda span: span[0] < span[1]), max_size=12)


def work(catalog, make, run_id, *, limit, owner=OWNER):
    """Lease and finish so many units."""
    units = lease(catalog, run_id, owner, limit=limit, seconds=60)
    for unit in units:
        complete(**make.done(catalog, run_id, unit))
    return [unit.spec.key for unit in units]


def set_back(catalog, keys, *, seconds):
    """Make it look as if units had been worked on so much earlier."""
    earlier = {"leased_at": Unit.leased_at - seconds, "finished_at": Unit.finished_at - seconds}
    with catalog.writing() as connection:
        connection.execute(update(Unit).where(Unit.key.in_(keys)).values(**earlier))


def test_a_run_that_nobody_began_has_its_delivered_sites_before_it(catalog, make):
    run_id = make.run(catalog, barcodes=["P1", "P2"], running=False).id

    status = run_status(catalog, run_id)

    assert (status.name, status.state) == ("run-1", RunState.SUBMITTED)
    assert (status.sites, status.sites_done, status.sites_failed) == (8, 0, 0)
    assert (status.sites_per_second, status.eta_seconds) == (None, None)
    assert status.units == dict.fromkeys(UnitState, 0)
    assert [plate.plate for plate in status.plates] == ["P1", "P2"]


def test_progress_counts_sites_and_units_by_plate(catalog, make):
    run_id = make.run(catalog, barcodes=["P1", "P2"]).id
    plan(catalog, run_id, [make.unit(0, kind="survey", n_sites=3)])
    plan(catalog, run_id, [make.unit(number, n_sites=10) for number in range(1, 5)])
    survey, first, second, third = lease(catalog, run_id, OWNER, limit=4, seconds=60)
    complete(**make.done(catalog, run_id, survey))
    time.sleep(0.2)
    complete(**make.done(catalog, run_id, first))
    complete(catalog, run_id, fence=second.fence, **make.result(second.spec, failed=[3, 4]))
    fail(catalog, run_id, third.spec.key, fence=third.fence, reason="?")
    for _ in range(2):
        (third,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
        fail(catalog, run_id, third.spec.key, fence=third.fence, reason="?")

    status = run_status(catalog, run_id)

    one, two = status.plates
    assert (one.units, one.units_done, one.units_failed) == (5, 3, 1)
    assert (one.sites, one.sites_done, one.sites_failed) == (40, 18, 12)
    assert (two.units, two.sites, two.sites_done) == (0, 4, 0)
    assert (status.sites, status.sites_done, status.sites_failed) == (44, 18, 12)
    assert status.units == {**dict.fromkeys(UnitState, 0), UnitState.READY: 1, UnitState.DONE: 3, UnitState.FAILED: 1}
    assert not any(plate.is_settled for plate in status.plates)
    assert 20 / 10 < status.sites_per_second < 20 / 0.2
    assert status.eta_seconds == pytest.approx(14 / status.sites_per_second)


def test_the_rate_of_a_finished_run_stands(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1, n_sites=10)])
    (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    complete(**make.done(catalog, run_id, unit))
    results = {"calls": make.calls([]), "neighbours": make.neighbours([]), "profiles": []}
    publish(catalog, run_id, **results, state=RunState.COMPLETE)

    first = run_status(catalog, run_id)
    time.sleep(0.05)

    assert first == run_status(catalog, run_id)
    assert first.sites_per_second > 0
    assert first.eta_seconds is None


def test_the_rate_is_unknown_until_a_unit_is_done(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(0, kind="survey"), make.unit(1, n_sites=10)])
    work(catalog, make, run_id, limit=1)
    lease(catalog, run_id, OWNER, limit=1, seconds=60)

    status = run_status(catalog, run_id)

    assert (status.sites_per_second, status.eta_seconds) == (None, None)


def test_units_that_were_taken_over_have_no_part_in_the_rate(catalog, make):
    first, second = make.run(catalog).id, make.run(catalog).id
    units = [make.unit(number, n_sites=10) for number in range(1, 5)]
    plan(catalog, first, units)
    plan(catalog, second, [*units, make.unit(9, n_sites=1)])
    (once_held,) = lease(catalog, second, OWNER, limit=1, seconds=60)
    hand_back(catalog, second, once_held.spec.key, fence=once_held.fence)
    work(catalog, make, first, limit=4)

    assert adopt_finished(catalog, second) == 4
    before = run_status(catalog, second)
    work(catalog, make, second, limit=1)
    time.sleep(0.1)
    after = run_status(catalog, second)

    assert (before.sites_done, before.sites_per_second) == (40, None)
    assert after.sites_done == 41
    assert 0 < after.sites_per_second < 1 / 0.1


def test_after_a_resume_the_rate_is_of_the_time_that_was_worked(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(number, n_sites=10) for number in range(12)])
    hours_ago, minutes_ago = work(catalog, make, run_id, limit=5), work(catalog, make, run_id, limit=1)
    set_back(catalog, hours_ago, seconds=7200)
    set_back(catalog, minutes_ago, seconds=300)
    (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    time.sleep(0.5)
    complete(**make.done(catalog, run_id, unit))

    status = run_status(catalog, run_id)

    assert status.sites_done == 70
    assert 20 / 5 < status.sites_per_second < 20 / 0.5  # neither the 50 of long ago nor the pause of five minutes
    assert status.eta_seconds == pytest.approx(50 / status.sites_per_second)


def test_two_drivers_are_as_fast_as_both(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(number, n_sites=10) for number in range(8)])
    one = lease(catalog, run_id, OWNER, limit=3, seconds=60)
    two = lease(catalog, run_id, OTHER, limit=3, seconds=60)
    time.sleep(0.3)
    for unit in (*one[:2], *two[:2]):
        complete(**make.done(catalog, run_id, unit))

    status = run_status(catalog, run_id)

    assert status.drivers == 2
    assert status.plates[0].units_leased == status.units[UnitState.LEASED] == 2
    assert 40 / 3 < status.sites_per_second < 40 / 0.3


def test_an_attempt_that_failed_is_told_until_its_unit_is_done(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    fail(catalog, run_id, unit.spec.key, fence=unit.fence, reason="no such file " + 1000 * "x")

    (failed,) = run_status(catalog, run_id).failed_attempts
    (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    (leased_again,) = run_status(catalog, run_id).failed_attempts
    complete(**make.done(catalog, run_id, unit))

    assert (failed.plate, failed.kind, failed.attempt) == ("P1", "embed", 1)
    assert failed.reason.startswith("no such file xxx")
    assert len(failed.reason) == 300
    assert leased_again == failed
    assert run_status(catalog, run_id).failed_attempts == ()


def test_a_plate_is_settled_when_all_of_it_is_done_or_given_up(catalog, make):
    run_id = make.run(catalog, barcodes=["P1", "P2"]).id
    plan(catalog, run_id, [make.unit(0, barcode=barcode, kind="survey") for barcode in ("P1", "P2")])

    settled = [[plate.is_settled for plate in run_status(catalog, run_id).plates]]
    work(catalog, make, run_id, limit=1)
    settled.append([plate.is_settled for plate in run_status(catalog, run_id).plates])
    for _ in range(3):
        (survey,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
        fail(catalog, run_id, survey.spec.key, fence=survey.fence, reason="?")
    plan(catalog, run_id, [make.unit(1)])
    settled.append([plate.is_settled for plate in run_status(catalog, run_id).plates])
    work(catalog, make, run_id, limit=1)
    status = run_status(catalog, run_id)

    assert settled == [[False, False], [False, False], [False, True]]  # a surveyed plate has its embedding before it
    assert all(plate.is_settled for plate in status.plates)
    assert (status.plates[1].sites_failed, status.sites_failed, status.eta_seconds) == (4, 4, 0)


def test_a_cancelled_run_has_a_rate_but_no_end(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(number) for number in range(2)])
    work(catalog, make, run_id, limit=1)
    set_run_state(catalog, run_id, RunState.CANCELLED)

    status = run_status(catalog, run_id)

    assert status.sites_per_second > 0
    assert status.eta_seconds is None


def test_the_status_counts_what_the_ledger_holds_unit_by_unit(catalog, make):
    run_id = make.run(catalog, barcodes=["P1", "P2", "P3"]).id
    plan(catalog, run_id, [make.unit(n, barcode=f"P{n % 2 + 1}", n_sites=n + 1) for n in range(12)])
    work(catalog, make, run_id, limit=5)
    lease(catalog, run_id, OWNER, limit=2, seconds=60)

    status = run_status(catalog, run_id)
    units = units_of(catalog, run_id)

    for plate in status.plates:
        mine = units.filter(pl.col("plate") == plate.plate)
        done = mine.filter(pl.col("state") == "done")
        assert (plate.units, plate.units_done) == (mine.height, done.height)
        assert plate.units_leased == mine.filter(pl.col("state") == "leased").height
        assert plate.sites_done == done["n_sites"].sum()
        assert plate.sites == (mine["n_sites"].sum() if mine.height else 4)
    assert sum(status.units.values()) == 12


@given(spans, moments, moments)
def test_a_pause_is_time_without_work_second_by_second(spans, one, other):
    begin, end = sorted([one, other])
    busy = {second for start, stop in spans for second in range(start, stop)}
    paused, run = 0, 0
    for second in range(begin, end + 1):
        if second < end and second not in busy:
            run += 1
        else:
            paused += run if run > PAUSE_SECONDS else 0
            run = 0

    assert paused_seconds(spans, begin, end) == paused


def test_runs_are_listed_in_the_order_they_were_made(catalog, make):
    make.run(catalog, barcodes=["P1", "P2"])
    make.run(catalog, running=False)
    plan(catalog, 1, [make.unit(0, kind="survey"), make.unit(1, n_sites=3), make.unit(2, n_sites=4)])
    complete(**make.done(catalog, 1, lease(catalog, 1, OWNER, limit=1, seconds=60)[0]))

    runs = list_runs(catalog)

    names = ["run", "screen", "state", "plates", "units", "units_done", "units_failed", "sites"]
    assert runs.select(names).rows() == [
        ("run-1", "pilot", "running", 2, 3, 1, 0, 7),
        ("run-2", "pilot", "submitted", 1, 0, 0, 0, 0),
    ]
    assert runs.schema["created_at"] == pl.Datetime("us", "UTC")
    assert runs["finished_at"].null_count() == 2


def test_an_empty_catalog_has_no_runs_and_no_status(catalog):
    assert list_runs(catalog).height == 0
    with pytest.raises(NotFoundError):
        run_status(catalog, 1)
