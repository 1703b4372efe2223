"""Files wherever they lie: local paths and every URL that fsspec knows (`s3://`, `memory://`, ...).

A URI may end in `#channel=KEY`, which names one channel inside a file that holds several; everything here looks at the
file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

import fsspec
import structlog

from hcs.errors import StorageError

CHANNEL_MARK = "#channel="
"""What stands between a file and the channel that is meant inside it."""

_CHUNK_BYTES = 1 << 20
_REMEDIES = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some of the quota, or write elsewhere",
    errno.EFBIG: "the file system or a limit (ulimit -f) does not take a file of this size: write elsewhere",
    errno.EACCES: "ask for the permission, or name another place",
    errno.EPERM: "ask for the permission, or name another place",
    errno.EROFS: "the file system is read-only: name another place",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a part of the path is a file: name another place",
    errno.EEXIST: "a part of the path is a file: name another place",
    errno.EISDIR: "this is a folder: name a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a folder; `witness` is its ETag or modification time as `etag:...` or `mtime:...`."""

    relative_path: str
    size_bytes: int
    witness: str | None


@dataclass(frozen=True, slots=True)
class UnreadableFolder:
    """A folder, a link or something that is no file, which could not be looked into, and why."""

    relative_path: str
    reason: str


def is_remote(uri: str) -> bool:
    """Return whether a URI names something behind fsspec rather than a local path."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme != "file" and "/" not in scheme


def local_path(uri: str) -> Path:
    """Return the path of a local URI (`file://` or plain)."""
    return Path(unquote(urlsplit(uri).path) if uri.startswith("file://") else uri)


def without_channel(uri: str) -> str:
    """Return the file of a URI, without the channel meant inside it."""
    return uri.partition(CHANNEL_MARK)[0]


def channel_key(uri: str) -> str | None:
    """Return which channel inside the file a URI means; None where the file holds one."""
    return uri.partition(CHANNEL_MARK)[2] or None


def join(root_uri: str, relative: str) -> str:
    """Return the URI of something under a root.

    Raises:
        StorageError: If `relative` is absolute or climbs out of the root.
    """
    if relative.startswith(("/", "\\")) or ".." in relative.split("/"):
        raise StorageError(f"expected a path that stays under {root_uri}, got {relative!r}")
    root = root_uri.rstrip("/") or "/"
    return f"{root}{relative}" if root.endswith("/") else f"{root}/{relative}"


@contextmanager
def open_read(uri: str) -> Iterator[BinaryIO]:
    """Yield the file, opened for reading at its start; it can seek.

    Raises:
        StorageError: If it cannot be opened or read.
    """
    uri = without_channel(uri)
    if is_remote(uri):
        with _explained(uri, "read"):
            files, path = fsspec.core.url_to_fs(uri)
            opened = files.open(path, "rb")
    else:
        with _explained(uri, "read"):
            opened = local_path(uri).open("rb")
    with opened as stream:
        yield cast("BinaryIO", stream)


def read_bytes(uri: str) -> bytes:
    """Return the content of a file.

    Raises:
        StorageError: If it cannot be read.
    """
    uri = without_channel(uri)
    with _explained(uri, "read"):
        if is_remote(uri):
            files, path = fsspec.core.url_to_fs(uri)
            return cast("bytes", files.cat_file(path))
        with open(local_path(uri), "rb") as stream:
            return stream.read()


def exists(uri: str) -> bool:
    """Return whether there is a file or folder.

    Raises:
        StorageError: If the store cannot be asked.
    """
    uri = without_channel(uri)
    with _explained(uri, "look for"):
        if is_remote(uri):
            files, path = fsspec.core.url_to_fs(uri)
            return bool(files.exists(path))
        return local_path(uri).exists()


def sha256_of(uri: str) -> str:
    """Return the SHA-256 of a file's content, read in pieces.

    Raises:
        StorageError: If it cannot be read.
    """
    digest = hashlib.sha256()
    with open_read(uri) as stream, _explained(uri, "read"):
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
    with _explained(uri, "write"):
        if is_remote(uri):
            files, path = fsspec.core.url_to_fs(uri)
            files.pipe_file(path, content)
        else:
            _write_local(local_path(uri), content)


def remove(uri: str) -> None:
    """Remove a file; one that is not there is as good as removed.

    Raises:
        StorageError: If it is there and cannot be removed.
    """
    with _explained(uri, "remove"):
        if is_remote(uri):
            files, path = fsspec.core.url_to_fs(uri)
            if files.exists(path):
                files.rm_file(path)
        else:
            local_path(uri).unlink(missing_ok=True)


def _write_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


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
    found = _list_remote(root) if is_remote(root) else _list_local(root, on_unreadable)
    yield from sorted(found, key=lambda file: file.relative_path)


def list_names(folder: str) -> tuple[str, ...]:
    """Return the names of what lies directly in a folder, sorted; those of folders end in `/`.

    Raises:
        StorageError: If it cannot be listed.
    """
    with _explained(folder, "list"):
        if is_remote(folder):
            files, path = fsspec.core.url_to_fs(folder)
            details = files.ls(path, detail=True)
            names = [
                (str(item["name"]).rstrip("/").rpartition("/")[2], item["type"] == "directory") for item in details
            ]
        else:
            with os.scandir(local_path(folder)) as entries:
                names = [(entry.name, entry.is_dir()) for entry in entries]
    return tuple(sorted(f"{name}/" if is_directory else name for name, is_directory in names))


def _list_local(root: str, on_unreadable: Callable[[UnreadableFolder], object]) -> list[StoredFile]:
    top = local_path(root)
    with _explained(root, "list"):
        state = top.stat()
        os.scandir(top).close()
    found: list[StoredFile] = []
    waiting = [("", os.fspath(top), frozenset({(state.st_dev, state.st_ino)}))]
    while waiting:
        prefix, folder, above = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            on_unreadable(UnreadableFolder(prefix, _cause(error)))
            continue
        for entry in entries:
            try:
                state = entry.stat()
                if not entry.is_dir() and not stat.S_ISREG(state.st_mode):
                    # To read a pipe may wait for ever, and a device may never end.
                    on_unreadable(UnreadableFolder(f"{prefix}{entry.name}", "a pipe, socket or device, no file"))
                elif not entry.is_dir():
                    witness = f"mtime:{state.st_mtime_ns}"
                    found.append(StoredFile(f"{prefix}{entry.name}", state.st_size, witness))
                elif (key := (state.st_dev, state.st_ino)) not in above:
                    waiting.append((f"{prefix}{entry.name}/", entry.path, above | {key}))
            except OSError as error:
                on_unreadable(UnreadableFolder(f"{prefix}{entry.name}", _cause(error)))
    return found


def _list_remote(root: str) -> Iterable[StoredFile]:
    with _explained(root, "list"):
        files, top = fsspec.core.url_to_fs(root)
        top = top.rstrip("/")
        details: dict[str, dict[str, Any]] = files.find(top, detail=True)
        if not details and not files.exists(top):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for path, detail in details.items():
        relative = path.removeprefix(top).lstrip("/")
        if relative:
            yield StoredFile(relative, int(detail.get("size") or 0), _remote_witness(detail))


def _remote_witness(detail: dict[str, Any]) -> str | None:
    for name in ("ETag", "etag", "md5Hash"):
        if detail.get(name):
            return f"etag:{str(detail[name]).strip(chr(34))}"
    for name in ("LastModified", "mtime", "created"):
        if detail.get(name):
            return f"mtime:{detail[name]}"
    return None


@contextmanager
def _explained(uri: str, verb: str) -> Iterator[None]:
    """Turn whatever a file system or a driver raises into a StorageError with its cause and the remedy."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else error.errno or 0
        remedy = _REMEDIES.get(number, "check the path and the connection")
        raise StorageError(f"cannot {verb} {uri}: {_cause(error)}; {remedy}") from error
    except ImportError as error:
        scheme = uri.partition("://")[0]
        raise StorageError(
            f"cannot {verb} {uri}: the driver for {scheme}:// is not installed ({error}); "
            f"for s3:// install it with pip install 'hcs[s3]'"
        ) from error
    except Exception as error:  # every driver behind fsspec raises classes of its own
        raise StorageError(
            f"cannot {verb} {uri}: {type(error).__name__}: {error}; check the address and the credentials"
        ) from error


def _cause(error: OSError) -> str:
    if error.strerror is None and isinstance(error, FileNotFoundError):
        return os.strerror(errno.ENOENT)
    return error.strerror or str(error) or type(error).__name__
