"""Laws, oracles and edges of the inflation of p-values by positions."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hcs.errors import InputRejectedError
from hcs.statistics.position_inflation import PSEUDO_SETS, Inflation, estimate_inflation

p_values = hnp.arrays(np.float64, st.integers(0, 40), elements=st.integers(1, 1000).map(lambda n: n / 1000))


def estimate(p: np.ndarray, step: float = 0.001) -> Inflation:
    return estimate_inflation(p, steps=np.full(len(p), step))


@settings(deadline=None)
@given(p=p_values)
def test_mean_and_deviation_are_those_of_the_sets_and_eight_pseudo_sets(p: np.ndarray) -> None:
    found = estimate(p)

    # Eight of which four lie at -1 and four at +1 have the mean 0 and the deviation 1.
    scores = [-NormalDist().inv_cdf(value - 0.0005) for value in p] + [-1.0, 1.0] * (PSEUDO_SETS // 2)
    mean = max(0.0, sum(scores) / len(scores))
    assert found.mean == pytest.approx(mean, abs=1e-9)
    assert found.deviation == pytest.approx(
        max(1.0, math.sqrt(sum((score - mean) ** 2 for score in scores) / len(scores)))
    )
    assert (found.n_sets, found.n_below) == (len(p), sum(value < 0.05 for value in p))


@settings(deadline=None)
@given(p=p_values, order=st.randoms())
def test_the_order_of_the_sets_changes_no_bit(p: np.ndarray, order) -> None:
    shuffled = p.tolist()
    order.shuffle(shuffled)

    assert estimate(np.array(shuffled)) == estimate(p)


@settings(deadline=None)
@given(sets=p_values, p=hnp.arrays(np.float64, 5, elements=st.floats(1e-6, 1)))
def test_a_correction_keeps_the_order_and_makes_nothing_more_surprising(sets: np.ndarray, p: np.ndarray) -> None:
    corrected = estimate(sets).corrected(p)

    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()
    assert (corrected[p <= 0.5] >= p[p <= 0.5] * (1 - 1e-9)).all()
    assert ((corrected > 0) & (corrected <= 1)).all()


def test_a_corrected_p_value_is_that_of_the_score_less_the_mean_over_the_deviation() -> None:
    normal = NormalDist()
    score = -normal.inv_cdf(0.001)

    corrected = Inflation(mean=1.0, deviation=1.5, n_sets=9, n_below=4).corrected(np.array([0.001]))

    assert corrected[0] == pytest.approx(1 - normal.cdf((score - 1.0) / 1.5))


def test_nothing_changes_without_sets_and_ends_stay_ends() -> None:
    p = np.array([1e-6, 0.3, 1.0, np.nan])

    np.testing.assert_array_equal(estimate(np.empty(0)).corrected(p), p)
    assert math.isnan(estimate(np.empty(0)).rate)
    np.testing.assert_array_equal(Inflation(0.5, 2.0, 9, 4).corrected(p)[2:], [1.0, np.nan])


def test_uniform_sets_are_hardly_corrected_and_shifted_ones_nearly_return_to_their_rate() -> None:
    normal = NormalDist()
    uniform = (np.arange(200) + 0.5) / 200
    shifted = np.array([1 - normal.cdf(0.8 - normal.inv_cdf(p)) for p in uniform])

    assert estimate(uniform, 1e-6).mean == pytest.approx(0.0, abs=1e-4)
    assert estimate(uniform, 1e-6).deviation < 1.01
    assert (shifted < 0.05).mean() > 0.15
    assert (estimate(shifted, 1e-6).corrected(shifted) < 0.05).mean() == pytest.approx(0.05, abs=0.01)


def test_few_sets_at_the_smallest_p_leave_little_that_could_be_called() -> None:
    # Twelve sets, all as good as a thousand draws can show: a treatment that does no better is not significant.
    assert estimate(np.full(12, 0.001)).corrected(np.array([0.001]))[0] > 0.1


def test_sets_that_disagree_are_no_reason_to_trust_treatments_more() -> None:
    found = estimate(np.full(20, 0.9))

    assert found.mean == 0.0
    assert found.corrected(np.array([0.01]))[0] >= 0.01


@pytest.mark.parametrize(
    ("p", "steps"), [([0.0], [0.1]), ([1.1], [0.1]), ([0.5], [0.6]), ([0.5], [0.0]), ([math.nan], [0.1]), ([0.5], [])]
)
def test_what_is_no_p_value_is_refused(p: list[float], steps: list[float]) -> None:
    with pytest.raises(InputRejectedError, match="expected"):
        estimate_inflation(np.array(p), steps=np.array(steps))
