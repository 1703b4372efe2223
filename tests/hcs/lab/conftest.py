"""Recipes and fields that are small enough to train with in seconds, and one finished run of a small screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import with_settings
from runs import perform

from hcs.catalog import Catalog, RunRecord, get_run, open_catalog
from hcs.embedding.registry import describe_encoder
from hcs.lab.fields import Fields, render_fields
from hcs.lab.recipe import Recipe, Stage
from hcs.lab.screens import TILE
from hcs.pipeline.local import LocalExecutor
from hcs.settings import Settings
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import ScreenDesign
from schemas.encoders import EncoderInfo
from schemas.screen import EncoderChoice

MakeRecipe = Callable[..., Recipe]

ARCHITECTURE = "mobilenetv3_small_050"
SEED = 7
NAMES = ("named", f"{ARCHITECTURE}.untrained")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute with one thread, as every promise about bytes says."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_recipe() -> MakeRecipe:
    """Return a function that makes a small recipe: 75 steps on one plate, in two stages."""

    def make(**changes: Any) -> Recipe:
        content: dict[str, Any] = {
            "architecture": ARCHITECTURE,
            "n_screens": 1,
            "n_held_out": 1,
            "site_px": 96,
            "stages": (Stage(size=64, batch=4, steps=60), Stage(size=96, batch=2, steps=15)),
        }
        return Recipe(**content | changes)

    return make


@pytest.fixture(scope="session")
def fields(make_recipe: MakeRecipe) -> Fields:
    """The sites that the small recipe learns from."""
    return render_fields(make_recipe().screen_seeds(), site_px=96)


@pytest.fixture(scope="session")
def design() -> ScreenDesign:
    """A screen of two batches of one plate each, with everything that figures are computed from."""
    return ScreenDesign(
        n_batches=2,
        n_plates=1,
        n_wells=24,
        site_px=96,
        cells_per_site=150.0,
        mechanisms=("HDAC inhibitor", "actin disruptor", "ER stress inducer"),
        compounds_per_mechanism=2,
        n_inactive=4,
        n_negcon=10,
        n_poscon=4,
        n_poscon_perturbations=1,
        strengths=(5.0, 6.0),
        poscon_strength=6.0,
    )


@pytest.fixture(scope="session")
def encoders() -> tuple[EncoderInfo, ...]:
    """The named features and a backbone without training."""
    settings = Settings(offline=True)
    return tuple(describe_encoder(EncoderChoice(name=name), settings=settings) for name in NAMES)


@dataclass(frozen=True)
class SmallRun:
    """A finished run, and the catalog that it is in."""

    catalog: Catalog
    run: RunRecord
    seed: int


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, design: ScreenDesign) -> Iterator[SmallRun]:
    """A run of the small screen from delivered files, by the line itself."""
    folder = tmp_path_factory.mktemp("run")
    screen = simulate_screen(str(folder / "screen"), design=design, seed=SEED)
    file = with_settings(Path(screen.screen_file), encoders=list(NAMES), pixels={"tile": TILE})
    with open_catalog(str(folder / "catalog.sqlite")) as catalog:
        performed = perform(catalog, file, LocalExecutor(threads=1))
        yield SmallRun(catalog, get_run(catalog, performed.run.name), SEED)
