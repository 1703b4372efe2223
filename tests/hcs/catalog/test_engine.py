from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, make_url, select, text
from sqlalchemy.pool import NullPool

from hcs.catalog import complete, lease, open_catalog, plan, site_rows, units_of
from hcs.catalog.migrations import HEAD
from hcs.catalog.models import Screen
from hcs.errors import CatalogError, HcsError, NotFoundError, StorageError, UsageError


@contextmanager
def somebody_else() -> Iterator[Path]:
    """A folder that everybody may write, entered as a user without any rights of this one."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o777)
        shutil.rmtree(folder)


def assert_is_one_paragraph(error: pytest.ExceptionInfo[HcsError], *words: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 700
    for word in words:
        assert word in message


def test_two_catalogs_in_one_folder_keep_their_parts_apart(tmp_path):
    with open_catalog(str(tmp_path / "a.sqlite")) as first, open_catalog(str(tmp_path / "b.sqlite")) as second:
        assert first.parts_uri == str(tmp_path / "a-parts")
        assert second.parts_uri == str(tmp_path / "b-parts")


def test_a_new_catalog_is_made_with_its_folder_and_keeps_parts_beside_the_file(tmp_path):
    path = tmp_path / "a" / "b" / "catalog.sqlite"

    with open_catalog(str(path)) as catalog:
        assert catalog.parts_uri == str(path.parent / "parts")
        assert catalog.location == str(path)

    with open_catalog(f"sqlite:///{path}", parts_uri="s3://bucket/parts", create=False) as catalog:
        assert catalog.parts_uri == "s3://bucket/parts"


def test_a_relative_path_is_the_same_catalog_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catalog = open_catalog("data/catalog.sqlite")

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    with catalog.reading() as connection:
        assert connection.execute(select(Screen.id)).all() == []
    assert catalog.location == str(tmp_path / "data" / "catalog.sqlite")
    catalog.close()


@pytest.mark.parametrize("name", ["it's #1 100% ?mode=ro.sqlite", "Zäune 板.sqlite", "a b;drop.sqlite"])
def test_a_catalog_may_have_any_name(tmp_path, name):
    open_catalog(str(tmp_path / name)).close()

    assert (tmp_path / name).is_file()
    open_catalog(str(tmp_path / name), create=False).close()


def test_a_question_to_a_catalog_that_does_not_exist_says_where_and_what_makes_one(tmp_path):
    with pytest.raises(NotFoundError) as error:
        open_catalog(str(tmp_path / "sub" / "none.sqlite"), create=False)

    assert_is_one_paragraph(error, str(tmp_path / "sub" / "none.sqlite"), "hcs run", "--catalog")
    assert not (tmp_path / "sub").exists()


@pytest.mark.parametrize(
    "url",
    [
        "",
        ":memory:",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.sqlite?mode=ro",
        "http://169.254.169.254/",
        "a\0b",
        "://",
    ],
)
def test_what_names_no_file_is_refused(url):
    with pytest.raises(UsageError) as error:
        open_catalog(url)

    assert_is_one_paragraph(error)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("some notes that are long enough to be a header\n" * 100)

    with pytest.raises(CatalogError) as error:
        open_catalog(str(path))

    assert_is_one_paragraph(error, str(path), "not an SQLite database")
    assert path.read_text().startswith("some notes")


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "bookmarks.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()

    with pytest.raises(CatalogError) as error:
        open_catalog(str(path))

    assert_is_one_paragraph(error, str(path), "bookmarks")
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    connection.close()


def test_a_catalog_of_a_newer_version_is_refused(catalog, place):
    with catalog.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(CatalogError) as error:
        place.open()

    assert_is_one_paragraph(error, "9999", HEAD, "newer")


def test_a_torn_catalog_is_refused(tmp_path, make):
    path = tmp_path / "catalog.sqlite"
    with open_catalog(str(path)) as catalog:
        make.run(catalog)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * 4096 + content[8192:20000])

    with pytest.raises(CatalogError) as error, open_catalog(str(path)) as catalog:
        units_of(catalog, 1)

    assert_is_one_paragraph(error, str(path), "damaged")


def test_a_folder_is_no_catalog(tmp_path):
    with pytest.raises(StorageError) as error:
        open_catalog(str(tmp_path))

    assert_is_one_paragraph(error, "is a folder", "catalog.sqlite")


@pytest.mark.parametrize("create", [True, False])
def test_a_name_that_is_too_long_is_refused(tmp_path, create):
    with pytest.raises(StorageError) as error:
        open_catalog(str(tmp_path / ("a" * 300)), create=create)

    assert "File name too long" in str(error.value)
    assert "--catalog" in str(error.value)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError) as error:
        open_catalog(str(tmp_path / "file" / "sub" / "catalog.sqlite"))

    assert_is_one_paragraph(error, "cannot be made", "--catalog")


def test_a_folder_that_may_not_be_written_is_refused():
    with somebody_else() as folder:
        (folder / "closed").mkdir(mode=0o555)
        with pytest.raises(StorageError) as error:
            open_catalog(str(folder / "closed" / "catalog.sqlite"))

    assert_is_one_paragraph(error, "closed", "may not write", "--catalog")


def test_a_file_that_may_not_be_written_is_refused_at_opening():
    with somebody_else() as folder:
        path = folder / "catalog.sqlite"
        open_catalog(str(path)).close()
        path.chmod(0o444)
        with pytest.raises(StorageError) as error:
            open_catalog(str(path), create=False)

    assert_is_one_paragraph(error, "may not write", "catalog.sqlite")


def test_what_is_committed_survives_and_what_raises_is_undone(catalog):
    with catalog.writing() as connection:
        connection.execute(text("INSERT INTO screens (name, created_at) VALUES ('kept', 0)"))

    def insert_and_stumble():
        with catalog.writing() as connection:
            connection.execute(text("INSERT INTO screens (name, created_at) VALUES ('undone', 0)"))
            raise RuntimeError("stumbled")

    with pytest.raises(RuntimeError, match="stumbled"):
        insert_and_stumble()

    with catalog.reading() as connection:
        assert connection.scalars(select(Screen.name)).all() == ["kept"]


def test_a_reader_sees_one_state_from_beginning_to_end(catalog, make):
    with catalog.reading() as connection:
        assert connection.scalars(select(Screen.name)).all() == []
        make.run(catalog)
        assert connection.scalars(select(Screen.name)).all() == []


def test_references_are_checked_by_the_database(catalog):
    with pytest.raises(CatalogError, match="contradict"), catalog.writing() as connection:
        connection.execute(
            text("INSERT INTO plates (screen_id, barcode) VALUES (99, 'P1')"),
        )


OPEN_AND_COUNT = """
import sys
from hcs.catalog import list_runs, open_catalog
with open_catalog(sys.argv[1], parts_uri="/parts") as catalog:
    print(len(list_runs(catalog)))
