"""Reading a file piece by piece gives what reading it whole gives, and no byte is fetched twice."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.io.stores.ranges import PIECE_BYTES, WHOLE_BYTES, RangeReader


class Fetched:
    """A file in memory that remembers which ranges were fetched."""

    def __init__(self, size: int) -> None:
        self.content = bytes(range(251)) * (size // 251 + 1)
        self.content = self.content[:size]
        self.ranges: list[tuple[int, int]] = []

    def __call__(self, start: int, end: int) -> bytes:
        self.ranges.append((start, end))
        return self.content[start:end]

    def open(self) -> io.BufferedReader:
        return io.BufferedReader(RangeReader(self, size_bytes=len(self.content)))  # type: ignore[arg-type]


SIZES = st.one_of(st.integers(0, 1_000), st.integers(WHOLE_BYTES - 2, 12 * PIECE_BYTES))


@settings(deadline=None, max_examples=60)
@given(
    size=SIZES,
    steps=st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(-400_000, 900_000), st.integers(0, 200_000))),
)
def test_it_reads_as_memory_does_and_fetches_nothing_twice(size: int, steps: list[tuple[int, int, int]]) -> None:
    fetched = Fetched(size)
    stream, memory = fetched.open(), io.BytesIO(fetched.content)

    for whence, offset, length in steps:
        base = {0: 0, 1: memory.tell(), 2: size}[whence]
        for file in (stream, memory):
            file.seek(max(0, base + offset))
        assert stream.tell() == memory.tell()
        assert stream.read(length) == memory.read(length)

    ordered = sorted(fetched.ranges)
    assert all(0 <= start < end <= size for start, end in ordered)
    assert all(first[1] <= second[0] for first, second in pairwise(ordered))


def test_a_small_file_is_one_request() -> None:
    fetched = Fetched(WHOLE_BYTES)
    stream = fetched.open()

    stream.seek(-10, io.SEEK_END)
    assert stream.read() == fetched.content[-10:]
    stream.seek(0)
    assert stream.read() == fetched.content
    assert fetched.ranges == [(0, WHOLE_BYTES)]


def test_an_empty_file_is_no_request() -> None:
    fetched = Fetched(0)

    assert fetched.open().read() == b""
    assert fetched.ranges == []


@pytest.mark.parametrize("size", [10 << 20, 40 << 20])
def test_reading_from_end_to_end_takes_a_logarithm_of_requests_and_then_large_ones(size: int) -> None:
    fetched = Fetched(size)
    stream = fetched.open()

    while stream.read(8192):
        pass

    assert len(fetched.ranges) <= 8 + size // (8 << 20)
