"""Recipes: their order, what each step does, and that the presets run from raw profiles to corrected ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.registry import CORRECTIONS
from hcs.profiling.recipes import _STEPS, ORDER, PRESETS, follow_recipe, steps_of

N_PLATES, N_WELLS, N_FEATURES = 6, 96, 10


def screen(seed: int = 0) -> tuple[np.ndarray, list[str], Design]:
    """Return raw profiles of shuffled plates in two batches, with 24 controls each."""
    rng = np.random.default_rng(seed)
    deals = np.concatenate([rng.permutation(N_WELLS) for _ in range(N_PLATES)])
    plates = np.repeat(np.arange(N_PLATES), N_WELLS)
    is_negcon = deals < 24
    values = rng.normal(size=(len(deals), N_FEATURES)) + rng.normal(size=(N_PLATES, N_FEATURES))[plates]
    values += 2.0 * (plates >= 3)[:, None] * rng.normal(size=N_FEATURES)
    well = np.tile(np.arange(N_WELLS), N_PLATES)
    design = Design(
        plates=plates,
        batches=plates // 3,
        perturbations=np.where(is_negcon, -1, deals),
        is_negcon=is_negcon,
        is_fitted=is_negcon,
        rows=well // 12,
        columns=well % 12,
        cell_counts=rng.integers(100, 200, len(deals)).astype(np.float64),
    )
    return 50.0 + 10.0 * values, [f"Cells_F{i}" for i in range(N_FEATURES)], design


def test_every_step_exists_and_presets_are_in_order() -> None:
    assert set(ORDER) <= CORRECTIONS.keys() | _STEPS.keys()
    for name, steps in PRESETS.items():
        assert steps_of(name) == tuple(step for step in ORDER if step in steps)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_take_raw_profiles_to_corrected_ones(preset: str) -> None:
    values, features, design = screen()
    values[:, 3] = values[:, 2] * 2.0 + 1.0
    values[7, 4] = np.nan

    made = follow_recipe(values, features, design, steps=steps_of(preset))

    assert np.isfinite(made.values).all()
    assert made.values.shape == (576, 8)
    assert "Cells_F4" not in made.features
    assert len({"Cells_F2", "Cells_F3"} & set(made.features)) == 1
    before, after = (abs_batch_difference(x, design) for x in (values[:, 5:], made.values[:, 3:]))
    assert after < 0.25 < before
    assert any(sentence.startswith("harmony: fitted on all 576 wells") for sentence in made.told)


def abs_batch_difference(values: np.ndarray, design: Design) -> float:
    """Return the mean over features of the distance of the batches' means, in standard deviations."""
    first = design.batches == 0
    return float(np.mean(np.abs(values[first].mean(axis=0) - values[~first].mean(axis=0)) / values.std(axis=0)))


def test_steps_are_the_functions_that_they_are_named_after() -> None:
    values, features, design = screen()

    made = follow_recipe(values, features, design, steps=("mad",))

    for plate in range(N_PLATES):
        controls = values[design.is_negcon & (design.plates == plate)]
        middle = np.median(controls, axis=0)
        scale = 1.4826 * np.median(np.abs(controls - middle), axis=0)
        on_plate = design.plates == plate
        np.testing.assert_allclose(made.values[on_plate], (values[on_plate] - middle) / scale)


def test_features_that_hardly_vary_and_outliers_go_and_values_are_cut() -> None:
    values, features, design = screen()
    values[:, 0] = 1e6 + values[:, 0]
    made = follow_recipe(values, features, design, steps=("variant-features",))
    assert made.features == tuple(features[1:])
    far = np.zeros_like(values)
    far[:20, 1], far[0, 2] = 500.0, -500.0

    cut = follow_recipe(far, features, design, steps=("outliers",))

    assert "Cells_F1" not in cut.features
    assert cut.values.min() == -100.0
    assert cut.told[-1] == "outliers: 1 values cut to 100"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("harmony,mad", "expected mad,harmony"),
        ("mad,mad", "once each"),
        ("jump-compounds", "one of jump-compound, jump-orf"),
        ("", "came"),
    ],
)
def test_what_is_no_recipe_is_an_error(recipe: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        steps_of(recipe)


def test_a_plate_without_controls_and_one_without_a_feature_left_are_refused() -> None:
    values, features, design = screen()
    lacking = replace(design, is_negcon=design.is_negcon & (design.plates > 0))

    with pytest.raises(InputRejectedError, match="1 of 6 plates have none"):
        follow_recipe(values, features, lacking, steps=("mad",))
    with pytest.raises(InputRejectedError, match="leaves no feature"):
        follow_recipe(np.full_like(values, np.nan), features, design, steps=("mad",))
