from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import polars as pl
import pytest
from sqlalchemy import event, insert, select, update

from hcs.catalog import (
    adopt_finished,
    complete,
    create_key,
    delete_run,
    find_hits,
    get_run,
    keep_grouping,
    lease,
    list_runs,
    owner_of_this_process,
    plan,
    profiles_of,
    publish,
    results_digest,
    site_rows,
    visible_parts,
)
from hcs.catalog.dialects import Now
from hcs.catalog.models import Base, Dispatch, IdempotencyKey, Submission, Unit
from hcs.errors import CatalogError, ConflictError, NotFoundError
from schemas.keys import Scope
from schemas.work import RunState

ELSEWHERE = "another machine/1/2/abcd"


@pytest.fixture
def performed(catalog, make):
    """Return a function that makes a run of some units, all done here or taken over, and published."""

    def perform(numbers, *, name):
        run_id = make.run(catalog).id
        plan(catalog, run_id, [make.unit(0, kind="survey"), *(make.unit(number, n_sites=2) for number in numbers)])
        adopt_finished(catalog, run_id)
        for leased in lease(catalog, run_id, ELSEWHERE, limit=100, seconds=60):
            complete(**make.done(catalog, run_id, leased))
        publish(
            catalog,
            run_id,
            calls=make.calls([{"perturbation": "CPD1", "mechanism": "x", "mechanism_source": "annotated"}]),
            neighbours=make.neighbours([("CPD1@1", 1, "CPD2@1", 0.5)]),
            profiles=[make.profile(name)],
            state=RunState.COMPLETE,
            flags=site_rows(catalog, run_id).head(1).select("plate", "well", "site", flags=pl.lit("blurred:DNA")),
        )
        dispatch(catalog, run_id)
        which = {"profile": "combined", "everything": False, "form": 1}
        keep_grouping(catalog, run_id, b"map", **which, results_sha256=results_digest(catalog, run_id))
        return run_id

    return perform


def submit(catalog, run_id, *, owner=None, seconds=60):
    key, _ = create_key(catalog, name="lims", scopes=[Scope.SUBMIT])
    submission = {"run_id": run_id, "submission_sha256": "0" * 64, "owner": owner, "attempts": 1}
    with catalog.writing() as connection:
        connection.execute(insert(Submission).values(**submission, lease_until=Now() + seconds))
        connection.execute(
            insert(IdempotencyKey).values(
                api_key_id=key.id, key="k", request_sha256="0" * 64, run_id=run_id, created_at=Now()
            )
        )


def dispatch(catalog, run_id):
    """A submission that was given to somewhere else while it was open."""
    submit(catalog, run_id)
    row = {"run_id": run_id, "attempt": 1, "name": "x", "state": "ended", "units_before": 0, "units_done": 0}
    with catalog.writing() as connection:
        connection.execute(insert(Dispatch).values(**row, asked_at=1, changed_at=2, ended_at=3))


def rows_by_run(catalog):
    """Every row that belongs to a run, by run and table."""
    found = {}
    with catalog.reading() as connection:
        for table in Base.metadata.sorted_tables:
            column = table.c.get("run_id") if table.name != "runs" else table.c.id
            for row in connection.execute(select(table)) if column is not None else ():
                found.setdefault(row._mapping[column], {}).setdefault(table.name, []).append(tuple(row))
    return {run_id: {name: sorted(rows, key=str) for name, rows in tables.items()} for run_id, tables in found.items()}


def paths_of(catalog, run_id):
    return {
        *visible_parts(catalog, run_id)["relative_path"],
        *(one.relative_path for one in profiles_of(catalog, run_id)),
    }


def test_nothing_of_a_run_is_left_and_nothing_of_another_is_touched(catalog, performed):
    first, second = performed([1, 2], name="a"), performed([7, 8], name="b")
    before = rows_by_run(catalog)
    of_runs = {table.name for table in Base.metadata.sorted_tables if "run_id" in table.c} | {"runs"}
    assert set(before[first]) == of_runs, "a table that no row of a run is in: nothing was tested of it"

    gone = delete_run(catalog, first)

    assert rows_by_run(catalog) == {second: before[second]}
    assert (gone.name, gone.n_units, gone.n_calls) == ("run-1", 3, 1)
    with pytest.raises(NotFoundError):
        get_run(catalog, first)
    assert list_runs(catalog)["run"].to_list() == ["run-2"]


