"""Corrections for position: what they take out, what they leave, and where they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.position import same_perturbation_share
from hcs.profiling.corrections.position_loess import are_scattered
from hcs.profiling.corrections.registry import CORRECTIONS
from hcs.statistics.polish import median_polish as polish_one_table

LINES = ("median-polish", "b-score", "loess")
ALL = (*LINES, "wellpos")


def at_noise(values: np.ndarray, screen) -> float:
    """Return the root mean square over positions of the mean over plates and wells there, in units of its chance."""
    position = screen.rows * 12 + screen.columns
    means = np.stack([values[position == place].mean(axis=0) for place in range(96)])
    n_plates = len(values) // 96
    return float(np.sqrt(((means - means.mean(axis=0)) ** 2).mean() * n_plates))


@pytest.mark.parametrize("name", ["median-polish", "loess"])
def test_a_gradient_is_found_and_taken_out(Screen, name: str) -> None:
    screen = Screen()
    values = screen.gradient(2.0)

    made = CORRECTIONS[name](values, screen.design)

    assert at_noise(values, screen) > 1.3
    assert at_noise(made.values, screen) < 1.08
    assert made.n_fitted > 0
    assert "row and column effects p = 0.001 (999 permutations of 80 negative controls within plates)" in made.notes[0]


@pytest.mark.parametrize("name", ALL)
def test_without_an_effect_nothing_is_changed_and_p_is_told(Screen, name: str) -> None:
    screen = Screen(seed=3)

    made = CORRECTIONS[name](screen.values, screen.design)

    if name != "b-score":
        np.testing.assert_array_equal(made.values, screen.values)
        assert (made.fitted_on, made.n_fitted) == ("nothing", 0)
    assert " p = " in made.notes[0]
    assert "left as" in made.notes[0] or "without polish" in made.notes[0]


def test_idiosyncratic_positions_are_taken_out_by_means_over_shuffled_plates(Screen) -> None:
    screen = Screen(n_plates=12)
    offsets = np.random.default_rng(1).normal(size=(96, 12))
    values = screen.values + offsets[screen.rows * 12 + screen.columns]

    made = CORRECTIONS["wellpos"](values, screen.design)

    assert at_noise(values, screen) > 2.5
    assert at_noise(made.values, screen) < 0.2
    assert made.n_fitted == len(values)


def test_means_of_positions_leave_the_distance_between_controls_and_treatments(Screen) -> None:
    screen = Screen(n_plates=12)
    offsets = np.random.default_rng(1).normal(size=(96, 12))
    values = screen.values + offsets[screen.rows * 12 + screen.columns]
    values[~screen.design.is_negcon] += 3.0

    made = CORRECTIONS["wellpos"](values, screen.design).values

    is_control = screen.design.is_negcon
    assert np.abs(made[~is_control].mean(axis=0) - made[is_control].mean(axis=0) - 3.0).max() < 0.25


def test_a_fixed_layout_is_seen_and_refused(Screen) -> None:
    fixed = Screen(is_fixed=True)

    assert same_perturbation_share(fixed.design) == 1.0
    assert same_perturbation_share(Screen(n_plates=8).design) < 0.05
    with pytest.raises(InputRejectedError, match=r"100% of the other wells .* the layout is fixed"):
        CORRECTIONS["wellpos"](fixed.values, fixed.design)


def test_means_of_positions_need_perturbations_and_plates(Screen) -> None:
    screen = Screen(n_plates=3)

    with pytest.raises(InputRejectedError, match="at least 4 wells"):
        CORRECTIONS["wellpos"](screen.values, screen.design)
    unnamed = replace(screen.design, perturbations=np.full(len(screen.values), -1))
    with pytest.raises(InputRejectedError, match="name the column of the perturbations"):
        CORRECTIONS["wellpos"](screen.values, unnamed)


def test_the_polish_of_a_plate_is_that_of_each_feature_by_itself(Screen) -> None:
    screen = Screen(n_plates=2, n_features=3)
    values = screen.gradient(4.0)
    whole = np.zeros(len(values), dtype=bool)
    design = replace(screen.design, is_negcon=whole, is_fitted=whole)

    made = CORRECTIONS["median-polish"](values, design).values

    for plate in range(2):
        rows = slice(96 * plate, 96 * plate + 96)
        for feature in range(3):
            polished = polish_one_table(values[rows, feature].reshape(8, 12))
            expected = polished.residuals + polished.overall
            np.testing.assert_allclose(made[rows, feature].reshape(8, 12), expected, atol=0.02)


def test_the_b_score_has_median_0_and_mad_1_on_every_plate(Screen) -> None:
    screen = Screen(n_batches=2)
    values = screen.gradient(2.0).astype(np.float32)
    values[:, 3] = 7.0

    made = CORRECTIONS["b-score"](values, screen.design)

    assert made.values.dtype == np.float32
    for plate in range(4):
        part = np.delete(made.values[screen.design.plates == plate], 3, axis=1)
        np.testing.assert_allclose(np.median(part, axis=0), 0.0, atol=1e-6)
        np.testing.assert_allclose(1.4826 * np.median(np.abs(part), axis=0), 1.0, rtol=1e-5)
    assert (made.values[:, 3] == 0.0).all()
    assert "4 times a feature does not vary" in made.notes[-1]


def test_columns_of_controls_are_not_taken_for_an_effect(Screen) -> None:
    screen = Screen(n_plates=3)
    is_control = screen.columns < 2
    design = replace(screen.design, is_negcon=is_control, is_fitted=is_control)
    values = screen.values + 3.0 * (screen.rows / 7)[:, None]
    values[~is_control] += 5.0

    made = CORRECTIONS["median-polish"](values, replace(design, perturbations=np.where(is_control, -1, 0)))
    shuffled = CORRECTIONS["median-polish"](values, replace(screen.design, is_negcon=is_control, is_fitted=is_control))

    assert "not tested" in made.notes[0]
    assert "6 rows or columns of plates hold mostly negative controls" in shuffled.notes[-1]
    gap = shuffled.values[~is_control].mean() - shuffled.values[is_control].mean()
    assert gap == pytest.approx(5.0, abs=0.2)


def test_a_surface_is_fitted_on_scattered_controls_and_else_on_all_wells(Screen) -> None:
    screen = Screen(n_controls=30)
    places = np.column_stack([screen.rows, screen.columns])[:96]
    in_columns = screen.columns < 3
    design = replace(screen.design, is_negcon=in_columns, is_fitted=in_columns)

    scattered = CORRECTIONS["loess"](screen.gradient(3.0), screen.design)
    aside = CORRECTIONS["loess"](screen.gradient(3.0), design)

    assert are_scattered(places, screen.design.is_negcon[:96])
    assert not are_scattered(places, in_columns[:96])
    assert scattered.fitted_on == "the negative controls of 4 plates, 120 wells"
    assert aside.fitted_on == "all wells of 4 plates, labels ignored, 384 wells"


def test_a_surface_follows_no_minority_of_active_wells(Screen) -> None:
    screen = Screen(n_plates=1, n_controls=20)
    values = screen.gradient(4.0)
    in_columns = screen.columns < 3
    design = replace(screen.design, is_negcon=in_columns, is_fitted=in_columns)
    active = np.flatnonzero(~in_columns)[::7]
    with_active = values.copy()
    with_active[active] += 50.0

    plain, made = (CORRECTIONS["loess"](x, design).values for x in (values, with_active))

    others = np.setdiff1d(np.arange(96), active)
    assert np.abs(made[others] - plain[others]).max() < 1.0


@pytest.mark.parametrize("name", ALL)
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000))
def test_neither_the_order_of_rows_nor_what_else_is_in_the_table_matters(
    Screen, reordered, name: str, seed: int
) -> None:
    screen = Screen(n_plates=8, n_features=4, n_batches=2, seed=seed)
    values = screen.gradient(2.0 if seed % 2 else 0.0)
    order = np.random.default_rng(seed).permutation(len(values))
    first = np.flatnonzero(screen.design.batches == 0)

    made = CORRECTIONS[name](values, screen.design)
    shuffled = CORRECTIONS[name](values[order], reordered(screen.design, order))
    alone = CORRECTIONS[name](values[first], reordered(screen.design, first))

    np.testing.assert_allclose(shuffled.values, made.values[order], atol=1e-9)
    if name != "wellpos":  # which takes all plates together
        np.testing.assert_allclose(alone.values, made.values[first], atol=1e-9)


@pytest.mark.parametrize("name", ALL)
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), shift=st.floats(-50, 50))
def test_the_level_of_a_plate_stays_and_a_unit_is_carried_through(Screen, name: str, seed: int, shift: float) -> None:
    screen = Screen(n_features=3, seed=seed, n_plates=4)
    values = screen.gradient(2.0)
    levels = np.arange(4)[screen.design.plates][:, None] * shift

    made = CORRECTIONS[name](values, screen.design).values
    moved = CORRECTIONS[name](2.0 * values + levels, screen.design).values

    expected = made if name == "b-score" else 2.0 * made + levels
    np.testing.assert_allclose(moved, expected, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_wells_without_a_position_or_with_the_same_are_refused(Screen, name: str) -> None:
    screen = Screen()

    with pytest.raises(InputRejectedError, match="--well"):
        CORRECTIONS[name](screen.values, replace(screen.design, rows=None))
    rows, columns = screen.rows.copy(), screen.columns.copy()
    rows[1], columns[1] = rows[0], columns[0]
    with pytest.raises(InputRejectedError, match="384 rows lie in 383 wells"):
        CORRECTIONS[name](screen.values, replace(screen.design, rows=rows, columns=columns))


def test_a_plate_of_a_few_wells_is_refused(Screen) -> None:
    screen = Screen(n_plates=1)
    few = np.arange(10)
    design = replace(screen.design, **{name: value[few] for name, value in vars(screen.design).items()})

    with pytest.raises(InputRejectedError, match="at least 24 wells"):
        CORRECTIONS["median-polish"](screen.values[few], design)
