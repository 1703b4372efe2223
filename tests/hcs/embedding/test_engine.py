from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hcs.embedding.engine import LARGEST_BATCH, check_pin, one_thread, pin_for, use_one_thread
from hcs.errors import EngineError, UsageError


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


@given(st.integers(1, 5_000))
def test_a_site_is_split_evenly_into_the_fewest_batches(n_planes: int) -> None:
    batch_size = pin_for(n_planes).batch_size

    n_batches = -(-n_planes // batch_size)
    assert batch_size <= LARGEST_BATCH
    assert n_batches == -(-n_planes // LARGEST_BATCH)
    assert n_batches * batch_size - n_planes < n_batches


@pytest.mark.parametrize(("n_planes", "batch_size"), [(1, 1), (20, 20), (32, 32), (33, 17), (45, 23), (80, 27)])
def test_a_batch_has_this_many_planes(n_planes: int, batch_size: int) -> None:
    assert pin_for(n_planes).batch_size == batch_size


def test_a_site_without_planes_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 plane"):
        pin_for(0)


def test_the_pin_of_this_process_is_honoured_whatever_the_batch() -> None:
    check_pin(pin_for(20))
    check_pin(pin_for(7))


@pytest.mark.parametrize(
    ("field", "value"), [("torch", "2.6.0"), ("instruction_set", "NEON"), ("device", "cuda"), ("precision", "bfloat16")]
)
def test_another_pin_is_refused_with_what_differs(field: str, value: str) -> None:
    pin = pin_for(20)

    with pytest.raises(EngineError, match=f"{field} '{value}'"):
        check_pin(pin.model_copy(update={field: value}))


def test_a_process_that_rounds_products_is_refused() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(EngineError, match=r"precision 'float32'.*'medium'"):
            check_pin(pin_for(20))
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_worker_keeps_its_one_thread_when_others_set_more() -> None:
    ready, changed = Event(), Event()

    def work() -> tuple[int, int]:
        use_one_thread()
        before = torch.get_num_threads()
        ready.set()
        assert changed.wait(30)
        torch.randn(64, 64) @ torch.randn(64, 64)
        return before, torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work)
        assert ready.wait(30)
        torch.set_num_threads(2)
        changed.set()

        assert worker.result() == (1, 1)
    assert torch.get_num_threads() == 2


def test_a_new_worker_has_one_thread_after_others_set_more() -> None:
    def work() -> int:
        use_one_thread()
        torch.randn(64, 64) @ torch.randn(64, 64)
        return torch.get_num_threads()

    torch.set_num_threads(2)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == 1


@pytest.mark.parametrize("n_threads", [1, 2])
def test_one_thread_lasts_as_long_as_its_context(n_threads: int) -> None:
    torch.set_num_threads(n_threads)

    inside = []

    def fail() -> None:
        with one_thread():
            inside.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert inside == [1]
    assert torch.get_num_threads() == n_threads
