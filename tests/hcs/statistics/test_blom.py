"""Blom's normal scores against the formula, and what they do not depend on."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from hcs.statistics.blom import blom_scores


def test_scores_are_those_of_the_formula_and_ties_share_theirs() -> None:
    made = blom_scores(np.array([[3.0], [1.0], [2.0], [2.0]]))

    expected = [NormalDist().inv_cdf((rank - 0.375) / 4.25) for rank in (4, 1, 2.5, 2.5)]
    np.testing.assert_allclose(made[:, 0], expected)


def test_any_rising_function_of_the_values_has_the_same_scores() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)

    assert blom_scores(values).dtype == np.float32
    np.testing.assert_array_equal(blom_scores(values), blom_scores(np.exp(values)))
