"""Catalogs, a stand-in of the Kubernetes API, and dispatchers between them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kube_api import KubeApi, kube_api
from postgres import Databases, databases
from rayjob_worlds import World

from hcs.catalog import Catalog, open_catalog


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    with databases() as server:
        yield server


@pytest.fixture
def kube() -> Iterator[KubeApi]:
    """An API with the template of runs."""
    with kube_api() as kube:
        kube.longest_watch_seconds = 0.01
        yield kube


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog without anything, to be copied: making its tables takes a second."""
    file = tmp_path_factory.mktemp("empty") / "catalog.sqlite"
    open_catalog(str(file)).engine.dispose()
    return file


@pytest.fixture(scope="session")
def empty_database(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same on PostgreSQL."""
    url = postgres.make()
    open_catalog(url, parts_uri=str(tmp_path_factory.mktemp("parts"))).engine.dispose()
    return url


@pytest.fixture
def catalog(empty_file: Path, tmp_path: Path) -> Iterator[Catalog]:
    """An empty catalog in a file."""
    (tmp_path / "store").mkdir()
    with open_catalog(str(shutil.copy(empty_file, tmp_path / "store" / "catalog.sqlite"))) as opened:
        yield opened


@pytest.fixture
def world(kube: KubeApi, catalog: Catalog, tmp_path: Path) -> Iterator[World]:
    """Both, and a dispatcher that waits for nothing."""
    world = World(kube, catalog, tmp_path)
    yield world
    world.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_world(request: pytest.FixtureRequest, kube: KubeApi, tmp_path: Path) -> Iterator[World]:
    """The same, with a catalog of either kind."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").copy(request.getfixturevalue("empty_database"))
    else:
        url = str(shutil.copy(request.getfixturevalue("empty_file"), tmp_path / "catalog.sqlite"))
    with open_catalog(url, parts_uri=str(tmp_path / "parts")) as opened:
        world = World(kube, opened, tmp_path)
        yield world
        world.close()
