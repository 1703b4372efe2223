"""The served run of the API's own tests, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flaky import Flaky, flaky
from served import Finished, perform_screen
from serving import Server, serving

from hcs.client import Client


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that is complete with holes. Tests may submit others beside it, and leave this one as it is."""
    return perform_screen(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def server(finished: Finished) -> Iterator[Server]:
    """The API on that run."""
    with serving(finished.catalog, "--root", finished.folder) as started:
        yield started


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have keys of their own."""
    for name in ("HCS_API_KEY", "HCS_API_URL", "HCS_CATALOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def client(server, finished) -> Iterator[Client]:
    """Somebody who may submit."""
    with Client(server.url, key=finished.keys.submit) as made:
        yield made


@pytest.fixture
def line(server) -> Iterator[Flaky]:
    """A line to the server that fails when it is told to."""
    with flaky(*server.host_and_port) as made:
        yield made


@pytest.fixture
def far(line, finished) -> Iterator[Client]:
    """Somebody at the other end of that line."""
    with Client(line.url, key=finished.keys.submit, patience=20) as made:
        yield made
