"""Real processes on one catalog: none does what another did, and one that is killed leaves nothing half done."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hcs.catalog import complete, count_units, lease, plan, release_dead_owners, site_rows, units_of, visible_parts
from schemas.work import UnitState

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
catalog, run_id, owner = open_catalog(sys.argv[2]), int(sys.argv[3]), owner_of_this_process()
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
catalog, run_id = open_catalog(sys.argv[2]), int(sys.argv[3])
(unit,) = lease(catalog, run_id, owner_of_this_process(), limit=1, seconds=600)

@event.listens_for(catalog.engine, "after_cursor_execute")
def stop(connection, cursor, statement, parameters, context, executemany):
    if statement.startswith("INSERT INTO sites"):
        print(cursor.rowcount, flush=True)
        sys.stdin.read()

complete(**make.done(catalog, run_id, unit))
"""
)


def start(script, catalog, run_id):
    builders = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-W", "error", "-c", script, str(builders), catalog.location, str(run_id)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_four_processes_do_every_unit_exactly_once(catalog, make):
    run_id = make.run(catalog).id
    units = [make.unit(number) for number in range(80)]
    plan(catalog, run_id, units)

    workers = [start(WORK, catalog, run_id) for _ in range(4)]
    answers = [worker.communicate(timeout=120) for worker in workers]

    assert [errors for _, errors in answers] == [""] * 4
    done = [line.split() for output, _ in answers for line in output.splitlines()]
    assert sorted(key for key, _ in done) == sorted(unit.key for unit in units)
    assert {attempt for _, attempt in done} == {"1"}
    assert sum(bool(output) for output, _ in answers) > 1, "one process did all of it: nothing was tested"
    assert len(site_rows(catalog, run_id)) == len(visible_parts(catalog, run_id)) == 80


def test_a_process_that_is_killed_in_the_middle_of_a_transaction_leaves_no_half_result(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1, n_sites=3)])
    process = start(STOP_IN_THE_MIDDLE, catalog, run_id)

    assert process.stdout.readline() == "3\n"  # three sites are written and not committed
    impatient = sqlite3.connect(catalog.location, timeout=0, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient.execute("BEGIN IMMEDIATE")
    impatient.close()
    assert len(site_rows(catalog, run_id)) == 0  # readers go on meanwhile, and see nothing of it
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert process.returncode == -signal.SIGKILL
    assert len(site_rows(catalog, run_id)) == len(visible_parts(catalog, run_id)) == 0
    assert units_of(catalog, run_id).select("state", "attempt").rows() == [("leased", 1)]
    assert release_dead_owners(catalog, run_id) == 1  # at once, though the lease has minutes to go
    (again,) = lease(catalog, run_id, "somewhere else/1/2/abcd", limit=1, seconds=60)
    assert again.attempt == 2
    complete(**make.done(catalog, run_id, again))
    assert count_units(catalog, run_id)[UnitState.DONE] == 1
    assert len(site_rows(catalog, run_id)) == 3
