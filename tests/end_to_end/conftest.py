"""Small simulated screens and their runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import digests_of, export_digests, hcs, with_settings
from shared import made_once

from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design

ENCODERS = ["named", "mobilenetv3_small_100.untrained"]


@pytest.fixture(scope="session")
def screen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivered screen of 2 plates x 24 wells; tests must not change it."""

    def deliver(folder: Path) -> None:
        simulate_screen(str(folder), design=small_design(plates=2, wells=24), seed=11, workers=1)
        with_settings(folder / "SCREEN.yaml", encoders=ENCODERS)

    return made_once(tmp_path_factory, "delivered", deliver)


@pytest.fixture(scope="session")
def finished_run(screen_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog of that screen's run, undisturbed, one thread; a copy of this process."""

    def perform(folder: Path) -> None:
        ended = hcs("run", screen_folder / "SCREEN.yaml", "--catalog", folder / "catalog.sqlite", "--threads", 1)
        assert ended.code == 0, ended.err

    made = made_once(tmp_path_factory, "undisturbed", perform)
    return shutil.copytree(made, tmp_path_factory.mktemp("undisturbed") / "store") / "catalog.sqlite"


@pytest.fixture(scope="session")
def exported(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of that run's export."""
    return digests_of(made_once(tmp_path_factory, "exported", lambda folder: export_digests(finished_run, folder)))
