from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import UsageError
from hcs.simulation.profiles import BATCH_FACTORS, Nuisances, ProfileDesign, ProfileScreen, simulate_profiles

SMALL = ProfileDesign(
    n_batches=2, n_plates=2, n_wells=96, n_features=30, n_compounds=60, n_negcon=16, n_poscon=4, n_mechanisms=5
)


def with_nuisances(**strengths: float) -> ProfileDesign:
    return replace(SMALL, nuisances=Nuisances(**strengths))


def rows_of(screen: ProfileScreen, **values: str) -> np.ndarray:
    is_one = np.ones(screen.wells.height, dtype=bool)
    for column, value in values.items():
        is_one &= (screen.wells[column] == value).to_numpy()
    return screen.profiles[is_one].astype(np.float64)


@given(seed=st.integers(0, 2**40))
@settings(max_examples=8, deadline=None)
def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(seed: int) -> None:
    first, again, other = (simulate_profiles(SMALL, seed=number) for number in (seed, seed, seed + 1))

    assert first.profiles.tobytes() == again.profiles.tobytes()
    assert first.wells.equals(again.wells)
    assert first.truth.equals(again.truth)
    assert first.profiles.tobytes() != other.profiles.tobytes()


@given(seed=st.integers(0, 2**40))
@settings(max_examples=8, deadline=None)
def test_every_plate_holds_every_compound_once_and_the_rows_are_sorted(seed: int) -> None:
    screen = simulate_profiles(SMALL, seed=seed)
    wells = screen.wells

    assert screen.profiles.shape == (4 * 80, 30)
    assert screen.profiles.dtype == np.float32
    assert wells.select("plate", "row", "column").equals(wells.select("plate", "row", "column").sort(pl.all()))
    for _, plate in wells.group_by("plate"):
        treated = plate.filter(pl.col("control_type") == "treatment")["perturbation"]
        assert treated.n_unique() == len(treated) == 60
        assert (plate["control_type"] == "negcon").sum() == 16
        assert plate["well"].n_unique() == 80
    joined = wells.join(screen.truth, on="perturbation", suffix="_true", nulls_equal=True)
    assert joined.height == wells.height
    assert joined["mechanism"].equals(joined["mechanism_true"])


def test_the_truth_says_what_each_compound_does() -> None:
    truth = simulate_profiles(SMALL, seed=5).truth
    compounds = truth.filter(pl.col("control_type") == "treatment")

    assert compounds["is_active"].sum() == 18
    assert compounds.filter("is_active")["effect"].to_list() == pytest.approx([0.6] * 18, rel=1e-5)
    assert compounds.filter(~pl.col("is_active"))["effect"].to_list() == [0.0] * 42
    assert compounds.filter("is_active")["mechanism"].n_unique() == 5
    assert compounds.filter(~pl.col("is_active"))["mechanism"].is_null().all()
    assert (compounds["viability"] < 1).sum() == 4
    # A name tells nothing of what a compound does.
    assert 0 < np.corrcoef(np.arange(60), compounds["is_active"].to_numpy())[0, 1] + 0.5 < 1


def test_wells_of_one_treatment_have_unit_variance_and_share_directions() -> None:
    screen = simulate_profiles(replace(SMALL, n_plates=60, n_compounds=0, n_features=60), seed=1)
    controls = rows_of(screen, control_type="negcon")

    assert controls.std(axis=0) == pytest.approx(np.ones(60), abs=0.06)
    largest = np.linalg.eigvalsh(np.cov(controls.T))[::-1]
    assert largest[:10].sum() > 0.35 * largest.sum()  # 10 of 60 directions would hold .17 without correlation


def test_a_compound_moves_its_wells_by_its_effect() -> None:
    design = replace(SMALL, n_plates=100, n_batches=1, effect=0.8)
    screen = simulate_profiles(design, seed=2)
    control = rows_of(screen, control_type="negcon").mean(axis=0)

    for perturbation, is_active in (
        screen.truth.filter(control_type="treatment").select("perturbation", "is_active").head(12).rows()
    ):
        moved = rows_of(screen, perturbation=perturbation).mean(axis=0) - control
        assert np.sqrt((moved**2).mean()) == pytest.approx(0.8 if is_active else 0.0, abs=0.15)


