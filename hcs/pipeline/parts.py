"""Reads the files that units wrote, never another than the one that was registered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import polars as pl

from hcs.errors import MissingFileError, StorageError
from hcs.io.storage import is_remote, join, read_bytes, reads_at_once, sha256_of_bytes
from hcs.io.tables import table_from_bytes
from hcs.pipeline.ahead import in_order


def read_part(parts_uri: str, relative_path: str, *, expected_sha256: str) -> pl.DataFrame:
    """Return the table of one part.

    Raises:
        StorageError: If the file is missing, or is not the one that was registered.
    """
    uri = join(parts_uri, relative_path)
    try:
        content = read_bytes(uri)
    except MissingFileError as error:
        raise StorageError(
            f"part {uri}: expected the file that a finished unit wrote, but it is not there; put it back, or let "
            "`hcs run --new` make all parts again"
        ) from error
    got = sha256_of_bytes(content)
    if got != expected_sha256:
        raise StorageError(
            f"part {uri}: expected the file with SHA-256 {expected_sha256}, got {got}; it was changed since it was "
            "written. `hcs run --new` makes all parts again"
        )
    return table_from_bytes(content, uri)


def read_parts(parts_uri: str, parts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the tables of parts, each read once: rows with `relative_path` and `sha256`."""

    def read(row: tuple[str, str]) -> pl.DataFrame:
        return read_part(parts_uri, row[0], expected_sha256=row[1])

    with closing(
        in_order(read, parts.select("relative_path", "sha256").iter_rows(), threads=readers_of(parts_uri))
    ) as read_ahead:
        yield from read_ahead


def readers_of(uri: str) -> int:
    """Return how many threads read many small files ahead: none where they lie on this machine."""
    return reads_at_once(uri) if is_remote(uri) else 0
