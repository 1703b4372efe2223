from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.pipeline.ahead import in_order


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


@settings(deadline=None, max_examples=30)
@given(items=st.lists(st.integers(0, 5), max_size=12), threads=st.integers(0, 4))
def test_results_come_in_the_order_of_the_items_however_long_each_takes(items: list[int], threads: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.001 * item)
        return item * item

    assert list(in_order(work, items, threads=threads)) == [item * item for item in items]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_error_is_raised_where_its_result_is_asked_for(threads: int) -> None:
    results = in_order(lambda item: 1 / item, [1, 2, 0, 4], threads=threads)

    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_is_done_ahead_than_there_are_threads_and_one(threads: int) -> None:
    begun: list[int] = []
    results = in_order(lambda item: begun.append(item) or item, range(100), threads=threads)

    for asked in range(1, 6):
        next(results)
        time.sleep(0.02)
        assert len(begun) <= asked + threads + 1
    results.close()


def test_closing_it_stops_the_work_and_its_threads() -> None:
    before = set(readers())  # of other tests in this process, where a read of theirs hangs for good
    begun: list[int] = []
    results = in_order(lambda item: begun.append(item) or item, range(1000), threads=2)
    next(results)

    results.close()

    give_up = time.monotonic() + 5
    while set(readers()) - before and time.monotonic() < give_up:
        time.sleep(0.01)
    assert set(readers()) <= before
    assert len(begun) < 10


def test_a_thread_that_hangs_keeps_nobody_from_ending() -> None:
    released = threading.Event()
    results = in_order(lambda item: released.wait() if item else item, [0, 1], threads=1)

    assert next(results) == 0
    results.close()

    assert all(thread.daemon for thread in readers())
    released.set()
