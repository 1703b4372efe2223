from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from executor_contract import ExecutorContract
from plates import PLANES_A_SITE, work_of

from hcs.pipeline.local import LocalExecutor


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Iterator[LocalExecutor]:
        executor = LocalExecutor(threads=2)
        yield executor
        executor.close()

    @pytest.fixture
    def alone(self) -> Iterator[LocalExecutor]:
        executor = LocalExecutor(threads=1)
        yield executor
        executor.close()


def test_opening_it_leaves_the_engine_of_the_calling_thread_as_it_was(tmp_path: Path) -> None:
    executor = LocalExecutor(threads=1)
    work = work_of(tmp_path, executor.pin(PLANES_A_SITE), n_wells=1)
    torch.set_num_threads(2)

    executor.open(work.order)
    executor.close()

    assert torch.get_num_threads() == 2
