"""Reads the files that units wrote, never another than the one that was registered."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from hcs.errors import StorageError
from hcs.io.storage import exists, join, sha256_of
from hcs.io.tables import read_table


def read_part(parts_uri: str, relative_path: str, *, expected_sha256: str) -> pl.DataFrame:
    """Return the table of one part.

    Raises:
        StorageError: If the file is missing, or is not the one that was registered.
    """
    uri = join(parts_uri, relative_path)
    if not exists(uri):
        raise StorageError(
            f"part {uri}: expected the file that a finished unit wrote, but it is not there; put it back, or let "
            "`hcs run --new` make all parts again"
        )
    got = sha256_of(uri)
    if got != expected_sha256:
        raise StorageError(
            f"part {uri}: expected the file with SHA-256 {expected_sha256}, got {got}; it was changed since it was "
            "written. `hcs run --new` makes all parts again"
        )
    return read_table(uri)


def read_parts(parts_uri: str, parts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the tables of parts: rows with `relative_path` and `sha256`."""
    for row in parts.iter_rows(named=True):
        yield read_part(parts_uri, row["relative_path"], expected_sha256=row["sha256"])
