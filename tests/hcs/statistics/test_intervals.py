from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hcs.errors import InputRejectedError
from hcs.statistics.intervals import MeanInterval, mean_interval

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12)


@settings(deadline=None)
@given(values=VALUES, level=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_it_is_the_interval_of_a_t_test(values: list[float], level: float) -> None:
    mean, error = np.mean(values), stats.sem(values)
    low, high = stats.t.interval(level, len(values) - 1, loc=mean, scale=error) if error else (mean, mean)

    found = mean_interval(values, level=level)

    assert (found.mean, found.low, found.high) == pytest.approx((mean, low, high), rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(values=VALUES, order=st.randoms())
def test_the_order_of_the_values_changes_no_bit(values: list[float], order) -> None:
    turned = list(values)
    order.shuffle(turned)

    assert mean_interval(turned) == mean_interval(values)


def test_it_covers_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(3, 2, size=5)) for _ in range(4000)]

    covered = np.mean([found.low < 3 < found.high for found in intervals])

    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


def test_one_value_has_a_mean_and_no_interval() -> None:
    assert mean_interval([0.25]) == MeanInterval(0.25, None, None)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_what_has_no_mean_is_refused(values: list[float]) -> None:
    with pytest.raises(InputRejectedError, match="needs finite values"):
        mean_interval(values)
