from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from polars.testing import assert_frame_equal

from hcs.errors import InputRejectedError, StorageError, UsageError
from hcs.io.storage import sha256_of_bytes
from hcs.io.tables import (
    embedding_table_bytes,
    ending_of,
    read_embedding_table,
    read_table,
    table_bytes,
    write_table,
)

FRAME = pl.DataFrame(
    {
        "Metadata_Plate": ["1053597806", "P2"],
        "x": [0.1, None],
        "n": [1, 2],
        "is_hit": [True, False],
        "kind": pl.Series(["treatment", "negcon"], dtype=pl.Enum(["negcon", "treatment"])),
    }
)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "json"])
def test_a_table_survives_its_file(tmp_path: Path, ending: str) -> None:
    uri = str(tmp_path / f"a.{ending}")

    write_table(FRAME, uri)

    assert_frame_equal(read_table(uri), FRAME.cast({"kind": pl.String}))


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "json"])
def test_equal_tables_give_equal_bytes_however_they_were_made(ending: str) -> None:
    in_pieces = pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)

    assert table_bytes(in_pieces, ending=ending) == table_bytes(FRAME, ending=ending)


def test_packed_csv_holds_neither_time_nor_name_nor_system() -> None:
    content = table_bytes(FRAME, ending="csv.gz")

    flags, time, system = content[3], content[4:8], content[9]
    assert (flags, time, system) == (0, b"\x00" * 4, 255)
    assert gzip.decompress(content) == table_bytes(FRAME, ending="csv")


def test_metadata_of_text_tables_stays_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Metadata_Plate,Metadata_Site,f\n0123,1,2.5\n")

    assert read_table(str(tmp_path / "a.csv")).row(0) == ("0123", "1", 2.5)
    assert read_table(str(tmp_path / "a.csv"), as_strings=True).row(0) == ("0123", "1", "2.5")


def test_a_quote_in_a_name_comes_back_and_its_metadata_stay_text(tmp_path: Path) -> None:
    frame = pl.DataFrame({'Metadata_"x"': ["1", "2"], 'a"b': [1.5, 2.5]})
    write_table(frame, str(tmp_path / "a.csv"))

    assert read_table(str(tmp_path / "a.csv")).equals(frame)


def test_a_semicolon_table_with_a_mark_is_typed_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffwell;f\r\nA01;2.5\r\n".encode())

    assert read_table(str(tmp_path / "a.csv")).rows() == [("A01", 2.5)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("=+-@\t\r'1.5eE x,\"", max_size=6), min_size=1, max_size=5))
def test_no_cell_of_a_csv_begins_like_a_formula_unless_it_is_a_number(cells: list[str]) -> None:
    import csv
    import io

    content = table_bytes(pl.DataFrame({"name": cells}), ending="csv").decode()
    read = [row[0] if row else "" for row in csv.reader(io.StringIO(content, newline=""))][1:]

    for cell, got in zip(cells, read, strict=True):
        assert got in (cell, f"'{cell}")
        if got[:1] in tuple("=+-@\t\r"):
            float(got)


def test_numbers_and_their_signs_are_left_alone() -> None:
    frame = pl.DataFrame({"a": ["-1.5", "+2e-3", "-x"], "b": [-1.0, 2.0, 3.0]})

    assert table_bytes(frame, ending="csv") == b"a,b\n-1.5,-1.0\n+2e-3,2.0\n'-x,3.0\n"


@settings(deadline=None, max_examples=25)
@given(npst.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 7)), elements=st.floats(width=32)))
def test_embeddings_come_back_bit_for_bit(embedding: np.ndarray) -> None:
    keys = pl.DataFrame({"well": [f"A{row + 1:02d}" for row in range(len(embedding))]}, schema={"well": pl.String})
    content = embedding_table_bytes(keys, embedding)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hcs.io.tables.read_bytes", lambda _: content)
        got_keys, got = read_embedding_table("a.parquet", expected_sha256=sha256_of_bytes(content))

    assert got.tobytes() == embedding.tobytes()
    assert got.shape == embedding.shape
    assert_frame_equal(got_keys, keys)


def test_embeddings_are_one_column_of_fixed_size_lists(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(
        embedding_table_bytes(pl.DataFrame({"well": ["A01"]}), np.zeros((1, 3), np.float32))
    )

    schema = pq.read_schema(tmp_path / "e.parquet")
    metadata = pq.read_metadata(tmp_path / "e.parquet")

    assert str(schema.field("embedding").type) == "fixed_size_list<element: float>[3]"
    assert metadata.row_group(0).column(1).compression == "ZSTD"


def test_a_changed_or_torn_part_is_refused(tmp_path: Path) -> None:
    content = embedding_table_bytes(pl.DataFrame({"well": ["A01"]}), np.zeros((1, 3), np.float32))
    path = tmp_path / "e.parquet"
    path.write_bytes(content[:-20])

    with pytest.raises(StorageError, match="changed or torn"):
        read_embedding_table(str(path), expected_sha256=sha256_of_bytes(content))
    with pytest.raises(StorageError, match="torn"):
        read_embedding_table(str(path), expected_sha256=None)


def test_a_table_without_vectors_is_no_embedding_table(tmp_path: Path) -> None:
    write_table(FRAME, str(tmp_path / "a.parquet"))

    with pytest.raises(StorageError, match="'embedding'"):
        read_embedding_table(str(tmp_path / "a.parquet"), expected_sha256=None)


@pytest.mark.parametrize("shape", [(3, 2), (2, 0), (2,)])
def test_vectors_that_do_not_fit_their_keys_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="2 keys"):
        embedding_table_bytes(pl.DataFrame({"well": ["A01", "A02"]}), np.zeros(shape, np.float32))


def test_an_unknown_ending_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="parquet"):
        ending_of("/data/table.xlsx")
    with pytest.raises(UsageError, match="parquet"):
        table_bytes(FRAME, ending="xlsx")


def test_the_ending_is_found_whatever_its_case() -> None:
    assert ending_of("s3://bucket/a.b/TABLE.CSV.GZ") == "csv.gz"


@pytest.mark.parametrize(("name", "content"), [("a.json", b"{"), ("a.csv", b"a,b\n1,2,3\n")])
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputRejectedError, match=name):
        read_table(str(tmp_path / name))
