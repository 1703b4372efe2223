"""Opens a catalog: an SQLite file, or a new one, brought to the newest schema."""

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
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from hcs.catalog.dialects import BUSY_TIMEOUT_SECONDS, explained, sqlite_engine, use_write_ahead_log
from hcs.catalog.migrations import HEAD
from hcs.catalog.upgrade import revision_of, upgrade
from hcs.errors import NotFoundError, StorageError, UsageError


@dataclass(frozen=True)
class Catalog:
    """An open catalog: what every function of `hcs.catalog` takes first. Closes itself at the end of a `with`."""

    location: str
    parts_uri: str
    engine: Engine

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
        with (
            explaining(self.location),
            self.engine.connect().execution_options(writes=writes) as connection,
            connection.begin(),
        ):
            yield connection

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


@contextmanager
def explaining(location: str) -> Iterator[None]:
    """Turn errors of the database into the paragraph that says what to do."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise explained(error, location=location) from error


def open_catalog(url: str, *, parts_uri: str | None = None, create: bool = True) -> Catalog:
    """Return the catalog at a path or `sqlite:///` URL, at the newest schema.

    Args:
        url: A path, or an SQLite URL of a file.
        parts_uri: Folder or URI of the Parquet parts; by default `parts` beside the file.
        create: Whether a catalog that does not exist is made, with its folder. Commands that only ask say no.

    Raises:
        UsageError: If the URL is none of SQLite, or names no file.
        NotFoundError: If it does not exist and is not to be made.
        StorageError: If it cannot be made, read or written.
        CatalogError: If the file is no catalog, or one of a newer version.
    """
    path = _sqlite_path(url)
    location = str(path)
    if not create and not _exists(path):
        raise NotFoundError(
            f"there is no catalog at {location}. `hcs run SCREEN.yaml` and `hcs demo` make one; "
            "name an existing one with --catalog or HCS_CATALOG."
        )
    _make_folder(path)
    _check_writable(path)
    with explaining(location):
        _use_write_ahead_log(path)
        _upgrade(path)
    return Catalog(
        location=location,
        parts_uri=str(path.parent / "parts") if parts_uri is None else parts_uri,
        engine=sqlite_engine(location),
    )


def _sqlite_path(url: str) -> Path:
    """Return the absolute path of the file that a path or URL names."""
    name: str | None = url
    if "://" in url:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise UsageError(f"a catalog is named by a path or by sqlite:///PATH, but {url!r} is neither.") from error
        if parsed.get_backend_name() != "sqlite" or parsed.query:
            raise UsageError(
                "a catalog is an SQLite file in this version, named by a path or by sqlite:///PATH without options, "
                f"but {parsed.render_as_string(hide_password=True)} came."
            )
        name = parsed.database
    if not name or name == ":memory:" or "\0" in name:
        raise UsageError(f"a catalog is a file that several processes share, but {url!r} names none.")
    return Path(os.path.abspath(Path(name).expanduser()))


def _exists(path: Path) -> bool:
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


def _upgrade(path: Path) -> None:
    engine = sqlite_engine(str(path), pooled=False, foreign_keys=False)
    with engine.connect() as connection:
        revision = revision_of(connection, location=str(path))
    if revision != HEAD:
        upgrade(engine, location=str(path))
