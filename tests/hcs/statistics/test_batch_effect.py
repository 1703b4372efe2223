"""The test for a batch effect: exact under plates that differ, certain of batches that do."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from hcs.statistics import batch_effect as module
from hcs.statistics.batch_effect import batch_test

SIX = np.repeat([0, 1, 2], 2)
ONE = np.zeros(6, dtype=int)


def _closeness(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.asarray(rng.random((n, n)))


def test_p_is_the_share_of_all_deals() -> None:
    closeness = _closeness(np.random.default_rng(3), 6)
    both = closeness + closeness.T
    scores = [
        sum(both[i, j] for i in range(6) for j in range(6) if i != j and dealt[i] == dealt[j])
        for dealt in permutations(SIX.tolist())
    ]

    found = batch_test(closeness, SIX, ONE)

    assert found.p_value == pytest.approx(np.mean([score >= scores[0] - 1e-9 for score in scores]))
    assert found.smallest_possible_p == pytest.approx(1 / 15)


def test_p_is_uniform_where_batches_mean_nothing() -> None:
    rng = np.random.default_rng(0)

    found = np.array([batch_test(_closeness(rng, 6), SIX, ONE).p_value for _ in range(500)])

    assert np.mean(found <= 1 / 15 + 1e-9) == pytest.approx(1 / 15, abs=0.03)
    assert np.mean(found <= 1 / 3 + 1e-9) == pytest.approx(1 / 3, abs=0.06)


def test_plates_of_a_batch_that_lie_together_are_found() -> None:
    closeness = _closeness(np.random.default_rng(0), 6) + 2.0 * (SIX[:, None] == SIX)

    assert batch_test(closeness, SIX, ONE).p_value == pytest.approx(1 / 15)


def test_only_plates_that_hold_the_same_are_exchanged() -> None:
    batches, strata = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])

    found = batch_test(_closeness(np.random.default_rng(0), 4), batches, strata)

    assert found.smallest_possible_p == pytest.approx(1 / 2)


def test_a_plate_a_batch_says_nothing() -> None:
    found = batch_test(_closeness(np.random.default_rng(0), 3), np.arange(3), np.zeros(3, dtype=int))

    assert (found.p_value, found.smallest_possible_p) == (1.0, 1.0)


def test_many_plates_are_dealt_at_random_and_the_same_with_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EXACT", 10)
    closeness = _closeness(np.random.default_rng(5), 6)
    exact = 1 / 15

    drawn = batch_test(closeness, SIX, ONE, seed=1)

    assert drawn == batch_test(closeness, SIX, ONE, seed=1)
    assert drawn.smallest_possible_p == pytest.approx(exact, abs=0.02)
