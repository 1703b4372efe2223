from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hcs.statistics.frequency import surely_varied, value_frequencies

VALUES = st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.5, float("nan"), 7.0]), min_size=1, max_size=30)


@given(column=VALUES, n_threads=st.sampled_from([1, 2]))
def test_counts_are_those_of_a_counter(column, n_threads):
    counts = sorted(Counter(value for value in column if not np.isnan(value)).values(), reverse=True)

    found = value_frequencies(np.array([column, column]).T, np.array([0, 1]), n_threads=n_threads)

    assert found.n_distinct.tolist() == [len(counts)] * 2
    assert found.ratio.tolist() == [counts[1] / counts[0] if len(counts) > 1 else 0.0] * 2


def test_features_are_counted_in_the_order_in_which_they_are_asked_for():
    values = np.tile([[1.0], [2.0]], (20, 100))
    values[:, 70] = 5.0

    found = value_frequencies(values, np.array([70, 3, 99]))

    assert found.n_distinct.tolist() == [1, 2, 2]
    assert found.ratio.tolist() == [0.0, 1.0, 1.0]


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 400),
    decimals=st.integers(0, 6),
    dtype=st.sampled_from([np.float32, np.float64]),
    cutoffs=st.tuples(st.sampled_from([0.0, 0.05, 0.5, 1.0]), st.sampled_from([0.0, 0.01, 0.9])),
)
def test_what_surely_varies_passes_when_it_is_counted(seed, n, decimals, dtype, cutoffs):
    ratio, distinct = cutoffs
    rng = np.random.default_rng(seed)
    values = np.round(rng.standard_normal((n, 40)), decimals).astype(dtype)
    values[rng.random(values.shape) < 0.001] = np.nan
    features = np.arange(1, 40)

    sure = surely_varied(values, features, ratio=ratio, distinct=distinct)

    counted = value_frequencies(values, features)
    passes = (counted.ratio >= ratio) & (counted.n_distinct / n >= distinct) & (counted.n_distinct > 1)
    assert not (sure & ~passes).any()


def test_continuous_values_surely_vary_and_repeated_ones_do_not():
    values = np.random.default_rng(900).standard_normal((4000, 3))
    values[:, 1] = np.round(values[:, 1], 1)
    values[7, 2] = np.nan

    assert surely_varied(values, np.arange(3), ratio=0.05, distinct=0.01).tolist() == [True, False, False]
