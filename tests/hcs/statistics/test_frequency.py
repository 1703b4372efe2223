from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hcs.statistics.frequency import value_frequencies

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
