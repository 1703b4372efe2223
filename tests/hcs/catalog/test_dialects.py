from __future__ import annotations

import sqlite3
import time

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from hcs.catalog.dialects import Now, explained, insert_missing, upsert
from hcs.catalog.models import Screen
from hcs.errors import CatalogError, DatabaseLostError, NotFoundError, StorageError


def screens(connection):
    return connection.execute(select(Screen.name, Screen.created_at).order_by(Screen.name)).all()


def test_the_clock_of_the_database_counts_seconds_since_1970(catalog):
    with catalog.reading() as connection:
        before, now, after = time.time(), connection.scalar(select(Now())), time.time()

    assert before - 0.01 <= now <= after + 0.01


def test_an_upsert_changes_rows_that_are_there_and_an_insert_of_missing_ones_does_not(catalog):
    with catalog.writing() as connection:
        upsert(connection, Screen, [], key=["name"])
        insert_missing(connection, Screen, [], key=["name"])
        upsert(connection, Screen, [{"name": "a", "created_at": 1}, {"name": "b", "created_at": 2}], key=["name"])
        upsert(connection, Screen, [{"name": "b", "created_at": 3}, {"name": "c", "created_at": 4}], key=["name"])
        insert_missing(
            connection, Screen, [{"name": "c", "created_at": 5}, {"name": "d", "created_at": 6}], key=["name"]
        )

        assert screens(connection) == [("a", 1), ("b", 3), ("c", 4), ("d", 6)]


@pytest.mark.parametrize(
    ("cause", "kind", "said"),
    [
        ("database or disk is full", StorageError, "Free some space"),
        ("attempt to write a readonly database", StorageError, "permissions"),
        ("unable to open database file", StorageError, "permissions"),
        ("file is not a database", CatalogError, "not an SQLite database"),
        ("database disk image is malformed", CatalogError, "damaged"),
        ("database is locked", StorageError, "another process"),
        ("disk I/O error", StorageError, "network"),
        ("no such table: units", CatalogError, "could not answer"),
    ],
)
def test_an_error_of_the_database_is_explained_in_one_paragraph(cause, kind, said):
    error = explained(OperationalError("SELECT 1", {}, sqlite3.OperationalError(cause)), location="/data/c.sqlite")

    assert type(error) is kind
    for words in ("/data/c.sqlite", cause, said):
        assert words in str(error)
    assert "\n" not in str(error)
    assert "SELECT" not in str(error)


def said_by_the_server(words, state):
    """What the driver raises of a server that was reached, and said a state, or of one that was not."""
    kind = psycopg.errors.lookup(state) if state else psycopg.OperationalError
    return OperationalError("SELECT 1" if state else None, {}, kind(words))


@pytest.mark.parametrize(
    ("words", "state", "kind", "said"),
    [
        ('connection failed: FATAL: password authentication failed for user "me"', None, StorageError, "password"),
        ("connection failed: fe_sendauth: no password supplied", None, StorageError, "~/.pgpass"),
        ('connection failed: FATAL: no pg_hba.conf entry for host "10.0.0.7"', None, StorageError, "sslmode"),
        ('connection failed: FATAL: database "hcs" does not exist', None, NotFoundError, "createdb"),
        ('connection failed: FATAL: role "me" does not exist', None, StorageError, "user"),
        ("failed to resolve host 'nowhere'", None, StorageError, "host"),
        ("could not extend file: No space left on device", "53100", StorageError, "Free some space"),
        ("permission denied for table runs", "42501", StorageError, "Grant"),
        ("connection failed: Connection refused", None, DatabaseLostError, "nothing was written"),
        ("connection failed: FATAL: the database system is starting up", None, DatabaseLostError, "was lost"),
        ("terminating connection due to administrator command", "57P01", DatabaseLostError, "was lost"),
        ("deadlock detected", "40P01", DatabaseLostError, "nothing was written"),
        ("sorry, too many clients already", "53300", DatabaseLostError, "nothing was written"),
        ("server conn crashed", "08P01", DatabaseLostError, "nothing was written"),
        ("relation does not exist", "42P01", CatalogError, "could not answer"),
    ],
)
def test_an_error_of_a_server_is_explained_in_one_paragraph(words, state, kind, said):
    error = explained(said_by_the_server(words, state), location="postgresql://me:***@host/hcs")

    assert type(error) is kind
    for part in ("postgresql://me:***@host/hcs", words, said):
        assert part in str(error)
    assert "\n" not in str(error)
    assert "SELECT" not in str(error)
