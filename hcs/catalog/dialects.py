"""Everything that differs between database systems: the clock, upserts, SQLite's settings, and what errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Float, MetaData, create_engine, event, exc, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.expression import FunctionElement

from hcs.errors import CatalogError, HcsError, StorageError

BUSY_TIMEOUT_SECONDS = 30.0

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Names of constraints and indexes, so that a later migration can alter them on every database."""


class Now(FunctionElement[float]):
    """The database's clock: seconds since 1970-01-01 UTC. Leases are compared with nothing else."""

    type = Float()
    inherit_cache = True


@compiles(Now, "sqlite")
def _now_sqlite(element: Now, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Now, "postgresql")
def _now_postgresql(element: Now, compiler: Any, **options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


def insert_missing(
    connection: Connection, model: type[Any], rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]
) -> None:
    """Insert the rows whose key no row has yet, and leave the others as they are.

    Args:
        connection: In a writing transaction.
        model: A class of `hcs.catalog.models`.
        rows: All with the same columns.
        key: Columns of a unique constraint.
    """
    if rows:
        connection.execute(_insert(connection, model).on_conflict_do_nothing(index_elements=list(key)), list(rows))


def upsert(connection: Connection, model: type[Any], rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]) -> None:
    """Insert rows, or give the rows with the same key the new values.

    Args:
        connection: In a writing transaction.
        model: A class of `hcs.catalog.models`.
        rows: All with the same columns.
        key: Columns of a unique constraint.
    """
    if not rows:
        return
    insert = _insert(connection, model)
    changed = {name: insert.excluded[name] for name in rows[0] if name not in key}
    connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=changed), list(rows))


def _insert(connection: Connection, model: type[Any]) -> sqlite.Insert | postgresql.Insert:
    """Return the dialect's own insert: both offer the same two methods for conflicts."""
    return postgresql.insert(model) if connection.dialect.name == "postgresql" else sqlite.insert(model)


def sqlite_engine(path: str, *, pooled: bool = True, foreign_keys: bool = True) -> Engine:
    """Return an engine whose transactions begin when SQLAlchemy says so, and whose writers queue for 30 seconds.

    The driver's own transaction handling is switched off: it starts a transaction late, as a reader, and a reader that
    becomes a writer fails at once instead of waiting.
    """
    engine = create_engine(
        URL.create("sqlite", database=path),
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "isolation_level": None},
        **({} if pooled else {"poolclass": NullPool}),
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        connection.execute("PRAGMA synchronous = FULL")  # a unit that is done stays done after a power cut

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def use_write_ahead_log(connection: sqlite3.Connection) -> str:
    """Return the journal mode after asking for WAL, in which readers and one writer do not block one another."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    return str(mode)


def violated_references(connection: Connection) -> int:
    """Return how many rows refer to rows that do not exist; other databases than SQLite never let it happen."""
    if connection.dialect.name != "sqlite":
        return 0
    return len(connection.execute(text("PRAGMA foreign_key_check")).all())


_SQLITE_MEANINGS: tuple[tuple[str, type[HcsError], str], ...] = (
    (
        "database or disk is full",
        StorageError,
        "the disk is full; what was committed before is kept. Free some space and give the same command again",
    ),
    (
        "readonly database",
        StorageError,
        "this user may not write it. SQLite needs to write the file and its folder, also to read; "
        "change the permissions, or copy the folder and name the copy with --catalog",
    ),
    (
        "unable to open database file",
        StorageError,
        "the file cannot be opened. Look at the permissions of the file and its folder, or name another with --catalog",
    ),
    (
        "file is not a database",
        CatalogError,
        "the file is not an SQLite database. Name the catalog's own file with --catalog, or a new one",
    ),
    (
        "malformed",
        CatalogError,
        "the file is damaged. Restore it from a copy, or name a new catalog with --catalog and run again: "
        "the delivered images are all that is needed",
    ),
    (
        "database is locked",
        StorageError,
        f"another process has been writing for more than {BUSY_TIMEOUT_SECONDS:.0f} s. See what holds the file, "
        "and give the same command again",
    ),
    (
        "disk I/O error",
        StorageError,
        "the disk reports an error. Look at the disk, and keep the catalog on a local one: network shares cannot lock",
    ),
)


def explained(error: Exception, *, location: str) -> HcsError:
    """Return the error that says in one paragraph what a database error means and what to do."""
    cause = " ".join(str(error.orig if isinstance(error, exc.DBAPIError) else error).split())
    for fragment, kind, meaning in _SQLITE_MEANINGS:
        if fragment in cause:
            return kind(f"the catalog {location} could not be used ({cause}): {meaning}.")
    if isinstance(error, exc.IntegrityError):
        return CatalogError(
            f"the catalog {location} refused rows that contradict what it holds ({cause}); nothing was written."
        )
    return CatalogError(f"the catalog {location} could not answer ({cause}); nothing was written.")


def named_metadata() -> MetaData:
    """Return an empty set of tables whose constraints are named by convention."""
    return MetaData(naming_convention=NAMING)
