"""Selections of rows: what they mean, against Python's own reading of them, and what is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import HcsError, InputRejectedError, UsageError
from hcs.profiling.selection import select_rows
from hcs.profiling.selection_grammar import MOST_CHARACTERS, MOST_NESTED, parse_selection

COLUMNS = ("kind", "dose", "n")
ROWS = [
    {"kind": kind, "dose": dose, "n": n}
    for kind in ("negcon", "trt", "po'scon", None)
    for dose in ("0.5", "10", "n/a", None)
    for n in (1, 10, None)
]
METADATA = pl.DataFrame(ROWS, schema={"kind": pl.String, "dose": pl.String, "n": pl.Int64})


def selected(text: str, metadata: pl.DataFrame = METADATA) -> list[int]:
    return select_rows(metadata, text).nonzero()[0].tolist()


def number(cell: Any) -> float | None:
    try:
        return None if cell is None else float(cell)
    except ValueError:
        return None


texts = st.tuples(st.just("kind"), st.sampled_from(["==", "!="]), st.sampled_from(["negcon", "trt", "po'scon", "else"]))
numbers = st.tuples(
    st.sampled_from(["dose", "n"]),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.sampled_from([0.5, 1.0, 10.0]),
)
leaves = st.one_of(texts, numbers)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["and", "or"]), inner, inner, inner)
    ),
    max_leaves=8,
)


def written(tree: Any) -> str:
    if tree[0] == "not":
        return f"not ({written(tree[1])})"
    if tree[0] in {"and", "or"}:
        return "(" + f" {tree[0]} ".join(written(part) for part in tree[1:]) + ")"
    column, operator, value = tree
    return f'{column} {operator} "{value}"' if isinstance(value, str) else f"{column}{operator}{value!r}"


def truth(tree: Any, row: dict[str, Any]) -> bool | None:
    """Return what a tree is in a row, by a table of what is not known; the oracle."""
    if tree[0] == "not":
        inner = truth(tree[1], row)
        return None if inner is None else not inner
    if tree[0] in {"and", "or"}:
        parts = [truth(part, row) for part in tree[1:]]
        decisive = tree[0] == "or"
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    column, operator, value = tree
    cell = row[column] if isinstance(value, str) else number(row[column])
    if cell is None:
        return None
    return {
        "==": cell == value,
        "!=": cell != value,
        "<": cell < value,
        "<=": cell <= value,
        ">": cell > value,
        ">=": cell >= value,
    }[operator]


@settings(deadline=None, max_examples=150)
@given(tree=trees)
def test_a_selection_means_what_its_words_say(tree: Any) -> None:
    expected = [place for place, row in enumerate(ROWS) if truth(tree, row)]
    if not expected:
        with pytest.raises(InputRejectedError, match="none of 48"):
            selected(written(tree))
    else:
        assert selected(written(tree)) == expected


@settings(deadline=None, max_examples=300)
@given(text=st.text(alphabet=st.sampled_from(list("kind dose n'\"`()[],.=<>!0123456789eE+-and or not in\n\\{}@#"))))
def test_whatever_is_written_is_a_selection_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(HcsError):
        assert select_rows(METADATA, text).any()


def test_and_binds_closer_than_or() -> None:
    assert selected("kind == 'trt' or kind == 'negcon' and n == 1") == selected(
        "kind == 'trt' or (kind == 'negcon' and n == 1)"
    )


def test_lists_are_alternatives() -> None:
    assert selected("kind in ['trt', 'negcon']") == selected("kind == 'trt' or kind == 'negcon'")
    assert selected("kind not in ('trt', 'negcon')") == selected('kind == "po\'scon"')
    assert selected("n in [1, 10.0]") == selected("n >= 1")


@pytest.mark.parametrize("name", ["odd name", "a-b", "2nd", "drop table; --", "and", "λ", "in'quotes\""])
def test_names_with_odd_characters_stand_between_backticks(name: str) -> None:
    assert selected(f"`{name}` == 'x'", pl.DataFrame({name: ["x", "y"]})) == [0]


def test_truths_are_words_or_booleans() -> None:
    assert selected("a == true", pl.DataFrame({"a": [True, False, None]})) == [0]
    assert selected("a != True", pl.DataFrame({"a": ["true", "False", None]})) == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind = 'trt'", "write == for equal"),
        ("kind == trt", "put text between quotes: 'trt'"),
        ("kind == 'trt", "a closing '"),
        ("knd == 'trt'", "the nearest are kind"),
        ("kind == 'trt' and", "the end came at character 18"),
        ("kind == 'trt' kind == 'x'", "came at character 15"),
        ("kind == 'trt' & n == 1", "write and, or, not"),
        ("kind in 'trt'", "a list, as in"),
        ("kind in ['trt'", "a comma or ]"),
        ("kind not 'trt'", "`in` after `not`"),
        ("(kind == 'trt'", "a closing )"),
        ("'trt' == kind", "a column stands on the left"),
        ("kind > 5", "put the value between quotes"),
        ("dose > '5'", "write 5 without quotes"),
        ("n > true", "== or != with true and false"),
        ("", "a metadata column"),
        ("__import__('os') == 'x'", "after __import__"),
        ("kind.__class__ == 'x'", "a metadata column"),
        ("kind == f'{n}'", "put text between quotes"),
        ("kind == 'a' + 'b'", "came at"),
        ("@kind == 'a'", "between backticks"),
    ],
)
def test_an_error_shows_the_place_and_what_to_do(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_rows(METADATA, text)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_depth_and_length_are_bounded() -> None:
    deepest = "(" * MOST_NESTED + "n == 1" + ")" * MOST_NESTED
    assert selected(deepest) == selected("n == 1")
    for hostile in ("(" * 9_000 + "n == 1", "not " * 4_000 + "n == 1"):
        with pytest.raises(UsageError, match="at most 40 nested"):
            parse_selection(hostile)
    with pytest.raises(UsageError, match="at most 20,000 characters"):
        parse_selection("n == 1 or " * MOST_CHARACTERS)
    many = " or ".join(["n == 1"] * 1_500)
    assert selected(many) == selected("n == 1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind == 'negcan'", "kind holds negcon, trt"),
        ("kind == 'negcon' and well in ['A09', 'B09']", "well holds A01, A02"),
        ("not (kind == 'negcon') and well == 'A1'", "well holds A01, A02"),
        ("kind == 'negcon' and well == 'A02'", "each comparison is met by some row, but not as they are joined"),
    ],
)
def test_where_no_row_is_meant_it_is_shown_what_the_column_holds_that_no_row_meets(text: str, said: str) -> None:
    table = pl.DataFrame({"kind": ["negcon", "trt"], "well": ["A01", "A02"]})

    with pytest.raises(InputRejectedError, match=f"none of 2 is such a row; {said}"):
        select_rows(table, text)
