from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hcs.profiling.row_order import order_by_content

few_values = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.sampled_from([0.0, 1.0]))


@given(few_values, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_any_order_of_the_rows_gives_the_same_matrix(values, random):
    shuffled = np.array(random.sample(range(len(values)), len(values)))

    order, _ = order_by_content(values)
    other, _ = order_by_content(values[shuffled])

    np.testing.assert_array_equal(values[order], values[shuffled][other])


@given(few_values)
@settings(deadline=None, max_examples=50)
def test_positions_bring_every_row_back(values):
    order, position = order_by_content(values)

    np.testing.assert_array_equal(values[order][position], values)
    assert sorted(order) == list(range(len(values)))


def test_equal_rows_share_a_position():
    _, position = order_by_content(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))

    assert position[0] == position[2] != position[1]


def test_the_sign_of_zero_does_not_matter():
    _, position = order_by_content(np.array([[0.0], [-0.0]]))

    assert position[0] == position[1]
