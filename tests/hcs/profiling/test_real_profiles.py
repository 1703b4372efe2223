"""Real profiles of 90 compounds on 4 plates: 24 controls and 4 wells a compound on each, the same layout on all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hcs.profiling.profiles import COMBINED, build_profiles
from schemas.screen import ProfileConfig


@pytest.fixture(scope="module")
def jump(real_data: Path) -> tuple[pl.DataFrame, np.ndarray]:
    paths = sorted((real_data / "profiles_jump_moa").glob("*.csv.gz"))
    tables = [pl.read_csv(path, infer_schema_length=None) for path in paths]
    shared = sorted(set.intersection(*(set(table.columns) for table in tables)))
    table = pl.concat([table.select(shared) for table in tables], how="vertical_relaxed")
    wells = table.select(
        plate="Metadata_Plate",
        well="Metadata_Well",
        compound="Metadata_Common Name",
        control_type=pl.col("Metadata_control_type").fill_null("treatment"),
    )
    return wells, table.select(~pl.selectors.starts_with("Metadata_")).to_numpy().astype(np.float64)


def retrieval_in_other_wells(profiles: np.ndarray, wells: pl.DataFrame) -> float:
    """How often the nearest well in another position holds the same compound."""
    is_treated = (wells["control_type"] == "treatment").to_numpy()
    units = profiles[is_treated] / np.linalg.norm(profiles[is_treated], axis=1, keepdims=True)
    well, compound = (wells[column].to_numpy().astype(str)[is_treated] for column in ("well", "compound"))
    nearest = np.where(well[:, None] == well[None, :], -np.inf, units @ units.T).argmax(axis=1)
    return float((compound[nearest] == compound).mean())


def test_the_profiles_were_delivered_with_half_of_the_compounds_found_again(jump):
    wells, delivered = jump

    assert retrieval_in_other_wells(delivered, wells) == pytest.approx(0.50, abs=0.01)


@pytest.mark.parametrize("correct", ["auto", "none"])
def test_compounds_are_found_again_more_often_than_in_the_delivered_profiles(jump, correct):
    wells, delivered = jump

    made = build_profiles(wells, {"cellprofiler": delivered}, config=ProfileConfig(correct=correct))

    assert retrieval_in_other_wells(made.blocks[COMBINED], wells) > retrieval_in_other_wells(delivered, wells) + 0.02


def test_enough_controls_are_whitened_on_all_wells(jump):
    wells, delivered = jump

    fit = build_profiles(wells, {"cellprofiler": delivered}, config=ProfileConfig()).fits[0]

    assert fit.whitening is not None
    assert fit.whitening.n_wells == 1535
    assert fit.whitening.projection.shape == (fit.n_kept, 128)
