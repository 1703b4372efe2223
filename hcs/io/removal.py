"""Removes files that nobody needs any more, and the folders that this leaves empty."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from hcs.errors import StorageError
from hcs.io.storage import is_remote, join, local_path, remove

_AT_ONCE = 8


def remove_files(root_uri: str, relative_paths: Iterable[str]) -> dict[str, str]:
    """Return why files could not be removed, by path; the others are gone, as those are that were not there.

    Folders below the root that are empty then are removed too.

    Args:
        root_uri: A folder or URI.
        relative_paths: Files below it.
    """
    paths = sorted(set(relative_paths))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reasons = pool.map(lambda path: _reason_why_not(root_uri, path), paths)
        failures = {path: reason for path, reason in zip(paths, reasons, strict=True) if reason is not None}
    if not is_remote(root_uri):
        _remove_empty_folders(root_uri, [path for path in paths if path not in failures])
    return failures


def _reason_why_not(root_uri: str, path: str) -> str | None:
    try:
        remove(join(root_uri, path))
    except StorageError as error:
        return str(error)
    return None


def _remove_empty_folders(root_uri: str, paths: Iterable[str]) -> None:
    root = local_path(root_uri)
    folders = {folder for path in paths for folder in PurePosixPath(path).parents if folder.parts}
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        with contextlib.suppress(OSError):  # another file lies there still
            (root / folder).rmdir()
