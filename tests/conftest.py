"""Fixtures that every suite may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from s3 import Proxy, Store

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _engine_threads_as_before() -> Iterator[None]:
    """Put back how many threads torch computes with: a workbench sets one in the thread that it works in."""
    cores = len(os.sched_getaffinity(0))
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else cores
    yield
    if "torch" in sys.modules and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Put back what is logged and where: a command sets it for its whole process."""
    yield
    if "structlog" in sys.modules:
        sys.modules["structlog"].reset_defaults()


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(
            f"real files are looked for in ${variable}, else in {default.name} beside the repository; not there"
        )
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real plates; tests that need it are skipped where it is not."""
    return _folder("HCS_TEST_DATA", REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder with real encoder weights; tests that need it are skipped where it is not."""
    return _folder("HCS_TEST_WEIGHTS", REPOSITORY.parent / "shared" / "weights")


@pytest.fixture(scope="session")
def object_store() -> Iterator[Store]:
    """An S3 server that the tests start; each makes buckets of its own."""
    from s3 import s3_server

    with s3_server() as store:
        yield store


@pytest.fixture
def proxy(object_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before that server, which counts; this process reads and writes `s3://` through it meanwhile."""
    from s3 import proxy_of

    from hcs.io.stores import S3

    S3.close()
    with proxy_of(object_store) as before:
        for name, value in before.environment.items():
            monkeypatch.setenv(name, value)
        yield before
        S3.close()
