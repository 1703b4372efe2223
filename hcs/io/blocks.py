"""Large tables of profiles a block at a time: Parquet read plate by plate, and a float16 matrix on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, StorageError
from hcs.io.storage import open_read

_ROWS_AT_ONCE = 512
_BUFFER_BYTES = 1 << 15
"""Of each column chunk; 0 would read whole chunks, and so whole row groups, into memory."""


@contextmanager
def _opened(uri: str) -> Iterator[pq.ParquetFile]:
    with open_read(uri) as stream:
        try:
            yield pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"{uri}: expected a Parquet file, it is torn or something else ({error})") from error


def columns_of(uri: str) -> tuple[str, ...]:
    """Return the names of a Parquet file's columns.

    Raises:
        StorageError: If it cannot be read.
    """
    with _opened(uri) as file:
        return tuple(file.schema_arrow.names)


def read_columns(uri: str, columns: Sequence[str]) -> pl.DataFrame:
    """Return some columns of a Parquet file, all rows.

    Raises:
        StorageError: If it cannot be read.
    """
    with _opened(uri) as file:
        return cast("pl.DataFrame", pl.from_arrow(file.read(columns=list(columns), use_threads=False)))


def read_stretches(uri: str, features: Sequence[str], lengths: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    """Give the features of one stretch of rows after the other, (n, D) each; NaN where a value is missing.

    Args:
        uri: A Parquet file.
        features: Columns, numbers.
        lengths: How many rows each stretch has; together all rows of the file.

    Raises:
        StorageError: If it cannot be read, or has other rows.
        InputRejectedError: If a column holds no numbers.
    """
    with _opened(uri) as file:
        words = [name for name in features if not _is_number(file.schema_arrow.field(name).type)]
        if words:
            raise InputRejectedError(f"{uri}: features are numbers, but {words[0]} holds text ({len(words)} like it)")
        batches = file.iter_batches(_ROWS_AT_ONCE, columns=list(features), use_threads=False)
        waiting = np.empty((0, len(features)), dtype=np.float32)
        for length in lengths:
            parts, n = [waiting], len(waiting)
            while n < length:
                batch = next(batches, None)
                if batch is None:
                    raise StorageError(f"{uri}: expected {length - n} more rows; the file changed while it was read")
                parts.append(_matrix(batch, features))
                n += batch.num_rows
            joined = np.concatenate(parts)
            yield joined[:length]
            waiting = joined[length:].copy()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def _matrix(batch: pa.RecordBatch, features: Sequence[str]) -> NDArray[np.float32]:
    frame = cast("pl.DataFrame", pl.from_arrow(batch)).select(features)
    return frame.cast(pl.Float32).fill_null(float("nan")).to_numpy(order="c")


class HalfMatrix:
    """A (W, D) matrix of float16 in an `.npy` file, written from its first row on and read by rows."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        """Make the file."""
        self._path, self._shape = path, shape
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(cast("BinaryIO", file), header)
            self._start = file.tell()

    def append(self, rows: NDArray[np.floating]) -> None:
        """Write further rows behind those that are there.

        Raises:
            InputRejectedError: If a value is too large for float16.
        """
        with np.errstate(over="ignore"):
            half = rows.astype(np.float16)
        if np.isinf(half).any():
            raise InputRejectedError("values of at most 65,504 are expected in float16; normalize and cut them first")
        with self._path.open("ab") as file:
            half.tofile(file)

    def blocks(self, n_rows: int) -> Iterator[NDArray[np.float32]]:
        """Give the rows, so many at a time, (n, D) each."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            for start in range(0, self._shape[0], n_rows):
                count = min(n_rows, self._shape[0] - start) * self._shape[1]
                yield np.fromfile(file, dtype="<f2", count=count).reshape(-1, self._shape[1]).astype(np.float32)
