"""Cursors: what was issued is read, and nothing else is."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.errors import NotFoundError
from services.api.cursors import Cursors

SECRET = bytes(range(32))
QUERY = {"mechanism": "kinase", "q_max": 0.05}
positions = st.lists(st.none() | st.integers(0, 2**31) | st.text(max_size=80), max_size=3).map(tuple)
queries = st.dictionaries(
    st.text(max_size=10), st.none() | st.text(max_size=20) | st.floats(allow_nan=False) | st.booleans()
)


@given(position=positions, query=queries)
def test_a_cursor_is_read_back_by_every_process_with_the_same_secret(position, query):
    cursor = Cursors(SECRET).issue(position, query=query)

    assert Cursors(SECRET).read(cursor, query=dict(reversed(query.items()))) == position


@given(position=positions, index=st.integers(0), change=st.integers(1, 255))
def test_a_cursor_with_one_changed_byte_is_none(position, index, change):
    content = bytearray(base64.urlsafe_b64decode(Cursors(SECRET).issue(position, query=QUERY) + "=="))
    content[index % len(content)] ^= change
    forged = base64.urlsafe_b64encode(bytes(content)).decode().rstrip("=")

    with pytest.raises(NotFoundError, match="first page"):
        Cursors(SECRET).read(forged, query=QUERY)


@given(text=st.text(max_size=200))
def test_no_text_is_a_cursor(text):
    with pytest.raises(NotFoundError):
        Cursors(SECRET).read(text, query=QUERY)


def test_a_cursor_is_of_one_query_and_of_one_catalog():
    position = (1, "a" * 64, 100)
    cursor = Cursors(SECRET).issue(position, query=QUERY)

    with pytest.raises(NotFoundError):
        Cursors(SECRET).read(cursor, query={**QUERY, "q_max": 0.1})
    with pytest.raises(NotFoundError):
        Cursors(bytes(32)).read(cursor, query=QUERY)
