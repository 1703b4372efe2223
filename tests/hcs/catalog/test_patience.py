"""A database that is restarted, and a line that is cut: what is asked waits, and is done once."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cutter import cutting
from sqlalchemy import insert, make_url, text
from sqlalchemy.exc import DBAPIError

from hcs.catalog import (
    complete,
    count_units,
    fail,
    lease,
    list_runs,
    open_catalog,
    plan,
    run_status,
    site_rows,
    units_of,
    visible_parts,
)
from hcs.catalog import patience as patience_of_the_catalog
from hcs.catalog.commits import leave_mark, was_kept
from hcs.catalog.models import Screen
from hcs.catalog.patience import patient
from hcs.errors import CatalogError, DatabaseLostError, StorageError
from schemas.work import UnitState

N_UNITS = 60


@pytest.fixture
def own_server(server):
    """The server, if these tests may stop it."""
    if server.server is None:
        pytest.skip("HCS_TEST_POSTGRES names a server that is not ours to restart")
    return server


@pytest.fixture
def little_patience(monkeypatch):
    monkeypatch.setattr(patience_of_the_catalog, "PATIENCE_SECONDS", 1.0)


def work(catalog, make, run_id, owner):
    """Do what is ready until all is done; return the keys that this owner finished."""
    finished = []
    while count_units(catalog, run_id)[UnitState.DONE] < N_UNITS:
        for unit in lease(catalog, run_id, owner, limit=3, seconds=600):
            complete(**make.done(catalog, run_id, unit))
            finished.append(unit.spec.key)
    return finished


@pytest.mark.parametrize("n_restarts", [2])
def test_a_server_that_is_restarted_under_two_drivers_loses_nothing_and_does_nothing_twice(
    own_server, postgresql_place, make, n_restarts
):
    with postgresql_place.open() as catalog, ThreadPoolExecutor(2) as pool:
        run_id = make.run(catalog).id
        units = [make.unit(number) for number in range(N_UNITS)]
        plan(catalog, run_id, units)
        drivers = [pool.submit(work, catalog, make, run_id, f"else/{number}/2/abcd") for number in range(2)]
        seen = []
        for restart in range(n_restarts):
            while count_units(catalog, run_id)[UnitState.DONE] < (restart + 1) * N_UNITS // (n_restarts + 2):
                time.sleep(0.01)
            own_server.crash()
            time.sleep(0.5)
            own_server.start()
            seen.append(count_units(catalog, run_id)[UnitState.DONE])
        finished = [key for driver in drivers for key in driver.result(timeout=120)]

        assert all(0 < n_done < N_UNITS for n_done in seen), "a restart hit nothing"
        assert sorted(finished) == sorted(unit.key for unit in units)
        assert units_of(catalog, run_id)["attempt"].to_list() == [1] * N_UNITS
        assert len(site_rows(catalog, run_id)) == len(visible_parts(catalog, run_id)) == N_UNITS


def test_a_server_that_stays_away_is_an_error_that_says_what_to_do(own_server, postgresql_place, make, little_patience):
    with postgresql_place.open() as catalog:
        run_id = make.run(catalog).id
        own_server.crash()
        try:
            begun = time.monotonic()
            with pytest.raises(StorageError) as error:
                run_status(catalog, run_id)
            waited = time.monotonic() - begun
            with pytest.raises(StorageError):
                postgresql_place.open()
        finally:
            own_server.start()

        assert 1 <= waited < 5
        assert not isinstance(error.value, DatabaseLostError)
        for words in (catalog.location, "Is the server running", "give the same command again"):
            assert words in str(error.value)
        assert "\n" not in str(error.value)
        assert list_runs(catalog)["run"].to_list() == [f"run-{run_id}"]


def test_a_transaction_that_a_crash_has_undone_is_not_taken_for_the_next_one_of_its_number(
    own_server, postgresql_place, make
):
    status = text("SELECT pg_xact_status(CAST(CAST(:number AS text) AS xid8))")
    with postgresql_place.open() as catalog, catalog.engine.connect() as connection:
        transaction = connection.begin()
        mark = leave_mark(connection)
        connection.execute(insert(Screen).values(name="lost", created_at=0.0))
        own_server.crash()
        own_server.start()
        with catalog.engine.connect() as other:
            answers = [was_kept(other, mark)]  # its number was given to nobody yet
        for _ in range(5):
            run_id = make.run(catalog).id
        with catalog.engine.connect() as other:
            answers.append(was_kept(other, mark))
            told = other.scalar(status, {"number": mark.number})
        with pytest.raises(DBAPIError):
            transaction.commit()

        assert told == "committed"
        assert answers == [False, False]
        assert list_runs(catalog)["run"].to_list()[-1] == f"run-{run_id}"


def test_a_mark_says_what_became_of_its_transaction(postgresql_catalog):
    with postgresql_catalog.engine.connect() as looker, postgresql_catalog.engine.connect() as connection:
        with connection.begin():
            first = leave_mark(connection)
            assert was_kept(looker, first) is None
            looker.rollback()
        assert was_kept(looker, first)
        looker.rollback()
        transaction = connection.begin()
        second = leave_mark(connection)
        transaction.rollback()
        assert not was_kept(looker, second)
        assert was_kept(looker, first)
        assert second.writer == first.writer


def test_a_file_needs_no_marks(sqlite_catalog):
    with sqlite_catalog.writing() as connection:
        assert leave_mark(connection) is None


@pytest.fixture
def line(own_server, postgresql_place):
    """A line that may be cut, and a catalog at its end."""
    url = make_url(postgresql_place.url)
    with (
        tempfile.TemporaryDirectory() as folder,
        cutting(Path(url.query["host"]) / ".s.PGSQL.5432", Path(folder)) as cutter,
        open_catalog(
            url.set(query={"host": folder}).render_as_string(hide_password=False),
            parts_uri=postgresql_place.parts_uri,
        ) as catalog,
    ):
        yield cutter, catalog


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_whose_answer_is_lost_counts_once(line, make, moment):
    cutter, catalog = line
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2)])

    cutter.wanted = moment
    first, second = lease(catalog, run_id, "else/1/2/abcd", limit=2, seconds=600)
    cutter.wanted = moment
    complete(**make.done(catalog, run_id, first))
    cutter.wanted = moment
    state = fail(catalog, run_id, second.spec.key, fence=second.fence, reason="no luck")

    assert cutter.cuts == [moment] * 3
    assert state is UnitState.READY
    assert units_of(catalog, run_id)["attempt"].to_list() == [1, 1]
    assert units_of(catalog, run_id)["state"].to_list() == ["done", "ready"]
    assert len(site_rows(catalog, run_id)) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_whose_registration_is_cut_off_is_registered_once(line, make, moment):
    cutter, catalog = line

    cutter.wanted = moment
    run_id = make.run(catalog, running=False).id

    assert cutter.cuts == [moment]
    assert list_runs(catalog)["run"].to_list() == [f"run-{run_id}"]


def test_plans_are_made_again_although_they_came_as_an_iterator(line, make):
    cutter, catalog = line
    run_id = make.run(catalog).id

    cutter.wanted = "before"
    n_new = plan(catalog, run_id, (make.unit(number) for number in range(3)))

    assert cutter.cuts == ["before"]
    assert n_new == len(units_of(catalog, run_id)) == 3


def test_transactions_in_one_anothers_way_are_done_one_after_the_other(postgresql_catalog, make):
    catalog, rows = postgresql_catalog, ("a", "b")
    with catalog.writing() as connection:
        connection.execute(text("INSERT INTO screens (name, created_at) VALUES ('a', 0), ('b', 0)"))
    tries = []

    @patient
    def count_up(order):
        tries.append(order)
        with catalog.writing() as connection:
            for name in order:
                connection.execute(
                    text("UPDATE screens SET created_at = created_at + 1 WHERE name = :name"), {"name": name}
                )
                time.sleep(0.3)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(count_up, [rows, rows[::-1]]))

    with catalog.reading() as connection:
        assert connection.scalars(text("SELECT created_at FROM screens")).all() == [2, 2]
    assert len(tries) == 3, "they were never in one another's way"


def test_what_is_no_loss_is_not_tried_again():
    tries = []

    @patient
    def refuse():
        tries.append(1)
        raise CatalogError("no")

    with pytest.raises(CatalogError):
        refuse()

    assert tries == [1]


def test_two_patient_functions_inside_one_another_wait_once(little_patience):
    tries = []

    @patient
    def inner():
        tries.append(1)
        raise DatabaseLostError("the catalog was lost")

    outer = patient(inner)

    begun = time.monotonic()
    with pytest.raises(StorageError, match="it was tried again"):
        outer()

    assert len(tries) > 2
    assert time.monotonic() - begun < 2
