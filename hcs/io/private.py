"""Small local files that only their owner may read, such as one with a key."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from hcs.errors import StorageError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OWNER_ONLY = stat.S_IRUSR | stat.S_IWUSR
_LONGEST_BYTES = 10_000


def read_private(path: Path, *, what: str) -> str | None:
    """Return the text of a file that nobody but its owner may read, without blanks around it; None if it is not there.

    Args:
        path: A local file.
        what: What it holds, for the message.

    Raises:
        StorageError: If others may read or write it, it is no small file of text, or it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, what, error.strerror) from error
    with open(descriptor, "rb") as stream:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise _unreadable(path, what, "it is no file")
        if others := stat.S_IMODE(state.st_mode) & _OTHERS:
            raise StorageError(
                f"expected {what} in {path} to be readable by its owner alone, but its mode is "
                f"{stat.S_IMODE(state.st_mode):03o}, which lets others {_deeds(others)} it. Take the permission away "
                "with chmod 600; if others may have seen it, revoke what it holds and remove the file."
            )
        content = stream.read(_LONGEST_BYTES)
    try:
        return content.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise _unreadable(path, what, "it holds something else") from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on; readers see all of it or none.

    Raises:
        StorageError: If it cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            with open(descriptor, "w", encoding="ascii") as stream:
                os.fchmod(descriptor, _OWNER_ONLY)
                stream.write(f"{text}\n")
                stream.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(
            f"the file {path} could not be written ({error.strerror}). Look at the disk and the folder's permissions."
        ) from error


def _deeds(others: int) -> str:
    reads, writes = others & (stat.S_IRGRP | stat.S_IROTH), others & (stat.S_IWGRP | stat.S_IWOTH)
    return " and ".join(word for word, is_so in (("read", reads), ("write", writes)) if is_so) or "execute"


def _unreadable(path: Path, what: str, cause: str | None) -> StorageError:
    return StorageError(f"expected {what} in {path}, but it cannot be read: {cause}. Move it away, or correct it.")
