"""Small simulated screens and their runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import export_digests, hcs, with_settings

from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design

ENCODERS = ["named", "mobilenetv3_small_100.untrained"]


@pytest.fixture(scope="session")
def screen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivered screen of 2 plates x 24 wells; tests must not change it."""
    folder = tmp_path_factory.mktemp("delivered") / "screen"
    simulate_screen(str(folder), design=small_design(plates=2, wells=24), seed=11, workers=1)
    with_settings(folder / "SCREEN.yaml", encoders=ENCODERS)
    return folder


@pytest.fixture(scope="session")
def finished_run(screen_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog of that screen's run, undisturbed, one thread."""
    catalog = tmp_path_factory.mktemp("undisturbed") / "catalog.sqlite"
    ended = hcs("run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--threads", 1)
    assert ended.code == 0, ended.err
    return catalog


@pytest.fixture(scope="session")
def exported(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of that run's export."""
    return export_digests(finished_run, tmp_path_factory.mktemp("export"))
