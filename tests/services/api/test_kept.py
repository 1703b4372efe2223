"""What is kept never takes more than its room, and what was used last stays longest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.api.kept import Kept

ROOM = 100


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 120), st.booleans())))
def test_it_holds_what_a_list_would_hold(steps):
    kept, expected = Kept(bytes_at_most=ROOM), []  # expected: (key, value, size), used last at the end

    for number, (key, size, is_put) in enumerate(steps):
        held = [item for item in expected if item[0] == key]
        expected = [item for item in expected if item[0] != key]
        if is_put:
            kept.put(key, number, size_bytes=size)
            expected += [(key, number, size)] if size <= ROOM else []
            while sum(item[2] for item in expected) > ROOM:
                expected.pop(0)
        else:
            assert kept.find(key) == (held[0][1] if held else None)
            expected += held

        assert kept.size_bytes == sum(item[2] for item in expected) <= ROOM

    assert {key: kept.find(key) for key in range(10)} == dict.fromkeys(range(10)) | {
        key: value for key, value, _ in expected
    }
