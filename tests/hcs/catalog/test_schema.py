from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.config import Config
from places import Place
from sqlalchemy import inspect, text

from hcs.catalog import get_run, schema_of, upgrade_schema, wait_for_schema
from hcs.catalog.migrations import HEAD
from hcs.errors import CatalogError, NotFoundError, UsageError


@pytest.fixture(params=["sqlite", "postgresql"])
def nothing(request, tmp_path):
    """Where no catalog is yet: no file, or a database without tables."""
    if request.param == "sqlite":
        return Place(str(tmp_path / "new" / "catalog.sqlite"), str(tmp_path / "parts"))
    return Place(request.getfixturevalue("new_database"), str(tmp_path / "parts"))


def to_schema(catalog, revision):
    """Bring a catalog back to the schema of an earlier version."""
    config = Config()
    config.set_main_option("script_location", "hcs.catalog:migrations")
    with catalog.engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def in_background(work, *, after):
    """Start something a moment from now."""
    timer = threading.Timer(after, work)
    timer.start()
    return timer


@pytest.mark.parametrize("revision", ["0001", "0005"])
def test_opening_a_catalog_of_an_earlier_version_is_refused_where_another_is_to_upgrade_it(place, make, revision):
    with place.open() as catalog:
        run_id = make.run(catalog).id
        to_schema(catalog, revision)

    with pytest.raises(CatalogError, match=rf"schema {HEAD}, but .* schema {revision}, .*`hcs catalog upgrade`"):
        place.open(may_upgrade=False)
    assert schema_of(place.url).revision == revision

    assert upgrade_schema(place.url).revision == revision
    assert upgrade_schema(place.url).is_newest
    with place.open(may_upgrade=False) as catalog:
        assert get_run(catalog, run_id, finished=False).screen == "pilot"


@pytest.mark.parametrize("create", [True, False])
def test_nothing_is_made_where_another_is_to_make_it(nothing, tmp_path, create):
    with pytest.raises(NotFoundError, match="`hcs catalog upgrade`"):
        nothing.open(may_upgrade=False, create=create)

    assert schema_of(nothing.url).revision is None
    assert not (tmp_path / "new").exists()


def test_an_upgrade_makes_what_is_missing(nothing):
    assert upgrade_schema(nothing.url).revision is None

    with nothing.open(create=False, may_upgrade=False) as catalog, catalog.reading() as connection:
        assert "runs" in inspect(connection).get_table_names()


def test_four_upgrades_at_once_are_one(nothing):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: upgrade_schema(nothing.url), range(4)))

    with nothing.open(may_upgrade=False) as catalog, catalog.reading() as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [HEAD]


def test_what_is_up_to_date_is_not_waited_for(place):
    started = time.monotonic()

    assert wait_for_schema(place.url, seconds=30).is_newest
    assert time.monotonic() - started < 5


def test_a_wait_ends_when_another_has_made_the_catalog(nothing):
    started = time.monotonic()
    maker = in_background(lambda: upgrade_schema(nothing.url), after=1.5)

    assert wait_for_schema(nothing.url, seconds=60).is_newest
    maker.join()
    assert time.monotonic() - started > 1.5, "it ended before there was anything"


def test_a_wait_that_is_too_long_says_what_is_there(place, nothing):
    with place.open() as catalog:
        to_schema(catalog, "0004")

    with pytest.raises(CatalogError, match=r"waited 0 s .* has schema 0004\. Is `hcs catalog upgrade` at work"):
        wait_for_schema(place.url, seconds=0)
    with pytest.raises(CatalogError, match="is not there yet"):
        wait_for_schema(nothing.url, seconds=0.1)
    assert schema_of(nothing.url).revision is None


def test_a_newer_schema_is_not_waited_for(place):
    with place.open() as catalog, catalog.engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    started = time.monotonic()

    for look in (lambda: wait_for_schema(place.url, seconds=60), lambda: place.open(may_upgrade=False)):
        with pytest.raises(CatalogError, match="a newer version wrote it"):
            look()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://hcs@127.0.0.1:1/hcs", "refused"),
        ("postgresql://hcs:secret@no-such-host.invalid/hcs", "no such machine"),
    ],
)
def test_a_server_that_is_not_there_is_waited_for_and_named(url, reason):
    started = time.monotonic()

    with pytest.raises(CatalogError, match=f"waited 1.5 s .*{reason}") as caught:
        wait_for_schema(url, seconds=1.5)
    assert time.monotonic() - started >= 1.5
    assert "secret" not in str(caught.value)


def test_what_names_no_catalog_is_not_waited_for():
    with pytest.raises(UsageError, match="mysql"):
        wait_for_schema("mysql://somewhere/hcs", seconds=60)
