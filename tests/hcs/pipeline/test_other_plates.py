"""Hits of a whole run stand when the draws are others, or plates of another screen are in the run too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from hcs.pipeline.results import make_results
from hcs.pipeline.well_table import WellTable
from hcs.simulation.profiles import ProfileDesign, simulate_profiles
from schemas.screen import HitsConfig, PlateEntry, ScreenConfig

DESIGN = ProfileDesign(
    n_plates=4, n_wells=96, n_compounds=60, n_features=48, n_negcon=24, n_poscon=4, effect=0.9, active_share=0.4,
    n_mechanisms=8,
)  # fmt: skip
SEEDS = (910, 911)


def table(name: str, *, seed: int) -> WellTable:
    """A simulated screen of two encoders, its plates, batch and compounds named after it."""
    screen = simulate_profiles(DESIGN, seed=seed)
    own = pl.col("control_type") == "treatment"
    named = {column: pl.format("{} {}", pl.lit(name), column) for column in ("plate", "batch", "perturbation")}
    unknown = {column: pl.lit(None, dtype=pl.Float64) for column in ("concentration_micromolar", "dose_step")}
    wells = screen.wells.drop("row", "column", "source").with_columns(
        plate=named["plate"],
        batch=named["batch"],
        perturbation=pl.when(own).then(named["perturbation"]).otherwise("perturbation"),
        cell_count=pl.col("cell_count").cast(pl.Float64),
        **unknown,
        **{column: pl.lit(None, dtype=pl.String) for column in ("name", "smiles", "excluded_reason")},
    )
    values = screen.profiles.astype(np.float64)
    return WellTable(wells=wells, embeddings={"one": values[:, ::2], "two": values[:, 1::2]})


def together(one: WellTable, other: WellTable) -> WellTable:
    blocks = {name: np.vstack([block, other.embeddings[name]]) for name, block in one.embeddings.items()}
    return WellTable(wells=pl.concat([one.wells, other.wells]), embeddings=blocks)


def hits(screen: WellTable, *, seed: int = 0) -> set[str]:
    """Compounds of the first screen that a run calls by both encoders together."""
    config = ScreenConfig(screen="plates", plates=(PlateEntry(uri="x"),), hits=HitsConfig(seed=seed))
    with threadpool_limits(limits=1):
        calls = make_results(screen, config=config).calls
    found = calls.filter((pl.col("profile") == "combined") & pl.col("is_hit"))["perturbation"]
    return {name for name in found if name.startswith("mine ")}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda seed: hits(table("mine", seed=seed), seed=1), id="another-seed"),
        pytest.param(
            lambda seed: hits(together(table("mine", seed=seed), table("other", seed=seed + 50))), id="unrelated-plates"
        ),
    ],
)
def test_nineteen_of_twenty_hits_are_the_same(changed: Callable[[int], set[str]]) -> None:
    before, after = [hits(table("mine", seed=seed)) for seed in SEEDS], [changed(seed) for seed in SEEDS]

    n_shared = sum(len(one & other) for one, other in zip(before, after, strict=True))
    n_all = sum(len(one | other) for one, other in zip(before, after, strict=True))
    assert n_all >= 40
    assert n_shared / n_all >= 0.95
