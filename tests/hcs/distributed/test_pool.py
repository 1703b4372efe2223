from __future__ import annotations

from collections.abc import Iterator

import pytest
from executor_contract import ExecutorContract

from hcs.distributed.pool import RayExecutor


class TestRayExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, ray_here: None) -> Iterator[RayExecutor]:
        executor = RayExecutor(device="cpu", workers=2)
        yield executor
        executor.close()
