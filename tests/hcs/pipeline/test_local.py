from __future__ import annotations

from collections.abc import Iterator

import pytest
from executor_contract import ExecutorContract

from hcs.pipeline.local import LocalExecutor


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Iterator[LocalExecutor]:
        executor = LocalExecutor(threads=2)
        yield executor
        executor.close()
