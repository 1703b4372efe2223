from __future__ import annotations

import csv
import gzip
import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError
from hcs.io.delimited import LINE, read_delimited

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cc"]), max_size=12)


def read(data: bytes, **options: object) -> pl.DataFrame:
    return read_delimited(data, source="a.csv", **options)  # type: ignore[arg-type]  # options are passed as they are


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_every_way_to_write_a_table_reads_the_same(
    rows: list[list[str]], separator: str, newline: str, encoding: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=newline)
    writer.writerows([["well", "x", "y"], *rows])

    frame = read(text.getvalue().encode(encoding))

    kept = [[cell.strip() or None for cell in row] for row in rows]
    assert frame.rows() == [tuple(row) for row in kept if any(row)]


def test_quotes_keep_separators_and_lines_in_one_cell() -> None:
    frame = read(b'a;b\r\n"x;y";"1\r\n2"\r\n"say ""hi""";3\r\n', with_line=True)

    assert frame.rows() == [("x;y", "1\r\n2", 3), ('say "hi"', "3", 4)]
    assert frame.columns == ["a", "b", LINE]


def test_excels_separator_line_is_understood() -> None:
    assert read(b"sep=;\r\na;b,c\r\n1;2\r\n").columns == ["a", "b,c"]


def test_gzip_is_unpacked() -> None:
    assert read(gzip.compress(b"a,b\n1,2\n")).rows() == [("1", "2")]


def test_short_rows_and_trailing_separators_are_filled_with_nothing() -> None:
    assert read(b"a,b,c\n1\n1,2,3,,\n,,\n").rows() == [("1", None, None), ("1", "2", "3")]


def test_unnamed_columns_without_values_are_left_out() -> None:
    assert read(b"a,b,\n1,2,\n").columns == ["a", "b"]


def test_only_wanted_columns_are_read() -> None:
    assert read(b"a,b,c\n1,2,3\n", keep=lambda name: name != "b").rows() == [("1", "3")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty file"),
        (b"\n\n", "empty file"),
        (b"a,a\n1,2\n", "a more than once"),
        (b"a,b\n1,2,3\n", "line 2 has 3 cells"),
        (b'a,b\n"x"y,2\n', "line 2 cannot be read"),
        (b'a,b\n"x,2\n', "cannot be read"),
        (b"a,b\n\xb5M,2\n", "0xb5 in line 2"),
        (b"a,b\nx\x00y,2\n", "NUL character in line 2"),
        (b"a,b\n" + b"x" * 200_000 + b",2\n", "field larger than field limit"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-8], "ends too early"),
        (b"\x1f\x8bnonsense", "broken"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(data: bytes, said: str) -> None:
    with pytest.raises(InputRejectedError, match=said) as caught:
        read(data)

    assert "a.csv" in str(caught.value)


def test_a_gzip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hcs.io.delimited.MAX_TABLE_BYTES", 1000)

    with pytest.raises(InputRejectedError, match="at most 1000 bytes"):
        read(gzip.compress(b"a" * 1_000_000))
