"""What profiles must not depend on. Calls and mechanisms see them through cosine similarity alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.profiling.profiles import COMBINED, build_profiles
from schemas.screen import ProfileConfig

few_examples = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**32 - 1)
ENOUGH_CONTROLS = {
    "whitened": {"n_plates": 3, "n_controls": 16, "n_features": 12},
    "whitened-wide": {"n_plates": 2, "n_controls": 17, "n_features": 150},
}
FEW_CONTROLS = {
    "few-controls": {"n_plates": 3, "n_controls": 5, "n_features": 12},
    "one-plate-few-controls": {"n_plates": 1, "n_controls": 4, "n_features": 60},
}


def parametrize(named: dict[str, dict[str, int]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("layout", named.values(), ids=named.keys())


layouts = parametrize(ENOUGH_CONTROLS | FEW_CONTROLS)


def combined(screen) -> np.ndarray:
    blocks = {"left": screen.embedding[:, ::2], "right": screen.embedding[:, 1::2]}
    return build_profiles(screen.wells, blocks, config=ProfileConfig()).blocks[COMBINED]


def cosines(profiles: np.ndarray) -> np.ndarray:
    units = profiles / np.linalg.norm(profiles, axis=1, keepdims=True)
    return units @ units.T


@layouts
@given(seed=seeds)
@few_examples
def test_shifting_features_leaves_similarities_unchanged(screens, layout, seed):
    screen = screens(seed, **layout)
    shift = np.random.default_rng(seed).normal(scale=100, size=screen.embedding.shape[1])

    shifted = combined(screen.with_embedding(screen.embedding + shift))

    np.testing.assert_allclose(cosines(shifted), cosines(combined(screen)), atol=1e-9)


@layouts
@given(seed=seeds)
@few_examples
def test_scaling_features_leaves_similarities_unchanged(screens, layout, seed):
    screen = screens(seed, **layout)
    rng = np.random.default_rng(seed)
    n_features = screen.embedding.shape[1]
    factor = rng.lognormal(sigma=5, size=n_features) * rng.choice([-1, 1], n_features)

    scaled = combined(screen.with_embedding(screen.embedding * factor))

    np.testing.assert_allclose(cosines(scaled), cosines(combined(screen)), atol=1e-9)


@layouts
@given(seed=seeds)
@few_examples
def test_a_single_feature_in_another_unit_leaves_similarities_unchanged(screens, layout, seed):
    screen = screens(seed, **layout)
    other = screen.embedding.copy()
    other[:, 3] = 1e6 * other[:, 3] - 273.15

    np.testing.assert_allclose(cosines(combined(screen.with_embedding(other))), cosines(combined(screen)), atol=1e-9)


@layouts
@given(seed=seeds)
@few_examples
def test_permuting_wells_does_not_change_a_bit(screens, layout, seed):
    screen = screens(seed, **layout)
    order = np.random.default_rng(seed).permutation(len(screen.embedding))

    assert combined(screen.rows(order)).tobytes() == combined(screen)[order].tobytes()


@layouts
@given(seed=seeds)
@few_examples
def test_renaming_plates_does_not_change_a_bit(screens, layout, seed):
    screen = screens(seed, **layout)
    names = sorted(set(screen.wells["plate"]))
    renamed = dict(zip(names, np.random.default_rng(seed).permutation([f"{n}9" for n in names]).tolist(), strict=True))
    wells = screen.wells.with_columns(pl.col("plate").replace_strict(renamed))

    assert combined(screen.with_wells(wells)).tobytes() == combined(screen).tobytes()


@layouts
@given(seed=seeds)
@few_examples
def test_exchanging_the_places_of_wells_of_a_plate_does_not_change_a_bit(screens, layout, seed):
    screen = screens(seed, **layout)
    turned = screen.wells.with_columns(well=pl.col("well").reverse().over("plate"))

    assert combined(screen.with_wells(turned)).tobytes() == combined(screen).tobytes()


@layouts
@given(seed=seeds)
@few_examples
def test_what_a_treatment_is_does_not_enter_its_profile(screens, layout, seed):
    screen = screens(seed, **layout)
    kinds = screen.wells["control_type"].to_numpy().copy()
    treated = np.flatnonzero(kinds == "treatment")
    kinds[np.random.default_rng(seed).choice(treated, len(treated) // 2, replace=False)] = "poscon"
    relabelled = screen.wells.with_columns(control_type=pl.Series(kinds))

    assert combined(screen.with_wells(relabelled)).tobytes() == combined(screen).tobytes()


@parametrize(ENOUGH_CONTROLS)
@given(seed=seeds)
@few_examples
def test_the_units_of_a_plate_do_not_matter_where_its_scale_is_its_own(screens, layout, seed):
    screen = screens(seed, **layout)
    factor = np.where(screen.plates == "plate1", 3.7, 1.0)[:, None]

    brighter = combined(screen.with_embedding(screen.embedding * factor + 5 * factor))

    np.testing.assert_allclose(cosines(brighter), cosines(combined(screen)), atol=1e-9)
