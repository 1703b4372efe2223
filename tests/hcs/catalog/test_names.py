from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.catalog.names import NAME_BYTES, NAME_LIMIT, REASON_LIMIT, TEXT_LIMIT, check_name, check_texts, storable_reason
from hcs.errors import UsageError


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=NAME_BYTES // 4))
@settings(deadline=None)
def test_any_text_without_nul_is_a_name(name):
    assert check_name(name, what="name") == name


@pytest.mark.parametrize(
    "name", ["a\0b", "x" * (NAME_LIMIT + 1), "x" * 1_000_000, "a\udcffb", "板" * (NAME_BYTES // 3 + 1)]
)
def test_what_cannot_be_stored_is_refused_in_a_short_sentence(name):
    with pytest.raises(UsageError, match="plate's barcode") as error:
        check_name(name, what="plate's barcode")

    assert len(str(error.value)) < 500
    str(error.value).encode()


def test_texts_of_a_table_are_looked_at_column_by_column():
    long = "x" * (NAME_LIMIT + 1)
    good = pl.DataFrame({"name": ["a", None], "smiles": [long, None], "dose": [1.0, None]})
    assert check_texts(good, what="platemaps", names=["name"]) is good
    assert check_texts(good.clear(), what="platemaps", names=["name"]).height == 0

    for column, value in [("name", long), ("smiles", "x" * (TEXT_LIMIT + 1)), ("smiles", "a\0b"), ("name", "板" * 300)]:
        with pytest.raises(UsageError, match=f"{column} in platemaps"):
            check_texts(good.with_columns(pl.lit(value).alias(column)), what="platemaps", names=["name"])


@given(st.text(max_size=50))
@settings(deadline=None)
def test_a_reason_can_always_be_stored(reason):
    kept = storable_reason(reason)

    assert check_name(kept, what="reason", limit=REASON_LIMIT) == kept
    if reason.isprintable():
        assert kept == reason


def test_a_long_reason_keeps_its_beginning():
    kept = storable_reason("because " * 1000)

    assert len(kept) == REASON_LIMIT
    assert kept.startswith("because because")
    assert kept.endswith("…")
