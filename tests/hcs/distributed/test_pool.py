from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
from executor_contract import ExecutorContract, collect, perform
from held import HeldImage
from plates import PLANES_A_SITE, Work, work_of

from hcs.distributed.pool import RayExecutor
from hcs.errors import EngineError, HcsError, UsageError
from schemas.work import UnitOutcome


@pytest.fixture
def executor(ray_here: None) -> Iterator[RayExecutor]:
    executor = RayExecutor(device="cpu", workers=2)
    yield executor
    executor.close()


class TestRayExecutor(ExecutorContract):
    """The suite that the executor of one process passes too."""


@pytest.fixture
def alone(ray_here: None) -> Iterator[RayExecutor]:
    """A pool of one worker: what waits, waits behind its unit."""
    executor = RayExecutor(device="cpu", workers=1)
    yield executor
    executor.close()


@pytest.fixture
def work(alone: RayExecutor, tmp_path: Path) -> Work:
    return work_of(tmp_path, alone.pin(PLANES_A_SITE))


def test_of_a_killed_worker_one_unit_has_failed_and_the_one_that_waited_comes_back_unharmed(
    alone: RayExecutor, work: Work, tmp_path: Path
) -> None:
    alone.open(work.order)
    with HeldImage(tmp_path / "plate" / "A01-DNA.tif") as held:
        for unit in work.units[:2]:
            alone.submit(unit)
        os.kill(held.wait_for_reader(), signal.SIGKILL)
        came = collect(alone, 2)

    first, second = (came[unit.key] for unit in work.units[:2])
    assert (first.receipt, first.was_started) == (None, True)
    assert "its worker was lost" in (first.reason or "")
    assert (second.receipt, second.was_started) == (None, False)
    again = perform(alone, [unit.model_copy(update={"attempt": 2}) for unit in work.units])
    assert {key: work.sha256s(outcome.receipt) for key, outcome in again.items()} == work.expected


def test_a_unit_that_was_handed_out_before_shares_its_worker_with_no_other(
    alone: RayExecutor, work: Work, tmp_path: Path
) -> None:
    alone.open(work.order)
    with HeldImage(tmp_path / "plate" / "A01-DNA.tif") as held:
        alone.submit(work.units[0].model_copy(update={"attempt": 2}))
        held.wait_until_read()
        assert alone.capacity() == 0
        alone.submit(work.units[1].model_copy(update={"attempt": 2}))
        assert [(key, steps.done) for key, steps in alone.steps().items()] == [(work.units[0].key, 0)]
        os.kill(held.wait_for_reader(), signal.SIGKILL)
        came: dict[str, UnitOutcome] = collect(alone, 2)

    assert came[work.units[0].key].receipt is None
    assert came[work.units[1].key].receipt is not None


def test_a_worker_that_is_stopped_is_ended_when_its_unit_is_abandoned(
    alone: RayExecutor, work: Work, tmp_path: Path
) -> None:
    alone.open(work.order)
    with HeldImage(tmp_path / "plate" / "A01-DNA.tif") as held:
        alone.submit(work.units[0])
        worker = held.wait_for_reader()
        os.kill(worker, signal.SIGSTOP)
        for _ in range(3):
            assert alone.wait(0.3) == []
            assert [(key, steps.done) for key, steps in alone.steps().items()] == [(work.units[0].key, 0)]

        alone.abandon(work.units[0].key)

        give_up = time.monotonic() + 10
        while Path(f"/proc/{worker}").exists() and time.monotonic() < give_up:
            time.sleep(0.05)
        assert not Path(f"/proc/{worker}").exists()
    assert len(perform(alone, work.units[1:])) == len(work.units) - 1


def test_a_worker_that_dies_with_nothing_in_its_hands_is_replaced_before_it_gets_a_unit(
    alone: RayExecutor, work: Work
) -> None:
    alone.open(work.order)
    (worker,) = alone._staff.workers
    assert worker.name is not None
    os.kill(worker.name.pid, signal.SIGKILL)
    give_up = time.monotonic() + 60
    while alone.capacity() > 0 and time.monotonic() < give_up:
        alone.wait(0.2)

    came = perform(alone, work.units)

    assert all(outcome.was_started and outcome.receipt for outcome in came.values())