"""


@pytest.mark.parametrize("system", ["sqlite", "postgresql"])
def test_processes_that_open_a_new_catalog_at_once_all_succeed(system, tmp_path, request):
    url = str(tmp_path / "catalog.sqlite") if system == "sqlite" else request.getfixturevalue("new_database")
    command = [sys.executable, "-W", "error", "-c", OPEN_AND_COUNT, url]

    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate(timeout=120) for process in processes]

    assert answers == [("0\n", "")] * 4


def test_threads_that_open_a_new_catalog_at_once_all_succeed(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    path = str(tmp_path / "catalog.sqlite")
    with ThreadPoolExecutor(8) as pool:
        catalogs = list(pool.map(lambda _: open_catalog(path), range(8)))

    for catalog in catalogs:
        with catalog.reading() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
            assert connection.scalar(text("PRAGMA busy_timeout")) == 30_000
        catalog.close()


def fill_up(catalog, make):
    """Work on units until the catalog takes no more; return how many were finished before."""
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    for number in range(2, 5000):
        (leased,) = lease(catalog, run_id, "somewhere else/1/2/abcd", limit=1, seconds=60)
        complete(**make.done(catalog, run_id, leased))
        plan(catalog, run_id, [make.unit(number, n_sites=20, key=make.sha(str(number)), plate="P1")])
    raise AssertionError("the disk is larger than the test")


def test_a_catalog_that_may_not_grow_says_so_and_keeps_what_was_good(sqlite_catalog, make):
    from sqlalchemy import event

    catalog = sqlite_catalog

    @event.listens_for(catalog.engine, "connect")
    def _limit(connection, _record):
        connection.execute("PRAGMA max_page_count = 120")

    catalog.close()

    with pytest.raises(StorageError) as error:
        fill_up(catalog, make)

    assert_is_one_paragraph(error, catalog.location, "full", "Free some space")
    with open_catalog(catalog.location, create=False) as again:
        done = units_of(again, 1).filter(state="done")
        assert len(site_rows(again, 1)) == done["n_sites"].sum() > 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte."""
    mount = shutil.which("mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small disk can only be mounted by a user who may mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_says_so_and_keeps_what_was_good(small_disk, make):
    with (
        open_catalog(str(small_disk / "catalog.sqlite")) as catalog,
        pytest.raises(StorageError) as error,
    ):
        fill_up(catalog, make)

    assert_is_one_paragraph(error, "catalog.sqlite", "disk")
    with open_catalog(str(small_disk / "catalog.sqlite"), create=False) as again:
        done = units_of(again, 1).filter(state="done")
        assert len(site_rows(again, 1)) == done["n_sites"].sum() > 0


def test_a_disk_too_small_for_an_empty_catalog_says_so(small_disk):
    (small_disk / "ballast").write_bytes(b"\0" * 1000 * 1024)

    with pytest.raises(StorageError) as error:
        open_catalog(str(small_disk / "catalog.sqlite"))

    assert_is_one_paragraph(error, "catalog.sqlite", "disk")


def test_a_database_needs_a_place_for_parts(postgresql_place):
    with pytest.raises(UsageError) as error:
        open_catalog(postgresql_place.url)

    assert_is_one_paragraph(error, "--parts", "HCS_PARTS", "no folder beside it")


def test_parts_of_a_database_lie_in_one_folder_wherever_it_is_opened_from(postgresql_place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with open_catalog(postgresql_place.url, parts_uri="parts") as catalog:
        assert catalog.parts_uri == str(tmp_path / "parts")
        assert not catalog.is_for_one_machine
    with open_catalog(postgresql_place.url, parts_uri="s3://bucket/parts") as catalog:
        assert catalog.parts_uri == "s3://bucket/parts"


def test_an_empty_database_becomes_a_catalog_and_a_question_does_not_make_one(new_database):
    with pytest.raises(NotFoundError) as error:
        open_catalog(new_database, parts_uri="/parts", create=False)
    assert_is_one_paragraph(error, "hcs run", "--catalog")

    open_catalog(new_database, parts_uri="/parts").close()

    open_catalog(new_database, parts_uri="/parts", create=False).close()


def test_a_database_of_something_else_on_a_server_is_refused_and_left_alone(server, new_database):
    engine = create_engine(make_url(new_database).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE bookmarks (url TEXT)"))

    with pytest.raises(CatalogError) as error:
        open_catalog(new_database, parts_uri="/parts")

    assert_is_one_paragraph(error, "bookmarks", "--catalog")
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["bookmarks"]


def test_a_database_that_does_not_exist_is_said_without_waiting_and_without_the_password(new_database):
    missing = make_url(new_database).set(password="sesame", database="nowhere")

    begun = time.monotonic()
    with pytest.raises(NotFoundError) as error:
        open_catalog(missing.render_as_string(hide_password=False), parts_uri="/parts")

    assert time.monotonic() - begun < 5
    assert_is_one_paragraph(error, "createdb", "nowhere")
    assert "sesame" not in str(error.value)
    assert "sesame" not in repr(error.value.__cause__)


def test_a_database_that_cannot_keep_every_name_is_refused(server):
    url = server.make(options="ENCODING 'LATIN1' LOCALE 'C'")

    with pytest.raises(CatalogError) as error:
        open_catalog(url, parts_uri="/parts")

    assert_is_one_paragraph(error, "LATIN1", "createdb --encoding=UTF8")
    server.drop(url)


def test_a_catalog_is_shown_without_its_password(new_database):
    url = make_url(new_database).set(password="sesame").render_as_string(hide_password=False)

    with open_catalog(url, parts_uri="/parts") as catalog:
        assert "sesame" not in f"{catalog} {catalog!r} {catalog.location}"


def test_a_reader_of_a_database_changes_nothing(postgresql_catalog):
    with pytest.raises(StorageError, match="takes no changes"), postgresql_catalog.reading() as connection:
        connection.execute(text("INSERT INTO screens (name, created_at) VALUES ('a', 0)"))
