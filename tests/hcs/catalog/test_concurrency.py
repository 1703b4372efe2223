"""Real processes on one catalog: none does what another did, and one that is killed leaves nothing half done."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select
from together import at_once

from hcs.catalog import (
    adopt_finished,
    complete,
    count_units,
    fail,
    get_run,
    lease,
    plan,
    publish,
    release_dead_owners,
    retry,
    site_rows,
    units_of,
    visible_parts,
)
from hcs.catalog.models import Unit
from hcs.errors import CatalogError
from schemas.work import RunState, UnitState

BUILDERS = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("builders", sys.argv[1])
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)
"""

WORK = (
    BUILDERS
    + """
from hcs.catalog import complete, lease, open_catalog, owner_of_this_process
catalog, run_id, owner = open_catalog(sys.argv[2], parts_uri="/parts"), int(sys.argv[3]), owner_of_this_process()
while units := lease(catalog, run_id, owner, limit=2, seconds=600):
    for unit in units:
        complete(**make.done(catalog, run_id, unit))
        print(unit.spec.key, unit.attempt, flush=True)
catalog.close()
"""
)

STOP_IN_THE_MIDDLE = (
    BUILDERS
    + """
from sqlalchemy import event
from hcs.catalog import complete, lease, open_catalog, owner_of_this_process
catalog, run_id = open_catalog(sys.argv[2], parts_uri="/parts"), int(sys.argv[3])
(unit,) = lease(catalog, run_id, owner_of_this_process(), limit=1, seconds=600)

@event.listens_for(catalog.engine, "after_cursor_execute")
def stop(connection, cursor, statement, parameters, context, executemany):
    if statement.startswith("INSERT INTO sites"):
        print(cursor.rowcount, flush=True)
        sys.stdin.read()

complete(**make.done(catalog, run_id, unit))
"""
)


def start(script, place, run_id):
    builders = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-W", "error", "-c", script, str(builders), place.url, str(run_id)]
    support = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, **pipes, text=True, env=support)


def locked_units(catalog):
    """How many units another process holds in a transaction."""
    free = select(Unit.key).with_for_update(skip_locked=True)
    with catalog.writing() as connection:
        return connection.scalar(select(func.count()).select_from(Unit)) - len(connection.scalars(free).all())


def assert_writing_waits(catalog, place):
    """Somebody else is in the middle of a transaction: of everything on SQLite, of one unit on PostgreSQL."""
    if not place.is_sqlite:
        assert locked_units(catalog) == 1
        return
    impatient = sqlite3.connect(place.url, timeout=0, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient.execute("BEGIN IMMEDIATE")
    impatient.close()


def test_four_processes_do_every_unit_exactly_once(catalog, place, make):
    run_id = make.run(catalog).id
    units = [make.unit(number) for number in range(80)]
    plan(catalog, run_id, units)

    workers = [start(WORK, place, run_id) for _ in range(4)]
    answers = [worker.communicate(timeout=120) for worker in workers]

    assert [errors for _, errors in answers] == [""] * 4
    done = [line.split() for output, _ in answers for line in output.splitlines()]
    assert sorted(key for key, _ in done) == sorted(unit.key for unit in units)
    assert {attempt for _, attempt in done} == {"1"}
    assert sum(bool(output) for output, _ in answers) > 1, "one process did all of it: nothing was tested"
    assert len(site_rows(catalog, run_id)) == len(visible_parts(catalog, run_id)) == 80


def until(is_so, *, seconds=30):
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up, "it did not come about in time"
        time.sleep(0.05)


def test_drivers_that_plan_the_same_units_at_once_plan_each_once(catalog, make):
    run_id = make.run(catalog).id
    units = [make.unit(number) for number in range(30)]

    planned = at_once(*[lambda: plan(catalog, run_id, units)] * 4)

    assert sorted(planned) == [0, 0, 0, 30]
    assert units_of(catalog, run_id)["ordinal"].to_list() == list(range(30))


def test_drivers_that_lease_at_once_share_the_units_and_wait_for_nobody(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(number) for number in range(40)])
    for _ in range(2):
        lease(catalog, run_id, "somewhere else/1/2/abcd", limit=5, seconds=0)  # their leases have run out

    shares = at_once(*[partial(lease, catalog, run_id, f"else/{n}/2/abcd", limit=8, seconds=60) for n in range(4)])

    keys = [unit.spec.key for share in shares for unit in share]
    assert len(keys) == len(set(keys)) >= 8
    assert count_units(catalog, run_id)[UnitState.LEASED] == len(keys)


