"""Files behind every URL that fsspec knows and that has no store of its own here (`memory://`, `gs://`, ...)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Any, BinaryIO, cast

import fsspec

from hcs.io.stores.base import OnUnreadable, StoredFile


class FsspecStore:
    """What fsspec and its drivers reach."""

    reads_at_once = 8

    def read(self, uri: str, *, witness: str | None) -> bytes:
        """Return the content."""
        files, path = fsspec.core.url_to_fs(uri)
        return cast("bytes", files.cat_file(path))

    def open(self, uri: str, *, size_bytes: int | None) -> BinaryIO:
        """Return the opened file."""
        files, path = fsspec.core.url_to_fs(uri)
        return cast("BinaryIO", files.open(path, "rb"))

    def exists(self, uri: str) -> bool:
        """Return whether there is a file or folder."""
        files, path = fsspec.core.url_to_fs(uri)
        return bool(files.exists(path))

    def write(self, uri: str, content: bytes) -> None:
        """Write a file by one call."""
        files, path = fsspec.core.url_to_fs(uri)
        files.pipe_file(path, content)

    def remove(self, uri: str) -> None:
        """Remove a file, if it is there."""
        files, path = fsspec.core.url_to_fs(uri)
        if files.exists(path):
            files.rm_file(path)

    def list_files(self, root: str, *, on_unreadable: OnUnreadable) -> Iterable[StoredFile]:
        """Return every file under a root."""
        files, top = fsspec.core.url_to_fs(root)
        top = top.rstrip("/")
        details: dict[str, dict[str, Any]] = files.find(top, detail=True)
        if not details and not files.exists(top):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        relative = {path.removeprefix(top).lstrip("/"): detail for path, detail in details.items()}
        return [
            StoredFile(path, int(detail.get("size") or 0), _witness(detail))
            for path, detail in relative.items()
            if path
        ]

    def list_names(self, folder: str) -> Iterable[str]:
        """Return the names in a folder."""
        files, path = fsspec.core.url_to_fs(folder)
        details = files.ls(path, detail=True)
        names = [(str(item["name"]).rstrip("/").rpartition("/")[2], item["type"] == "directory") for item in details]
        return [f"{name}/" if is_directory else name for name, is_directory in names]


def _witness(detail: dict[str, Any]) -> str | None:
    for name in ("ETag", "etag", "md5Hash"):
        if detail.get(name):
            return f"etag:{str(detail[name]).strip(chr(34))}"
    for name in ("LastModified", "mtime", "created"):
        if detail.get(name):
            return f"mtime:{detail[name]}"
    return None