@pytest.mark.parametrize("name", ["batch_shift", "plate_shift", "source_shift", "position_shift", "gradient"])
def test_a_shift_has_the_strength_that_was_asked_for(name: str) -> None:
    strength = 0.7
    plain, moved = (simulate_profiles(design, seed=3) for design in (SMALL, with_nuisances(**{name: strength})))
    added = (moved.profiles - plain.profiles).astype(np.float64)

    assert moved.wells.equals(plain.wells)
    if name == "source_shift":  # which comes with a scale of its own
        assert added.mean(axis=0).std() > 0
        return
    if name == "gradient":
        along = np.corrcoef(added[:, 0], moved.wells["row"].to_numpy() + 0.0)[0, 1]
        assert abs(along) > 0.3
        return
    assert np.sqrt((added**2).mean()) == pytest.approx(strength, rel=0.1)
    place = {"batch_shift": ["batch"], "plate_shift": ["plate"], "position_shift": ["well"]}[name]
    constant = pl.DataFrame(added).hstack(moved.wells.select(place)).group_by(place).agg(pl.all().std(ddof=0).max())
    assert constant.drop(place).to_numpy().max() < 1e-5


def test_a_batch_varies_along_directions_of_its_own() -> None:
    design = replace(with_nuisances(batch_variation=1.0), n_plates=40)
    plain, varied = (simulate_profiles(one, seed=4) for one in (replace(design, nuisances=Nuisances()), design))
    added = varied.profiles - plain.profiles

    of_batch = [
        added[(varied.wells["batch"] == name).to_numpy()].astype(np.float64) for name in ("batch 01", "batch 02")
    ]
    for rows in of_batch:
        assert np.linalg.matrix_rank(rows, tol=1e-2 * np.linalg.norm(rows, 2)) == BATCH_FACTORS
        assert rows.std(axis=0).mean() == pytest.approx(1.0, rel=0.15)
    first, second = (np.linalg.svd(rows, full_matrices=False)[2][:BATCH_FACTORS] for rows in of_batch)
    assert np.linalg.norm(first @ second.T) < np.sqrt(BATCH_FACTORS) - 0.2


def test_mixing_turns_what_a_treatment_does_and_normalizing_on_controls_does_not_turn_it_back() -> None:
    screen = simulate_profiles(replace(with_nuisances(batch_mixing=1.0), n_plates=60, poscon_effect=3.0), seed=6)

    def direction(batch: str) -> np.ndarray:
        moved = rows_of(screen, batch=batch, perturbation="poscon 1").mean(axis=0)
        moved -= rows_of(screen, batch=batch, control_type="negcon").mean(axis=0)
        return moved / np.linalg.norm(moved)

    plain = simulate_profiles(replace(SMALL, n_plates=60, poscon_effect=3.0), seed=6)
    assert direction("batch 01") @ direction("batch 02") < 0.99
    assert not np.allclose(plain.profiles, screen.profiles)


def test_tails_are_heavy_and_the_variance_stays() -> None:
    design = replace(SMALL, n_plates=100, n_compounds=0, nuisances=Nuisances(tails=5.0))
    controls = rows_of(simulate_profiles(design, seed=7), control_type="negcon")
    controls = (controls - controls.mean(axis=0)) / controls.std(axis=0)

    assert (controls**4).mean() > 3.6
    assert np.abs(controls).max() > 6


def test_a_confounded_batch_holds_a_share_of_the_compounds() -> None:
    screen = simulate_profiles(replace(SMALL, is_confounded=True), seed=8)
    treated = screen.wells.filter(control_type="treatment").group_by("perturbation").agg(pl.col("batch").n_unique())

    assert treated.height == 60
    assert treated["batch"].unique().to_list() == [1]


def test_a_fixed_layout_is_the_same_on_every_plate() -> None:
    wells = simulate_profiles(replace(SMALL, well_layout="fixed"), seed=9).wells

    assert wells.group_by("well").agg(pl.col("perturbation").n_unique())["perturbation"].unique().to_list() == [1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_wells": 100}, "24, 48, 96"),
        ({"n_compounds": 90}, "need 110 wells"),
        ({"n_features": 1}, "n_features of at least 2"),
        ({"active_share": 1.5}, "between 0 and 1"),
        ({"effect": float("nan")}, "effect of at least 0"),
        ({"well_layout": "random"}, "shuffled or fixed"),
        ({"nuisances": Nuisances(batch_shift=-1)}, "batch_shift"),
        ({"nuisances": Nuisances(tails=2.0)}, "more than 2 degrees"),
    ],
)
def test_a_design_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(SMALL, **wrong)
