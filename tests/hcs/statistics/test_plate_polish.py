"""The polish of all features at once, against that of one table, and its laws."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.statistics.plate_polish import polish_plate


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), share=st.floats(0.3, 1.0))
def test_additive_effects_are_recovered_from_any_wells_that_are_there(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    of_rows, of_columns = rng.normal(size=(8, 3)), rng.normal(size=(12, 3))
    rows, columns = (part.ravel() for part in np.indices((8, 12)))
    there = rng.random(96) < share
    there[:12] = there[::12] = True
    rows, columns = rows[there], columns[there]

    made = polish_plate(of_rows[rows] + of_columns[columns], rows, columns, n_rows=8, n_columns=12)

    together = made.overall + made.rows[rows] + made.columns[columns]
    assert np.median(np.abs(together - of_rows[rows] - of_columns[columns])) < 0.05
    np.testing.assert_allclose(np.median(made.rows, axis=0), 0.0, atol=1e-12)


def test_lines_without_a_well_have_no_effect() -> None:
    made = polish_plate(np.array([[1.0], [5.0]]), np.array([0, 2]), np.array([1, 1]), n_rows=4, n_columns=3)

    assert made.rows[:, 0].tolist() == [-2.0, 0.0, 2.0, 0.0]
    assert made.columns[:, 0].tolist() == [0.0, 0.0, 0.0]
    assert made.overall[0] == 3.0
