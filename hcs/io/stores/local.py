"""Files on this machine, or on what it has mounted."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from hcs.io.stores.base import OnUnreadable, StoredFile, UnreadableFolder, cause_of
from hcs.io.uris import local_path


class LocalStore:
    """Paths and `file://`."""

    reads_at_once = 4

    def read(self, uri: str, *, witness: str | None) -> bytes:
        """Return the content."""
        return local_path(uri).read_bytes()

    def open(self, uri: str, *, size_bytes: int | None) -> BinaryIO:
        """Return the opened file."""
        return local_path(uri).open("rb")

    def exists(self, uri: str) -> bool:
        """Return whether there is a file or folder."""
        return local_path(uri).exists()

    def write(self, uri: str, content: bytes) -> None:
        """Write a temporary file, sync it and rename it; folders on the way are made."""
        path = local_path(uri)
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

    def remove(self, uri: str) -> None:
        """Remove a file, if it is there."""
        local_path(uri).unlink(missing_ok=True)

    def list_files(self, root: str, *, on_unreadable: OnUnreadable) -> Iterable[StoredFile]:
        """Return every file under a folder; links are followed, but never into a folder that is being listed."""
        top = local_path(root)
        state = top.stat()
        os.scandir(top).close()
        found: list[StoredFile] = []
        waiting = [("", os.fspath(top), frozenset({(state.st_dev, state.st_ino)}))]
        while waiting:
            prefix, folder, above = waiting.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError as error:
                on_unreadable(UnreadableFolder(prefix, cause_of(error)))
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
                    on_unreadable(UnreadableFolder(f"{prefix}{entry.name}", cause_of(error)))
        return found

    def list_names(self, folder: str) -> Iterable[str]:
        """Return the names in a folder."""
        with os.scandir(local_path(folder)) as entries:
            return [f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries]


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