def test_files_are_orphaned_when_the_last_run_that_refers_to_them_is_gone(catalog, performed):
    first, second, third = performed([1, 2], name="a"), performed([2, 3], name="b"), performed([2, 3], name="c")
    before = {run_id: paths_of(catalog, run_id) for run_id in (first, second, third)}
    assert before[first] & before[second] & before[third], "no run took over anything: nothing was tested"
    rows = rows_by_run(catalog)

    gone = delete_run(catalog, first)
    assert set(gone.orphaned_paths) == before[first] - before[second] - before[third]
    assert gone.n_shared_paths == len(before[first] & before[second])
    assert rows_by_run(catalog) == {run_id: rows[run_id] for run_id in (second, third)}

    assert set(delete_run(catalog, third).orphaned_paths) == before[third] - before[second]
    last = delete_run(catalog, second)
    assert (set(last.orphaned_paths), last.n_shared_paths) == (before[second], 0)
    assert rows_by_run(catalog) == {}


def test_the_number_of_a_deleted_run_is_not_given_again(catalog, performed, make):
    run_id = performed([1], name="a")
    delete_run(catalog, run_id)

    assert make.run(catalog).id == run_id + 1


def test_a_run_that_is_not_there_cannot_be_deleted(catalog, performed):
    run_id = performed([1], name="a")
    before = rows_by_run(catalog)

    with pytest.raises(NotFoundError, match="run-1"):
        delete_run(catalog, run_id + 1)

    assert rows_by_run(catalog) == before


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.CANCELLED])
def test_a_run_that_processes_work_on_is_kept(catalog, make, state):
    from hcs.catalog import set_run_state

    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2)])
    lease(catalog, run_id, owner_of_this_process(), limit=1, seconds=60)
    lease(catalog, run_id, ELSEWHERE, limit=1, seconds=60)
    set_run_state(catalog, run_id, state)
    before = rows_by_run(catalog)

    with pytest.raises(ConflictError, match=r"is .* and 2 of the processes on it live.*hcs cancel run-1"):
        delete_run(catalog, run_id)

    assert rows_by_run(catalog) == before


def test_a_run_whose_processes_are_gone_is_deleted(catalog, make):
    dead = subprocess.run(
        [sys.executable, "-c", "from hcs.catalog import owner_of_this_process as o; print(o())"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ).stdout.strip()
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2)])
    lease(catalog, run_id, dead, limit=1, seconds=600)
    lease(catalog, run_id, ELSEWHERE, limit=1, seconds=600)
    with catalog.writing() as connection:
        ran_out = update(Unit).where(Unit.owner == ELSEWHERE).values(lease_until=Now() - 1)
        connection.execute(ran_out)

    assert delete_run(catalog, run_id).n_units == 2


def test_a_claimed_run_is_kept_and_one_that_waits_is_not(catalog, make):
    claimed, waiting, late = (make.run(catalog, running=False).id for _ in range(3))
    submit(catalog, claimed, owner=ELSEWHERE)
    submit(catalog, waiting)
    submit(catalog, late, owner=ELSEWHERE, seconds=-1)

    with pytest.raises(ConflictError, match="is submitted and a dispatcher has claimed it"):
        delete_run(catalog, claimed)
    delete_run(catalog, waiting)
    delete_run(catalog, late)

    assert set(rows_by_run(catalog)) == {claimed}


def paused_at(catalog, start):
    """Two events: a statement that begins so came there, and it may go on."""
    came, may_go_on = Event(), Event()

    @event.listens_for(catalog.engine, "after_cursor_execute")
    def pause(_connection, _cursor, statement, *_):
        if statement.startswith(start):
            came.set()
            may_go_on.wait(30)

    return came, may_go_on


