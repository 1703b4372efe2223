"""Opens a catalog: an SQLite file or a PostgreSQL database, brought to the newest schema."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from hcs.catalog.addresses import PostgresAddress, catalog_address
from hcs.catalog.commits import Mark, leave_mark, was_kept
from hcs.catalog.dialects import (
    BUSY_TIMEOUT_SECONDS,
    check_encoding,
    explaining,
    is_lost,
    postgres_engine,
    sqlite_engine,
    transaction_options,
    use_write_ahead_log,
)
from hcs.catalog.finishing import finishing
from hcs.catalog.migrations import HEAD
from hcs.catalog.patience import PATIENCE_SECONDS, patient, pausing
from hcs.catalog.upgrade import not_made, refuse_other_schema, revision_of, upgrade
from hcs.errors import NotFoundError, StorageError, UsageError


@dataclass(frozen=True)
class Catalog:
    """An open catalog: what every function of `hcs.catalog` takes first. Closes itself at the end of a `with`."""

    location: str
    parts_uri: str
    engine: Engine

    @property
    def is_for_one_machine(self) -> bool:
        """Whether only processes of one machine can share it, as is so of a file."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the catalog from its first query to the end.

        Raises:
            StorageError: If the file cannot be read.
            CatalogError: If the database refuses.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield the connection of one transaction: all of it is kept at the end, or nothing on an exception.

        Raises:
            StorageError: If the file cannot be written: permissions, a full disk, a writer that does not end.
            CatalogError: If the database refuses the rows.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        options = transaction_options(self.engine.dialect.name, writes=writes)
        connected = self.engine.connect
        with finishing(), explaining(self.location), connected().execution_options(**options) as connection:
            mark, is_all_said = None, False
            try:
                with connection.begin():
                    mark = leave_mark(connection) if writes else None
                    yield connection
                    is_all_said = True
            except DBAPIError as error:  # where the answer to a commit was lost, the database knows what became of it
                if not (is_all_said and mark and is_lost(error) and self._was_committed(mark)):
                    raise

    def _was_committed(self, mark: Mark) -> bool:
        """Return what became of a transaction whose commit was not answered.

        Raises:
            StorageError: If that cannot be told in time.
        """
        for _ in pausing():
            try:
                with self.engine.connect() as connection:
                    answer = was_kept(connection, mark)
            except DBAPIError as error:
                if not is_lost(error):
                    raise
                continue
            if answer is not None:
                return answer
        raise StorageError(
            f"the catalog {self.location} was lost while a change was being committed, and did not come back within "
            f"{PATIENCE_SECONDS:.0f} s: whether the change was kept is not known. Look with `hcs status`, and give the "
            "same command again when the server is there; nothing is done twice."
        )

    def close(self) -> None:
        """Close every connection; the last one that closes folds the write-ahead log into the file."""
        self.engine.dispose()

    def __enter__(self) -> Catalog:
        """Return the catalog itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the catalog."""
        self.close()


def open_catalog(url: str, *, parts_uri: str | None = None, create: bool = True, may_upgrade: bool = True) -> Catalog:
    """Return the catalog at a path or URL, at the newest schema.

    Args:
        url: A path or `sqlite:///` URL of a file, or a `postgresql://` URL of a database.
        parts_uri: Folder or URI of the Parquet parts; by default `parts` beside `catalog.sqlite`, and `NAME-parts`
            beside `NAME.sqlite`. A database has no folder beside it, so that it must be given.
        create: Whether a catalog that does not exist is made: a file with its folder, or tables in an empty database.
            Commands that only ask say no.
        may_upgrade: Whether it is brought to the newest schema where it has an older one or none; otherwise that is
            refused, and left to `hcs catalog upgrade`.

    Raises:
        UsageError: If the URL names neither, or parts have no place.
        NotFoundError: If it does not exist and is not to be made.
        StorageError: If it cannot be made, read or written, or its server does not answer.
        CatalogError: If the file or database is no catalog, or one of a newer version, or of an older one that may not
            be upgraded.
    """
    address = catalog_address(url)
    if isinstance(address, PostgresAddress):
        parts_uri = _parts_of_database(address, parts_uri)
        location = address.location
    else:
        parts_uri = str(_parts_beside(address)) if parts_uri is None else parts_uri
        location = str(address)
    return Catalog(location, parts_uri, open_engine(address, create=create, may_upgrade=may_upgrade))


def open_engine(address: Path | PostgresAddress, *, create: bool = True, may_upgrade: bool = True) -> Engine:
    """Return the engine of a file or a database that holds a catalog at the newest schema; `open_catalog` says more."""
    if isinstance(address, PostgresAddress):
        return _open_database(address, create=create, may_upgrade=may_upgrade)
    return _open_file(address, create=create, may_upgrade=may_upgrade)


