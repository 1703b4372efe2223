"""Labels dealt anew."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from hcs.statistics.label_permutation import label_permutation_tests
from hcs.statistics.similarity import unit_rows


def unit_vectors(n: int, seed: int) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).standard_normal((n, 6)))[0]


def score(units: np.ndarray, chosen: tuple[int, ...]) -> float:
    others = [row for row in range(len(units)) if row not in chosen]
    within = [units[a] @ units[b] for a, b in combinations(chosen, 2)]
    between = [units[a] @ units[b] for a in chosen for b in others]
    return float(np.mean(within) - np.mean(between))


def test_p_is_the_share_of_all_deals_but_for_its_draws() -> None:
    units = unit_vectors(9, 0)
    members = [np.array([0, 4]), np.array([1, 2, 7]), np.array([8])]

    found = label_permutation_tests(units, members, seed=0)

    for label in (0, 1):
        own = tuple(members[label].tolist())
        every = [score(units, deal) for deal in combinations(range(9), len(own))]
        share = np.mean([other >= score(units, own) - 1e-12 for other in every])
        assert found.p_values[label] == pytest.approx(share, abs=0.02)
        assert found.smallest_possible[label] == pytest.approx(1 / len(every))
    assert np.isnan(found.p_values[2])


def test_without_a_meaning_labels_reach_a_small_p_as_rarely_as_they_should() -> None:
    members = [np.arange(start, start + 3) for start in range(0, 30, 3)]
    p_values = np.concatenate(
        [
            label_permutation_tests(unit_vectors(30, seed), members, seed=seed, n_draws=299).p_values
            for seed in range(60)
        ]
    )

    # 600 p-values; those of one screen hold one another, so the bounds are wide.
    assert 0.025 <= (p_values <= 0.05).mean() <= 0.075
    assert (p_values > 0.95).mean() <= 0.08


def test_a_label_does_not_depend_on_others() -> None:
    units = unit_vectors(40, 1)
    alone = label_permutation_tests(units, [np.arange(5)], seed=0, n_draws=499).p_values[0]

    assert label_permutation_tests(units, [np.arange(5, 20), np.arange(5)], seed=0, n_draws=499).p_values[1] == alone
