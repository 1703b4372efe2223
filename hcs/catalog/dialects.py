"""Everything that differs between database systems: the clock, upserts, transactions, settings, and what errors mean.

SQLite has one writer at a time, who sees everything as it is. On PostgreSQL a writer reads what is committed and locks
the rows that it decides by; a reader sees one state to its end on both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Float, MetaData, collate, create_engine, event, exc, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.expression import FunctionElement

from hcs.errors import CatalogError, DatabaseLostError, HcsError, NotFoundError, StorageError, UsageError

BUSY_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 5

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


def by_code_point(connection: Connection, column: Any) -> ColumnElement[Any]:
    """Return a text column to order by as Python does; a database's own order depends on its locale."""
    return collate(column, "C" if connection.dialect.name == "postgresql" else "BINARY")


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


def postgres_engine(url: URL) -> Engine:
    """Return an engine of PostgreSQL whose connections are looked at before they are used.

    Statements are not prepared on the server, so that a pooler may stand between.

    Raises:
        UsageError: If the driver is not installed.
    """
    asked = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "hcs", "client_encoding": "utf8"}
    settings = {name: value for name, value in asked.items() if name not in url.query}
    try:
        return create_engine(url, pool_pre_ping=True, connect_args={**settings, "prepare_threshold": None})
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a catalog on PostgreSQL needs {error.name}, which is not installed here: pip install 'hcs[postgres]'."
        ) from error


def transaction_options(dialect: str, *, writes: bool) -> dict[str, Any]:
    """Return what a connection must know before its transaction begins."""
    if dialect != "postgresql":
        return {"writes": writes}
    return {
        "writes": writes,
        "isolation_level": "READ COMMITTED" if writes else "REPEATABLE READ",
        "postgresql_readonly": not writes,
    }


UPGRADE_LOCK = 0x4843_5343  # "HCSC": whoever upgrades a catalog in this database holds it


def hold_schema(connection: Connection) -> None:
    """Hold the schema to the end of the transaction: who wants to upgrade it too waits. SQLite has one writer only."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": UPGRADE_LOCK})


def check_encoding(connection: Connection, *, location: str) -> None:
    """Refuse a database that cannot keep every name.

    Raises:
        CatalogError: If its texts are not UTF-8.
    """
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise CatalogError(
            f"a catalog keeps names in any script, but the database {location} has the encoding {encoding}. Make one "
            "with `createdb --encoding=UTF8 --template=template0 NAME`, and name it with --catalog."
        )


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


_POSTGRES_MEANINGS: tuple[tuple[str, type[HcsError], str], ...] = (
    (
        "password authentication failed",
        StorageError,
        "it did not let this user in. Look at the user and the password of the URL, of PGPASSWORD or of ~/.pgpass",
    ),
    (
        "no password supplied",
        StorageError,
        "it asks for a password. Put it into ~/.pgpass or PGPASSWORD, or into the URL of HCS_CATALOG",
    ),
    (
        "no pg_hba.conf entry",
        StorageError,
        "it lets nobody in from this machine, or not in this way. Ask who runs the server; "
        "`?sslmode=require` at the end of the URL asks for an encrypted connection",
    ),
    ('database "', NotFoundError, "there is no such database. Make it with `createdb`, or name another with --catalog"),
    ('role "', StorageError, "it does not know this user. Look at the user of the URL"),
    ("resolve host", StorageError, "there is no such machine. Look at the host of the URL"),
    ("translate host name", StorageError, "there is no such machine. Look at the host of the URL"),
)
"""What a server that cannot be connected to says for good; all else it may say again differently in a moment."""

_POSTGRES_STATES: dict[str, tuple[type[HcsError], str]] = {
    "53100": (StorageError, "the disk of the server is full; what was committed before is kept. Free some space there"),
    "42501": (StorageError, "this user may not do that. Grant it, or make a database that belongs to this user"),
    "25006": (StorageError, "the server takes no changes, as a standby does. Name the primary in the URL"),
}

_PASSING_STATES = ("40001", "40P01", "53300", "57P01", "57P02", "57P03", "57P05")
"""Two transactions in one another's way, too many connections, and a server that goes down or comes up."""


def explained(error: Exception, *, location: str) -> HcsError:
    """Return the error that says in one paragraph what a database error means and what to do."""
    cause = " ".join(str(error.orig if isinstance(error, exc.DBAPIError) else error).split())
    said = f"the catalog {location} could not be used ({cause})"
    if location.startswith("postgresql"):
        kind, meaning = _meaning_on_postgresql(error, cause)
        if meaning:
            return kind(f"{said}: {meaning}.")
    else:
        for fragment, kind, meaning in _SQLITE_MEANINGS:
            if fragment in cause:
                return kind(f"{said}: {meaning}.")
    if isinstance(error, exc.IntegrityError):
        return CatalogError(
            f"the catalog {location} refused rows that contradict what it holds ({cause}); nothing was written."
        )
    return CatalogError(f"the catalog {location} could not answer ({cause}); nothing was written.")


@contextmanager
def explaining(location: str) -> Iterator[None]:
    """Turn errors of the database into the paragraph that says what to do."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise explained(error, location=location) from error


def is_lost(error: Exception) -> bool:
    """Return whether the connection broke, or was never made, so that the same may succeed on another one."""
    if not isinstance(error, exc.DBAPIError):
        return False
    state = _state_of(error)
    if error.connection_invalidated or state in _PASSING_STATES or state.startswith("08"):
        return True
    return isinstance(error, exc.OperationalError) and error.statement is None and not state


def _meaning_on_postgresql(error: Exception, cause: str) -> tuple[type[HcsError], str]:
    """Return what an error of PostgreSQL is, and what to do; without words where nothing particular is known."""
    state = _state_of(error)
    if state in _POSTGRES_STATES:
        return _POSTGRES_STATES[state]
    if not is_lost(error):
        return CatalogError, ""
    for fragment, kind, meaning in _POSTGRES_MEANINGS:
        if fragment in cause and not state:
            return kind, meaning
    return DatabaseLostError, "the connection was lost, and nothing was written"


def _state_of(error: Exception) -> str:
    """Return the five characters by which PostgreSQL says what went wrong; none where it did not get to say it."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def named_metadata() -> MetaData:
    """Return an empty set of tables whose constraints are named by convention."""
    return MetaData(naming_convention=NAMING)
