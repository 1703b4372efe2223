from __future__ import annotations

import threading

import pytest

from hcs.statistics.threads import on_threads


@pytest.mark.parametrize("n_threads", [None, 1, 2, 50])
def test_results_stand_in_the_order_of_the_items(n_threads):
    assert on_threads(lambda item: item * 2, range(30), n_threads=n_threads) == list(range(0, 60, 2))


def test_as_many_run_at_once_as_were_asked_for():
    together = threading.Barrier(3, timeout=10)  # breaks unless three threads wait at it

    assert on_threads(lambda _: together.wait() >= 0, range(3), n_threads=3) == [True] * 3


def test_what_one_piece_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        on_threads(lambda item: 1 // item, [1, 0, 1], n_threads=2)