def test_drivers_that_take_over_units_at_once_take_each_once(catalog, make):
    units = [make.unit(number, n_sites=2) for number in range(12)]
    for _ in range(2):
        run_id = make.run(catalog).id
        plan(catalog, run_id, units)
        if run_id == 1:
            for unit in lease(catalog, 1, "somewhere else/1/2/abcd", limit=99, seconds=60):
                complete(**make.done(catalog, 1, unit))

    adopted = at_once(*[lambda: adopt_finished(catalog, 2)] * 3)

    assert sum(adopted) == 12
    assert count_units(catalog, 2)[UnitState.DONE] == 12
    assert len(site_rows(catalog, 2)) == 24


def test_drivers_that_come_to_the_same_end_at_once_publish_once(catalog, make):
    run_id = make.run(catalog).id
    results = {
        "calls": make.calls([{"perturbation": "CPD1", "mechanism": "a|b", "mechanism_source": "annotated"}]),
        "neighbours": make.neighbours([]),
        "profiles": [make.profile()],
        "state": RunState.COMPLETE,
    }

    published = at_once(*[lambda: publish(catalog, run_id, **results)] * 4)

    assert sorted(published) == [False, False, False, True]


def test_screens_that_are_registered_at_once_are_one_run(catalog, make):
    registered = at_once(*[lambda: make.run(catalog, running=False, new=False).id] * 4)

    assert registered == [1] * 4


def test_a_run_is_not_finished_while_its_failed_units_are_made_ready_again(catalog, make):
    ended = {"calls": make.calls([]), "neighbours": make.neighbours([]), "profiles": []}
    for _ in range(6):
        run_id = make.run(catalog).id
        plan(catalog, run_id, [make.unit(1)])
        for _ in range(3):
            (unit,) = lease(catalog, run_id, "somewhere else/1/2/abcd", limit=1, seconds=60)
            fail(catalog, run_id, unit.spec.key, fence=unit.fence, reason="no luck")

        published, _ = at_once(
            partial(publish, catalog, run_id, state=RunState.COMPLETE_WITH_HOLES, **ended),
            partial(retry, catalog, run_id),
        )

        # Whoever came first: the unit is to be done again, and so the run goes on.
        assert isinstance(published, CatalogError) or published is True
        assert get_run(catalog, run_id).state is RunState.RUNNING
        assert count_units(catalog, run_id)[UnitState.READY] == 1


def test_a_process_that_is_killed_in_the_middle_of_a_transaction_leaves_no_half_result(catalog, place, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1, n_sites=3)])
    process = start(STOP_IN_THE_MIDDLE, place, run_id)

    assert process.stdout.readline() == "3\n"  # three sites are written and not committed
    assert_writing_waits(catalog, place)
    assert len(site_rows(catalog, run_id)) == 0  # readers go on meanwhile, and see nothing of it
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert process.returncode == -signal.SIGKILL
    until(lambda: place.is_sqlite or not locked_units(catalog))  # the server hears of it from the closed connection
    assert len(site_rows(catalog, run_id)) == len(visible_parts(catalog, run_id)) == 0
    assert units_of(catalog, run_id).select("state", "attempt").rows() == [("leased", 1)]
    assert release_dead_owners(catalog, run_id) == 1  # at once, though the lease has minutes to go
    (again,) = lease(catalog, run_id, "somewhere else/1/2/abcd", limit=1, seconds=60)
    assert again.attempt == 2
    complete(**make.done(catalog, run_id, again))
    assert count_units(catalog, run_id)[UnitState.DONE] == 1
    assert len(site_rows(catalog, run_id)) == 3
