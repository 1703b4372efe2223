"""What must not change a call."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import ortho_group

from hcs.hits.activity import call_activity

law = settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**16)
EXACT = ["p_value", "q_value", "smallest_possible_p", "call", "explained_by_count", "reason"]


def call(profiles: np.ndarray, wells: pl.DataFrame) -> pl.DataFrame:
    return call_activity(profiles, wells, profile_name="combined", q_max=0.05, seed=3)


def mixed_screen(
    make_screen: Callable, seed: int, *, n_replicates: int = 2, n_controls: int = 6
) -> tuple[np.ndarray, pl.DataFrame]:
    """Weak and strong treatments, two replicates on a plate, unequal plates, counts that differ."""
    profiles, wells = make_screen(
        [0.0, 0.3, 0.6, 3.0], n_plates=3, n_replicates=n_replicates, n_controls=n_controls, poscon=2.0,
        n_features=5, seed=seed, count_ratios={"c1": 0.5, "c2": 0.6, "c3": 0.4, "positive": 0.5},
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    noisy = np.round(wells["cell_count"].to_numpy() * rng.uniform(0.8, 1.2, wells.height))
    kept = np.sort(rng.permutation(wells.height)[:-4])
    return profiles[kept], wells.with_columns(cell_count=pl.Series(noisy))[kept]


@law
@given(seed=seeds)
def test_the_order_of_the_wells_changes_no_bit(make_screen: Callable, seed: int) -> None:
    profiles, wells = mixed_screen(make_screen, seed)
    order = np.random.default_rng(seed + 1).permutation(wells.height)

    assert_frame_equal(call(profiles[order], wells[order]), call(profiles, wells), check_exact=True)


@law
@given(seed=seeds)
def test_names_of_plates_wells_and_batches_change_no_bit(make_screen: Callable, seed: int) -> None:
    profiles, wells = mixed_screen(make_screen, seed)
    names = np.random.default_rng(seed).permutation(100)
    renamed = wells.with_columns(
        plate=pl.col("plate").replace({f"P{i}": f"plate {names[i]}" for i in range(3)}),
        batch=pl.col("batch").replace({f"B{i}": f"batch {names[9 - i]}" for i in range(2)}),
        well=pl.format("{}x", "well"),
    )

    assert_frame_equal(call(profiles, renamed), call(profiles, wells), check_exact=True)


@law
@given(seed=seeds)
def test_calls_follow_the_names_of_perturbations(make_screen: Callable, seed: int) -> None:
    profiles, wells = mixed_screen(make_screen, seed)
    names = {"c0": "zebra", "c1": "yak", "c2": "ape", "c3": "lion", "positive": "P", "DMSO": "water"}
    expected = call(profiles, wells).with_columns(pl.col("perturbation").replace(names))

    found = call(profiles, wells.with_columns(pl.col("perturbation").replace(names)))

    assert_frame_equal(found.sort("perturbation"), expected.sort("perturbation"), check_exact=True)


@law
@given(seed=seeds, factor=st.floats(1e-3, 1e3))
def test_a_common_factor_changes_no_call(make_screen: Callable, seed: int, factor: float) -> None:
    profiles, wells = mixed_screen(make_screen, seed)

    found, expected = call(profiles * factor, wells), call(profiles, wells)

    assert_frame_equal(found.select(EXACT), expected.select(EXACT), check_exact=True)
    assert_frame_equal(found, expected, rel_tol=1e-9)


@law
@given(seed=seeds)
def test_a_rotation_of_the_profile_space_changes_no_call_beside_many_controls(make_screen: Callable, seed: int) -> None:
    """Beside few, each feature gets a scale, and which controls a lone well meets goes by their values."""
    profiles, wells = mixed_screen(make_screen, seed, n_replicates=1, n_controls=20)
    rotation = ortho_group.rvs(profiles.shape[1], random_state=seed)

    found, expected = (
        call(values, wells).filter(pl.col("n_replicates") > 1) for values in (profiles @ rotation, profiles)
    )

    assert_frame_equal(found.select(EXACT), expected.select(EXACT), check_exact=True)
    assert_frame_equal(found, expected, rel_tol=1e-9)


@law
@given(seed=seeds)
def test_a_shift_of_a_plate_changes_no_p_value(make_screen: Callable, seed: int) -> None:
    profiles, wells = mixed_screen(make_screen, seed)
    shifts = np.random.default_rng(seed).standard_normal((3, profiles.shape[1])) * 10
    plate = wells["plate"].str.slice(1).cast(pl.Int64).to_numpy()

    found, expected = call(profiles + shifts[plate], wells), call(profiles, wells)

    columns = ["p_value", "q_value", "smallest_possible_p", "call"]
    assert_frame_equal(found.select(columns), expected.select(columns), check_exact=True)
    assert_frame_equal(found.select("effect"), expected.select("effect"), rel_tol=1e-9)


@law
@given(seed=seeds)
def test_a_plate_that_a_treatment_is_not_on_changes_nothing_of_it(make_screen: Callable, seed: int) -> None:
    profiles, wells = mixed_screen(make_screen, seed)
    others, other_wells = make_screen({"other": 1.0}, n_plates=2, n_features=5, seed=seed + 7)
    other_wells = other_wells.with_columns(pl.format("{}b", "plate").alias("plate"), pl.col("cell_count").cast(float))

    found = call(np.vstack([others, profiles]), pl.concat([other_wells, wells]))

    columns = ["perturbation", "p_value", "smallest_possible_p", "mean_average_precision", "effect", "n_controls"]
    mine = found.filter(pl.col("perturbation") != "other").select(columns)
    assert_frame_equal(mine, call(profiles, wells).select(columns), rel_tol=1e-12)