def test_pixels_never_enter_the_object_store(alone: RayExecutor, tmp_path: Path) -> None:
    work = work_of(tmp_path, alone.pin(PLANES_A_SITE), n_wells=6)
    alone.open(work.order)
    used: list[float] = []

    def look() -> float:
        total = ray.cluster_resources()["object_store_memory"]
        return total - ray.available_resources().get("object_store_memory", 0.0)

    with HeldImage(tmp_path / "plate" / "A02-DNA.tif") as held:
        for unit in work.units[:2]:
            alone.submit(unit)
        held.wait_until_read()  # one unit is done, the other has read its first image
        give_up = time.monotonic() + 3
        while time.monotonic() < give_up:
            used.append(look())
            time.sleep(0.1)
    assert max(used) < 100_000
    large = ray.put(np.zeros(20_000_000, np.uint8))  # what would be seen
    give_up = time.monotonic() + 20
    while look() < 19_000_000 and time.monotonic() < give_up:
        time.sleep(0.1)
    assert look() > 19_000_000
    del large


def test_another_version_of_the_project_is_refused_with_both_versions(alone: RayExecutor, work: Work) -> None:
    with pytest.raises(EngineError, match=r"version 7\.7.*has 0\."):
        alone.open(work.order.model_copy(update={"code_version": "7.7"}))


def test_a_cluster_without_gpus_is_said_at_once_with_what_it_has(ray_here: None, work: Work) -> None:
    executor = RayExecutor(device="cuda", workers=1)
    order = work.order.model_copy(update={"pin": work.order.pin.model_copy(update={"device": "cuda"})})
    started = time.monotonic()

    with pytest.raises(UsageError, match=r"0.25 GPU, but it has 1 node: .*\(2 CPU, 0 GPU\)"):
        executor.open(order)

    assert time.monotonic() - started < 10
    executor.close()


def test_a_pin_for_a_gpu_that_is_not_there_is_refused(ray_here: None) -> None:
    with pytest.raises(HcsError, match="GPU"):
        RayExecutor(device="cuda").pin(PLANES_A_SITE)


def test_workers_leave_with_the_executor(alone: RayExecutor, work: Work) -> None:
    alone.open(work.order)
    (worker,) = alone._staff.workers
    assert worker.name is not None

    alone.close()

    give_up = time.monotonic() + 10
    while Path(f"/proc/{worker.name.pid}").exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker.name.pid}").exists()


def test_a_unit_that_waited_at_a_lost_worker_and_is_abandoned_too_does_not_come_back(
    alone: RayExecutor, work: Work, tmp_path: Path
) -> None:
    alone.open(work.order)
    with HeldImage(tmp_path / "plate" / "A01-DNA.tif") as held:
        for unit in work.units[:2]:
            alone.submit(unit)
        held.wait_until_read()
        alone.abandon(work.units[0].key)
        alone.abandon(work.units[1].key)

    assert alone.wait(0.2) == []
    assert len(perform(alone, work.units)) == len(work.units)


def test_more_units_than_there_are_places_wait_and_come_back_each_once(alone: RayExecutor, work: Work) -> None:
    alone.open(work.order)
    for unit in work.units:
        alone.submit(unit)
    assert alone.capacity() == 0

    came = collect(alone, len(work.units))

    assert all(outcome.was_started and outcome.receipt for outcome in came.values())


def test_a_worker_that_dies_while_it_makes_ready_is_replaced(alone: RayExecutor, work: Work) -> None:
    killed: list[int] = []

    def kill_the_first() -> None:
        while not killed:
            for folder in Path("/proc").iterdir():
                try:
                    is_worker = folder.name.isdecimal() and b"ray::UnitWorker" in (folder / "cmdline").read_bytes()
                except OSError:
                    continue
                if is_worker:
                    os.kill(int(folder.name), signal.SIGKILL)
                    killed.append(int(folder.name))
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    alone.open(work.order)
    killer.join()

    assert len(perform(alone, work.units)) == len(work.units)