@pytest.mark.parametrize("first", ["taken over", "deleted"])
def test_what_is_taken_over_just_now_keeps_its_files(place, catalog, performed, make, first):
    source = performed([1, 2], name="a")
    taker = make.run(catalog).id
    plan(catalog, taker, [make.unit(1, n_sites=2), make.unit(2, n_sites=2)])
    shared = {path for path in visible_parts(catalog, source)["relative_path"] if not path.endswith("npz")}
    with place.open() as other, ThreadPoolExecutor(2) as pool:
        start = "INSERT INTO site_channels" if first == "taken over" else "DELETE FROM parts"
        came, may_go_on = paused_at(other, start)
        slow, fast = (adopt_finished, delete_run) if first == "taken over" else (delete_run, adopt_finished)
        arguments = {adopt_finished: taker, delete_run: source}
        waited_for = pool.submit(slow, other, arguments[slow])
        assert came.wait(30)
        waiting = pool.submit(fast, catalog, arguments[fast])
        time.sleep(0.5)
        assert not waiting.done(), "nobody waited: the two did not meet"
        may_go_on.set()
        done = {slow: waited_for.result(60), fast: waiting.result(60)}

    orphaned = set(done[delete_run].orphaned_paths)
    if first == "taken over":
        assert done[adopt_finished] == 2
        assert set(visible_parts(catalog, taker)["relative_path"]) == shared
        assert not orphaned & shared
    else:
        assert done[adopt_finished] == 0
        assert visible_parts(catalog, taker).height == 0
        assert shared <= orphaned


def test_a_unit_that_is_finished_too_late_is_refused(place, catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    (leased,) = lease(catalog, run_id, ELSEWHERE, limit=1, seconds=60)
    with catalog.writing() as connection:
        connection.execute(update(Unit).values(lease_until=Now() - 1))
    with place.open() as other, ThreadPoolExecutor(2) as pool:
        came, may_go_on = paused_at(other, "DELETE FROM parts")
        deleting = pool.submit(delete_run, other, run_id)
        assert came.wait(30)
        finishing = pool.submit(lambda: complete(**make.done(catalog, run_id, leased)))
        time.sleep(0.5)
        may_go_on.set()

        assert deleting.result(60).name == "run-1"
        with pytest.raises(CatalogError):
            finishing.result(60)
    assert rows_by_run(catalog) == {}


def test_who_began_to_read_reads_to_the_end(catalog, performed):
    run_id = performed([1], name="a")

    with catalog.reading() as connection:
        count = select(Unit.key).where(Unit.run_id == run_id)
        before = connection.execute(count).all()
        delete_run(catalog, run_id)
        assert connection.execute(count).all() == before != []

    with pytest.raises(NotFoundError):
        find_hits(catalog, run=run_id)


READ = """
import sys
from hcs.catalog import find_hits, hits_page, open_catalog, show_perturbation, site_rows
from hcs.errors import NotFoundError
catalog, run_id = open_catalog(sys.argv[1], parts_uri="/parts"), int(sys.argv[2])
print("reading", flush=True)
try:
    while True:
        seen = show_perturbation(catalog, "CPD1", run=run_id)
        assert (seen.wells.height, seen.calls.height, seen.neighbours.height) == (2, 1, 1), seen
        assert find_hits(catalog, run=run_id).height == hits_page(catalog, run=run_id).hits.height == 1
        assert site_rows(catalog, run_id).height in (0, 2)
except NotFoundError as error:
    print(error)
catalog.close()
"""


def test_a_process_that_reads_meanwhile_sees_all_of_the_run_or_none(place, catalog, performed):
    run_id = performed([1], name="a")
    assert site_rows(catalog, run_id).height == 2
    reader = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", READ, place.url, str(run_id)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert reader.stdout.readline() == "reading\n"
    time.sleep(1)
    assert reader.poll() is None

    delete_run(catalog, run_id)

    output, errors = reader.communicate(timeout=60)
    assert errors == ""
    assert "does not hold the run" in output
