"""A small finished run whose names are hostile, and the API that serves it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from served import Finished, perform_screen
from serving import Server, serving


@pytest.fixture(scope="session")
def make_finished() -> Callable[[Path], Finished]:
    """Returns a function that makes such a run in a folder, for tests that change its images."""
    return perform_screen


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that is complete with holes. Tests may submit others beside it, and leave this one as it is."""
    return perform_screen(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def server(finished: Finished) -> Iterator[Server]:
    """The API on that run."""
    with serving(finished.catalog, "--root", finished.folder) as started:
        yield started


@pytest.fixture(scope="session")
def reader(server: Server, finished: Finished) -> Iterator[httpx.Client]:
    """Somebody who may ask."""
    with server.client(finished.keys.read) as client:
        yield client


@pytest.fixture(scope="session")
def submitter(server: Server, finished: Finished) -> Iterator[httpx.Client]:
    """Somebody who may submit runs too."""
    with server.client(finished.keys.submit) as client:
        yield client


@pytest.fixture(scope="session")
def administrator(server: Server, finished: Finished) -> Iterator[httpx.Client]:
    """Somebody who may do everything."""
    with server.client(finished.keys.admin) as client:
        yield client


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Finished:
    """A copy of the run's catalog with its parts, that a test may change; the plates are those of the original."""
    for name in ("catalog.sqlite", "parts"):
        source = finished.folder / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    return Finished(tmp_path, finished.keys)
