from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hcs.embedding.engine import (
    LARGEST_BATCH,
    LARGEST_BATCH_CUDA,
    best_device,
    check_pin,
    honour_pin,
    one_thread,
    pin_for,
    use_one_thread,
)
from hcs.errors import EngineError, UsageError
from schemas.work import RunPin

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")


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
    ("field", "value"),
    [("torch", "2.6.0"), ("instruction_set", "NEON"), ("accelerator", "NVIDIA A1"), ("precision", "bfloat16")],
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


def pin_of_another_gpu() -> RunPin:
    return pin_for(20).model_copy(update={"device": "cuda", "accelerator": "NVIDIA A1 sm_80"})


def test_a_pin_of_another_gpu_or_of_any_where_there_is_none_is_refused() -> None:
    with pytest.raises(EngineError, match=r"NVIDIA A1 sm_80'? \(here .*submit a new run here"):
        check_pin(pin_of_another_gpu())


@pytest.mark.usefixtures("_precision_as_before")
def test_a_process_that_rounds_products_on_a_gpu_is_refused_until_it_honours_the_pin() -> None:
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True

    with pytest.raises(EngineError) as refused:
        check_pin(pin_of_another_gpu())
    with pytest.raises(EngineError) as honoured:
        honour_pin(pin_of_another_gpu())

    settings = ("cuda.matmul.fp32_precision", "cudnn.conv.fp32_precision", "cudnn.benchmark", "cudnn.deterministic")
    assert all(setting in str(refused.value) for setting in settings)
    assert not any(setting in str(honoured.value) for setting in settings)
    assert "NVIDIA A1" in str(honoured.value)


@pytest.mark.usefixtures("_precision_as_before")
def test_a_pin_of_the_processor_is_honoured_by_one_thread_and_asks_nothing_of_a_gpu() -> None:
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(2)

    honour_pin(pin_for(20))

    assert torch.get_num_threads() == 1
    assert torch.backends.cudnn.benchmark is True


@needs_no_gpu
def test_a_run_on_a_gpu_is_refused_where_there_is_none() -> None:
    assert best_device() == "cpu"
    with pytest.raises(EngineError, match=r"needs an NVIDIA GPU .* choose device 'cpu'"):
        pin_for(20, device="cuda")


@needs_gpu
@pytest.mark.usefixtures("_precision_as_before")
def test_a_gpu_is_pinned_with_larger_batches_and_the_pin_is_honoured() -> None:
    pin = pin_for(300, device="cuda")

    assert best_device() == pin.device == "cuda"
    assert pin.batch_size == 150 <= LARGEST_BATCH_CUDA
    assert pin.accelerator is not None
    assert pin.instruction_set == pin_for(300).instruction_set
    honour_pin(pin)
    torch.backends.cudnn.benchmark = True
    with pytest.raises(EngineError, match=r"cudnn\.benchmark is True"):
        check_pin(pin)


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
