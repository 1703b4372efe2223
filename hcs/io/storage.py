"""Files wherever they lie: local paths, `s3://`, and every URL that fsspec knows (`memory://`, `gs://`, ...).

A URI may end in `#channel=KEY`, which names one channel inside a file that holds several; everything here looks at the
file. What goes wrong is a StorageError with its cause and the remedy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, BinaryIO, TypeVar, cast

import structlog

from hcs.errors import MissingFileError
from hcs.io.stores import store_of
from hcs.io.stores.base import StoredFile, UnreadableFolder, explained
from hcs.io.uris import CHANNEL_MARK, beside, channel_key, is_remote, join, local_path, shown, without_channel

__all__ = [
    "CHANNEL_MARK",
    "StoredFile",
    "UnreadableFolder",
    "beside",
    "channel_key",
    "exists",
    "is_remote",
    "join",
    "list_files",
    "list_names",
    "local_path",
    "open_read",
    "read_bytes",
    "reading_once",
    "reads_at_once",
    "remove",
    "sha256_of",
    "sha256_of_bytes",
    "shown",
    "without_channel",
    "write_atomically",
]

T = TypeVar("T")

_CHUNK_BYTES = 1 << 20

log = structlog.get_logger(__name__)

_known: ContextVar[dict[tuple[str, str], Any] | None] = ContextVar("known", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Read every remote file and list every remote folder once while the context lasts, however often it is asked for.

    It is for the small tables around a delivery, which several who look for something ask for, and holds for the
    thread that enters it alone. That something is not there is remembered, other errors are not.
    """
    if _known.get() is not None:
        yield
        return
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def _once(what: str, uri: str, ask: Callable[[], T]) -> T:
    known = _known.get()
    if known is None or not is_remote(uri):
        return ask()
    if (what, uri) not in known:
        try:
            known[what, uri] = ask()
        except MissingFileError as error:
            known[what, uri] = error
    found = known[what, uri]
    if isinstance(found, MissingFileError):
        raise found
    return cast("T", found)


def reads_at_once(uri: str) -> int:
    """Return how many reads at the same time make reading from there faster."""
    return store_of(uri).reads_at_once


@contextmanager
def open_read(uri: str, *, size_bytes: int | None = None) -> Iterator[BinaryIO]:
    """Yield the file, opened for reading at its start; it can seek.

    Of an object, only the ranges that are read are fetched, 64 KiB at least.

    Args:
        uri: A file.
        size_bytes: As it was listed; None asks for it where it must be known.

    Raises:
        StorageError: If it cannot be opened or read.
    """
    uri = without_channel(uri)
    with explained(uri, "read"):
        opened = store_of(uri).open(uri, size_bytes=size_bytes)
    with opened as stream:
        yield stream


def read_bytes(uri: str, *, witness: str | None = None) -> bytes:
    """Return the content of a file, fetched by one request.

    Args:
        uri: A file.
        witness: As it was listed; an object store sends no object with another ETag. None takes it as it is now.

    Raises:
        MissingFileError: If it is not there.
        InputChangedError: If it was changed since it was listed.
        StoreUnavailableError: If the store does not answer, or refuses the key.
        StorageError: If it cannot be read.
    """
    uri = without_channel(uri)

    def ask() -> bytes:
        with explained(uri, "read"):
            return store_of(uri).read(uri, witness=witness)

    return _once("read", uri, ask)


def exists(uri: str) -> bool:
    """Return whether there is a file or folder.

    Raises:
        StorageError: If the store cannot be asked.
    """
    uri = without_channel(uri)

    def ask() -> bool:
        with explained(uri, "look for"):
            return store_of(uri).exists(uri)

    return _once("exists", uri, ask)


def sha256_of(uri: str) -> str:
    """Return the SHA-256 of a file's content; a local file is read in pieces, an object by one request.

    Raises:
        StorageError: If it cannot be read.
    """
    if is_remote(uri):
        return sha256_of_bytes(read_bytes(uri))
    digest = hashlib.sha256()
    with open_read(uri) as stream, explained(uri, "read"):
        while piece := stream.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes in memory."""
    return hashlib.sha256(content).hexdigest()


def write_atomically(uri: str, content: bytes) -> None:
    """Write a file so that readers see all of it or none: a temporary file, synced and renamed, or one PUT.

    Folders on the way are made. Nothing is left behind where it fails.

    Raises:
        StorageError: With the path, the cause (a full disk, a missing permission) and what to do.
    """
    with explained(uri, "write"):
        store_of(uri).write(uri, content)


def remove(uri: str) -> None:
    """Remove a file; one that is not there is as good as removed.

    Raises:
        StorageError: If it is there and cannot be removed.
    """
    with explained(uri, "remove"):
        store_of(uri).remove(uri)


def _log_unreadable(folder: UnreadableFolder) -> None:
    log.warning("folder cannot be read", folder=folder.relative_path, reason=folder.reason)


def list_files(
    root: str, *, on_unreadable: Callable[[UnreadableFolder], object] = _log_unreadable
) -> Iterator[StoredFile]:
    """Yield every file under a root, sorted by its relative path, wherever in it the file lies.

    Links are followed, but never into a folder that is being listed already.

    Args:
        root: A folder.
        on_unreadable: Called with every folder or link that cannot be looked into, and with what is neither folder nor
            file; by default it is logged. The others are listed all the same.

    Raises:
        StorageError: If the root itself cannot be listed.
    """

    def ask() -> list[StoredFile]:
        with explained(root, "list"):
            found = store_of(root).list_files(root, on_unreadable=on_unreadable)
            return sorted(found, key=lambda file: file.relative_path)

    yield from _once("files", root, ask)


def list_names(folder: str) -> tuple[str, ...]:
    """Return the names of what lies directly in a folder, sorted; those of folders end in `/`.

    Raises:
        StorageError: If it cannot be listed.
    """

    def ask() -> tuple[str, ...]:
        with explained(folder, "list"):
            return tuple(sorted(store_of(folder).list_names(folder)))

    return _once("names", folder, ask)
