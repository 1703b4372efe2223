"""Large tables a block at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError, StorageError
from hcs.io.blocks import HalfMatrix, columns_of, read_columns, read_stretches

VALUES = np.random.default_rng(0).normal(size=(2_000, 3)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table = pl.DataFrame({"Metadata_Plate": ["a"] * 2_000}).with_columns(
        pl.Series(f"F{i}", VALUES[:, i]) for i in range(3)
    )
    table.with_columns(F1=pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise(pl.col("F1"))).write_parquet(
        tmp_path / "a.parquet", row_group_size=300
    )
    return tmp_path / "a.parquet"


def test_stretches_are_the_rows_one_after_the_other(path: Path) -> None:
    lengths = [1, 700, 0, 1_299]

    made = list(read_stretches(str(path), ["F2", "F1"], lengths))

    assert [len(part) for part in made] == lengths
    expected = VALUES[:, [2, 1]].copy()
    expected[7, 1] = np.nan
    np.testing.assert_array_equal(np.concatenate(made), expected)
    assert columns_of(str(path)) == ("Metadata_Plate", "F0", "F1", "F2")
    assert read_columns(str(path), ["Metadata_Plate"]).height == 2_000


def test_more_rows_than_there_are_text_and_torn_files_are_errors(path: Path) -> None:
    with pytest.raises(StorageError, match="1 more rows"):
        list(read_stretches(str(path), ["F0"], [2_001]))
    with pytest.raises(InputRejectedError, match="Metadata_Plate holds text"):
        list(read_stretches(str(path), ["Metadata_Plate"], [2_000]))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StorageError, match="torn"):
        columns_of(str(path))


def test_a_half_matrix_is_an_npy_file_that_is_read_by_rows(tmp_path: Path) -> None:
    store = HalfMatrix(tmp_path / "m.npy", VALUES.shape)
    for part in np.array_split(VALUES, 7):
        store.append(part)

    np.testing.assert_array_equal(np.concatenate(list(store.blocks(333))), VALUES.astype(np.float16))
    np.testing.assert_array_equal(np.load(tmp_path / "m.npy", mmap_mode="r"), VALUES.astype(np.float16))
    with pytest.raises(InputRejectedError, match="65,504"):
        store.append(np.array([[1e5, 0, 0]]))
