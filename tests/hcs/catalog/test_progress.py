from __future__ import annotations

import time

import polars as pl
import pytest

from hcs.catalog import complete, fail, lease, list_runs, plan, publish, run_status
from hcs.errors import NotFoundError
from schemas.work import RunState, UnitState

OWNER = "somewhere else/1/2/abcd"


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
    assert status.seconds == {"embed": 4.0, "read": 2.0}
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