def _open_file(path: Path, *, create: bool, may_upgrade: bool) -> Engine:
    location = str(path)
    if not (create and may_upgrade) and not exists(path):
        raise NotFoundError(_no_catalog(location) if may_upgrade else not_made(location))
    _make_folder(path)
    _check_writable(path)
    with explaining(location):
        _use_write_ahead_log(path)
        engine = sqlite_engine(location, pooled=False, foreign_keys=False)
        with engine.connect() as connection:
            revision = revision_of(connection, location=location)
        if revision != HEAD:
            _bring_to_newest(engine, revision, location=location, may_upgrade=may_upgrade)
    return sqlite_engine(location)


def _parts_beside(path: Path) -> Path:
    """Return the folder of the parts of a file; each catalog of a folder has its own, since all have a run-1."""
    return path.parent / ("parts" if path.stem == "catalog" else f"{path.stem}-parts")


def _parts_of_database(address: PostgresAddress, parts_uri: str | None) -> str:
    if not parts_uri:
        raise UsageError(
            f"a catalog on PostgreSQL has no folder beside it, so where the files of units are kept must be said, but "
            f"no --parts came with {address.location}. Give a folder that every machine of the run shares, or an URI "
            "such as s3://BUCKET/PARTS, with --parts or HCS_PARTS; always the same with one catalog."
        )
    return parts_uri if "://" in parts_uri else os.path.abspath(Path(parts_uri).expanduser())


def _open_database(address: PostgresAddress, *, create: bool, may_upgrade: bool) -> Engine:
    engine = postgres_engine(address.url)
    try:
        _bring_up_to_date(engine, location=address.location, create=create, may_upgrade=may_upgrade)
    except BaseException:
        engine.dispose()
        raise
    return engine


@patient
def _bring_up_to_date(engine: Engine, *, location: str, create: bool, may_upgrade: bool) -> None:
    with explaining(location):
        with engine.connect() as connection:
            check_encoding(connection, location=location)
            revision = revision_of(connection, location=location)
        if revision is None and not create and may_upgrade:
            raise NotFoundError(_no_catalog(location))
        if revision != HEAD:
            _bring_to_newest(engine, revision, location=location, may_upgrade=may_upgrade)


def _bring_to_newest(engine: Engine, revision: str | None, *, location: str, may_upgrade: bool) -> None:
    if not may_upgrade:
        refuse_other_schema(revision, location=location)
    upgrade(engine, location=location)


def _no_catalog(location: str) -> str:
    return (
        f"there is no catalog at {location}. `hcs run`, `hcs submit`, `hcs keys create` and `hcs demo` make one; "
        "name an existing one with --catalog or HCS_CATALOG."
    )


def exists(path: Path) -> bool:
    """Return whether there is a file, or a folder, at a path.

    Raises:
        StorageError: If that cannot be looked for.
    """
    try:
        return path.exists()
    except OSError as error:
        raise StorageError(
            f"the catalog {path} cannot be looked for ({error.strerror}). "
            "Name a file in a folder that you may write with --catalog or HCS_CATALOG."
        ) from error


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_folder = path.is_dir()
    except OSError as error:
        raise StorageError(
            f"the folder of the catalog {path} cannot be made ({error.strerror}: {error.filename}). "
            "Name a file in a folder that you may write with --catalog or HCS_CATALOG."
        ) from error
    if is_folder:
        raise StorageError(
            f"a catalog is a file, but {path} is a folder. Name a file in it, such as {path / 'catalog.sqlite'}."
        )


def _check_writable(path: Path) -> None:
    """Refuse what SQLite would refuse later, in words about something else."""
    effective = os.access in os.supports_effective_ids
    closed = [p for p in (path.parent, path) if p.exists() and not os.access(p, os.W_OK, effective_ids=effective)]
    if closed:
        raise StorageError(
            f"the catalog {path} cannot be used: this user may not write {closed[0]}, and SQLite writes the file and "
            "its folder also to read. Change the permissions, or name another with --catalog or HCS_CATALOG."
        )


def _use_write_ahead_log(path: Path) -> None:
    """Switch the file to WAL. SQLite does not wait for other processes here, so this does."""
    give_up = time.monotonic() + BUSY_TIMEOUT_SECONDS
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    try:
        while True:
            try:
                mode = use_write_ahead_log(connection)
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise
                time.sleep(0.01)
    finally:
        connection.close()
    if mode != "wal":
        raise StorageError(
            f"the catalog {path} lies on a file system that cannot share it between processes (journal mode {mode!r} "
            "instead of wal). Name a file on a local disk with --catalog or HCS_CATALOG."
        )
