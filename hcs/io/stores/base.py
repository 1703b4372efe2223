"""What every store promises, and how its errors become sentences."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from hcs.errors import HcsError, MissingFileError, StorageError
from hcs.io.uris import shown

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


OnUnreadable = Callable[[UnreadableFolder], object]


class Store(Protocol):
    """One kind of place for files. URIs come without a channel; errors may be the driver's own.

    `reads_at_once` says how many reads at the same time make it faster.
    """

    reads_at_once: int

    def read(self, uri: str, *, witness: str | None) -> bytes:
        """Return the content; where the store can tell, only if it is still the one with this witness."""
        ...

    def open(self, uri: str, *, size_bytes: int | None) -> BinaryIO:
        """Return the file opened for reading; it can seek, and no more is read than is asked for."""
        ...

    def exists(self, uri: str) -> bool:
        """Return whether there is a file or folder."""
        ...

    def write(self, uri: str, content: bytes) -> None:
        """Write a file that readers see as a whole or not at all."""
        ...

    def remove(self, uri: str) -> None:
        """Remove a file, if it is there."""
        ...

    def list_files(self, root: str, *, on_unreadable: OnUnreadable) -> Iterable[StoredFile]:
        """Return every file under a root, in any order."""
        ...

    def list_names(self, folder: str) -> Iterable[str]:
        """Return the names of what lies directly in a folder, in any order; those of folders end in `/`."""
        ...


@contextmanager
def explained(uri: str, verb: str) -> Iterator[None]:
    """Turn whatever a file system or a driver raises into a StorageError with its cause and the remedy."""
    place = shown(uri)
    try:
        yield
    except HcsError:
        raise
    except OSError as error:
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else error.errno or 0
        kind = MissingFileError if number == errno.ENOENT else StorageError
        remedy = _REMEDIES.get(number, "check the path and the connection")
        raise kind(f"cannot {verb} {place}: {shown(cause_of(error))}; {remedy}") from error
    except ImportError as error:
        scheme = uri.partition("://")[0]
        raise StorageError(
            f"cannot {verb} {place}: the driver for {scheme}:// is not installed ({error}); for s3:// install it with "
            "pip install 'hcs[s3]'"
        ) from error
    except Exception as error:  # every driver behind fsspec raises classes of its own
        raise StorageError(
            f"cannot {verb} {place}: {type(error).__name__}: {shown(str(error))}; check the address and the credentials"
        ) from error


def cause_of(error: OSError) -> str:
    """Return what the system says of an error."""
    if error.strerror is None and isinstance(error, FileNotFoundError):
        return os.strerror(errno.ENOENT)
    return error.strerror or str(error) or type(error).__name__
