"""A pooler that lends a connection for one transaction keeps nothing of a session, and prepared statements neither."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from places import Place
from pooler import pooler
from sqlalchemy import text

from hcs.catalog import complete, create_key, find_key, get_run, lease, list_runs, plan, upgrade_schema


@pytest.fixture
def behind(new_database):
    """A database without tables behind a pooler, which has fewer connections than the test."""
    with pooler(new_database, size=3) as url:
        yield Place(url, "/parts")


def test_a_catalog_is_made_and_used_behind_a_pooler(behind, make):
    with ThreadPoolExecutor(4) as pool:  # the lock of an upgrade belongs to its transaction, not to a session
        before = list(pool.map(lambda _: upgrade_schema(behind.url), range(4)))
    assert None in {schema.revision for schema in before}

    with behind.open(create=False, may_upgrade=False) as catalog:
        with catalog.reading() as connection:
            assert connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 0
        run = make.run(catalog)
        plan(catalog, run.id, [make.unit(number, kind="survey") for number in range(40)])

        def work(owner):
            done = 0
            while leased := lease(catalog, run.id, f"{owner}/1/1/abcd", limit=2, seconds=60):
                for unit in leased:
                    complete(**make.done(catalog, run.id, unit))
                    done += 1
                    assert list_runs(catalog).height == 1  # a reader, read only and on one state
            return done

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, [f"worker-{number}" for number in range(8)])) == 40
        assert get_run(catalog, run.id, finished=False).id == run.id
        _, secret = create_key(catalog, name="lims", scopes=["read"])
        assert find_key(catalog, secret).name == "lims"


def test_what_a_transaction_sets_does_not_reach_the_next_of_the_same_connection(behind):
    upgrade_schema(behind.url)

    with behind.open() as catalog:
        for _ in range(20):
            with catalog.reading() as connection:
                assert connection.scalar(text("SHOW transaction_read_only")) == "on"
                assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"
            with catalog.writing() as connection:
                assert connection.scalar(text("SHOW transaction_read_only")) == "off"
                assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
                assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
