"""The regression on the number of cells: what it takes out, and that it leaves toxicity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.registry import CORRECTIONS

correct = CORRECTIONS["cell-count"]


def test_what_follows_the_count_among_controls_is_taken_out(Screen) -> None:
    screen = Screen()
    slope = np.linspace(-0.02, 0.02, 12)
    values = screen.values + screen.design.cell_counts[:, None] * slope

    made = correct(values, screen.design)

    left = np.array([np.polyfit(screen.design.cell_counts, made.values[:, i], 1)[0] for i in range(12)])
    assert np.abs(left).max() < 0.008
    assert made.fitted_on == "80 negative controls with counts"


def test_the_slope_is_that_of_least_squares_with_a_constant_a_plate(Screen) -> None:
    screen = Screen(n_features=1)
    controls = screen.design.is_negcon
    indicators = np.eye(4)[screen.design.plates[controls]]
    predictors = np.column_stack([screen.design.cell_counts[controls], indicators])
    slope = np.linalg.lstsq(predictors, screen.values[controls, 0], rcond=None)[0][0]

    made = correct(screen.values, screen.design)

    first = screen.design.plates == 0
    among = screen.design.cell_counts[first & controls]
    away = np.clip(screen.design.cell_counts[first], among.min(), among.max()) - among.mean()
    np.testing.assert_allclose(made.values[first, 0], screen.values[first, 0] - slope * away, atol=1e-12)


def test_counts_beyond_those_of_controls_are_cut_so_that_toxicity_stays(Screen) -> None:
    screen = Screen()
    toxic = np.flatnonzero(~screen.design.is_negcon)[:5]
    counts = screen.design.cell_counts.copy()
    controls = counts[screen.design.is_negcon & (screen.design.plates == 0)]
    counts[toxic] = controls.min()
    lowest = correct(screen.values, replace(screen.design, cell_counts=counts)).values
    counts[toxic] = 0.0

    made = correct(screen.values, replace(screen.design, cell_counts=counts))

    np.testing.assert_array_equal(made.values, lowest)


def test_wells_without_a_count_are_left_and_told(Screen) -> None:
    screen = Screen()
    counts = screen.design.cell_counts.copy()
    missing = np.flatnonzero(~screen.design.is_negcon)[:3]
    counts[missing] = np.nan

    made = correct(screen.values, replace(screen.design, cell_counts=counts))

    np.testing.assert_array_equal(made.values[missing], screen.values[missing])
    assert np.isfinite(made.values).all()
    assert made.notes == ("all plates: 3 wells of a plate without a count, left as they were",)


def test_held_out_controls_are_not_looked_at(Screen) -> None:
    screen = Screen()
    held = np.flatnonzero(screen.design.is_negcon)[::2]
    is_fitted = screen.design.is_negcon.copy()
    is_fitted[held] = False
    design = replace(screen.design, is_fitted=is_fitted)
    other = screen.values.copy()
    other[held] = 1e6

    made, odd = correct(screen.values, design), correct(other, design)

    rest = np.setdiff1d(np.arange(len(other)), held)
    np.testing.assert_array_equal(made.values[rest], odd.values[rest])


def test_few_controls_or_no_counts_are_refused(Screen) -> None:
    screen = Screen(n_plates=1, n_controls=15)

    with pytest.raises(InputRejectedError, match="at least 16 negative controls"):
        correct(screen.values, screen.design)
    with pytest.raises(InputRejectedError, match="--count"):
        correct(screen.values, replace(screen.design, cell_counts=None))
    same = replace(Screen().design, cell_counts=np.full(384, 300.0))
    with pytest.raises(InputRejectedError, match="differ"):
        correct(Screen().values, same)


def test_a_batch_without_controls_is_left_and_told(Screen) -> None:
    screen = Screen(n_batches=2)
    is_fitted = screen.design.is_fitted & (screen.design.batches == 0)

    made = correct(screen.values, replace(screen.design, is_fitted=is_fitted))

    second = screen.design.batches == 1
    np.testing.assert_array_equal(made.values[second], screen.values[second])
    assert made.notes[0].startswith("batch 2 of 2: 0 fitted negative controls")
