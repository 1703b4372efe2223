"""Simulated screens with compounds that kill or glow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hcs.errors import UsageError
from hcs.simulation.cytotoxics import CHANNELS, SPECIFIC, Cytotoxics, CytotoxicScreen, simulate_cytotoxics
from hcs.simulation.profiles import ProfileDesign, simulate_profiles

DESIGN = ProfileDesign(
    n_plates=4, n_wells=96, n_features=50, n_compounds=40, n_mechanisms=4, active_share=0.25, toxic_share=0, n_negcon=16
)
MIX = Cytotoxics(n_generic=6, n_specific=2, n_glowing=5)


@pytest.fixture(scope="module")
def screen() -> CytotoxicScreen:
    return simulate_cytotoxics(DESIGN, cytotoxics=MIX, seed=3)


def test_the_truth_counts_what_was_asked_for(screen: CytotoxicScreen) -> None:
    counts = dict(screen.truth.group_by("kind").len().iter_rows())

    assert counts == {
        "negcon": 1, "poscon": 2, "generic": 6, "specific": 6, "glowing": 5, "active": 10, "inactive": 13,
    }  # fmt: skip
    killers = screen.truth.filter(pl.col("kind").is_in(["generic", "specific"]))
    assert killers["viability"].is_between(0.3, 0.7).all()
    assert (screen.truth.filter(~pl.col("kind").is_in(["generic", "specific"]))["viability"] == 1).all()
    assert set(screen.truth.filter(pl.col("kind") == "specific")["mechanism"]) == set(SPECIFIC)
    assert set(screen.truth.filter(pl.col("kind") == "glowing")["channel"]) == set(CHANNELS)


def test_wells_hold_as_many_cells_as_their_compound_leaves(screen: CytotoxicScreen) -> None:
    seen = (
        screen.wells.join(screen.truth, on="perturbation")
        .group_by("perturbation")
        .agg((pl.col("cell_count") / 400).mean(), pl.col("viability").first())
    )

    assert np.abs(seen["cell_count"] - seen["viability"]).max() < 0.2
    assert np.corrcoef(seen["cell_count"], seen["viability"])[0, 1] > 0.9


def test_a_glowing_compound_shifts_its_channel_alone() -> None:
    alone = Cytotoxics(n_generic=0, n_specific=0, n_glowing=5, loss_effect=0.0)
    screen, plain = simulate_cytotoxics(DESIGN, cytotoxics=alone, seed=3), simulate_profiles(DESIGN, seed=3)
    added = np.abs(screen.profiles - plain.profiles)

    for name, channel in screen.truth.filter(pl.col("kind") == "glowing").select("perturbation", "channel").iter_rows():
        rows = (screen.wells["perturbation"] == name).to_numpy()
        own = screen.channels[channel]
        assert added[np.ix_(rows, own)].mean() > 0.3
        assert np.delete(added[rows], own, axis=1).max() < 1e-5
    others = ~screen.wells["perturbation"].is_in(screen.truth.filter(pl.col("kind") == "glowing")["perturbation"])
    assert added[others.to_numpy()].max() < 1e-5


def test_what_few_cells_look_like_depends_on_their_number_alone() -> None:
    killers = Cytotoxics(n_generic=12, n_specific=0)
    screen, plain = simulate_cytotoxics(DESIGN, cytotoxics=killers, seed=3), simulate_profiles(DESIGN, seed=3)
    counts, added = screen.wells["cell_count"].to_numpy(), screen.profiles - plain.profiles
    loss = 1 - counts / DESIGN.cells_per_well

    basis = np.stack([loss, loss * np.abs(loss)], axis=1)
    fitted = basis @ np.linalg.lstsq(basis, added, rcond=None)[0]
    np.testing.assert_allclose(fitted, added, atol=1e-4)


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(screen: CytotoxicScreen) -> None:
    again, other = (simulate_cytotoxics(DESIGN, cytotoxics=MIX, seed=seed) for seed in (3, 4))

    assert again.profiles.tobytes() == screen.profiles.tobytes()
    assert again.wells.equals(screen.wells)
    assert again.truth.equals(screen.truth)
    assert other.profiles.tobytes() != screen.profiles.tobytes()


@pytest.mark.parametrize(
    ("design", "mix", "message"),
    [
        (DESIGN, replace(MIX, n_generic=30), "41 of the inactive compounds"),
        (replace(DESIGN, toxic_share=0.2), MIX, "toxic_share 0 was expected, got 0.2"),
        (replace(DESIGN, n_features=4), MIX, "at least 5 features"),
    ],
)
def test_a_screen_that_cannot_be_is_refused(design: ProfileDesign, mix: Cytotoxics, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        simulate_cytotoxics(design, cytotoxics=mix, seed=0)
