"""A small delivered screen, and a catalog to submit it to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import digests_of, with_settings
from runs import perform

from hcs.catalog import Catalog, open_catalog
from hcs.io.screen import load_screen
from hcs.pipeline.export import export_run
from hcs.pipeline.local import LocalExecutor
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design
from schemas.screen import ScreenConfig


@pytest.fixture(scope="session")
def screen_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SCREEN.yaml of a delivered plate of 24 wells; tests must not change it."""
    folder = tmp_path_factory.mktemp("delivered") / "screen"
    simulate_screen(str(folder), design=small_design(plates=1, wells=24), seed=11, workers=1)
    return with_settings(folder / "SCREEN.yaml", encoders=["named"])


@pytest.fixture(scope="session")
def config(screen_file: Path) -> ScreenConfig:
    """What it says."""
    return load_screen(str(screen_file))


@pytest.fixture(scope="session")
def exported(screen_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of what a run of it exports that nobody submitted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with open_catalog(str(folder / "catalog.sqlite")) as catalog:
        run = perform(catalog, screen_file, LocalExecutor(threads=1)).run
        export_run(catalog, run, str(folder / "export"), ending="parquet")
    return digests_of(folder / "export")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """An empty catalog."""
    with open_catalog(str(tmp_path / "store" / "catalog.sqlite")) as opened:
        yield opened
