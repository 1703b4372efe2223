"""What p-values of a screen look like."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.statistics.p_values import summarize_p_values


def test_uniform_p_values_are_those_of_inactive_treatments() -> None:
    summary = summarize_p_values((np.arange(1000) + 0.5) / 1000)

    assert summary.share_inactive == pytest.approx(1.0)
    assert summary.histogram == (50,) * 20
    assert summary.right_tail_p > 0.3


def test_a_share_of_active_ones_is_seen() -> None:
    p = np.concatenate([np.full(400, 1e-5), (np.arange(600) + 0.5) / 600])

    assert summarize_p_values(p).share_inactive == pytest.approx(0.6, abs=0.01)


def test_p_values_that_pile_up_near_one_are_told() -> None:
    p = np.concatenate([np.full(60, 0.99), (np.arange(200) + 0.5) / 200])

    assert summarize_p_values(p).right_tail_p < 1e-6


def test_edges_of_the_histogram_belong_to_the_left() -> None:
    summary = summarize_p_values(np.array([0.05, 0.1, 1.0, 1e-9, np.nan]))

    assert summary.n == 4
    assert (summary.histogram[0], summary.histogram[1], summary.histogram[19]) == (2, 1, 1)


def test_without_p_values_nothing_is_known() -> None:
    summary = summarize_p_values(np.array([np.nan]))

    assert np.isnan(summary.share_inactive)
    assert summary.right_tail_p == 1.0
