"""The null of copairs: copairs as the oracle, and what ours does not depend on."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from hcs.statistics.configuration_null import configuration_p_values, null_average_precisions


def test_draws_are_those_of_a_random_ranking() -> None:
    every = [np.mean([(i + 1) / rank for i, rank in enumerate(ranks)]) for ranks in combinations(range(1, 8), 3)]

    drawn = null_average_precisions(3, 7, size=20_000, seed=0)

    assert drawn.mean() == pytest.approx(np.mean(every), abs=4 * np.std(every) / np.sqrt(20_000))
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(every, [0.1, 0.5, 0.9]), abs=0.03)


def test_draws_have_the_distribution_of_all_ways_to_place_the_positives() -> None:
    every = [
        sum(Fraction(j, place) for j, place in enumerate(places, 1)) / 2 for places in combinations(range(1, 7), 2)
    ]
    draws = null_average_precisions(2, 6, size=30_000, seed=3)

    for value in set(every):
        share = np.isclose(draws, float(value), rtol=1e-6).mean()
        assert share == pytest.approx(every.count(value) / len(every), abs=0.01)


def test_many_positives_are_drawn_as_few_are() -> None:
    drawn = null_average_precisions(40, 60, size=2_000, seed=0)
    ranks = np.sort(np.argsort(np.random.default_rng(5).random((2_000, 60)), axis=1)[:, :40], axis=1) + 1
    expected = (np.arange(1, 41) / ranks).mean(axis=1)

    assert drawn.mean() == pytest.approx(expected.mean(), abs=5 * expected.std() / np.sqrt(2_000))


@pytest.mark.parametrize("n_replicates", [2, 3, 5])
def test_p_agrees_with_copairs_within_its_error(tmp_path: Path, n_replicates: int) -> None:
    copairs = pytest.importorskip("copairs.map", reason="copairs is the reference of this test")
    import pandas as pd

    rng = np.random.default_rng(n_replicates)
    n_treatments, size = 60, 10_000
    treatments = np.repeat(np.arange(n_treatments), n_replicates)
    # Two kinds of configurations, in one treatment too; precisions on the grid that small rankings have.
    n_total = np.where(np.arange(len(treatments)) % 7 < 4, n_replicates + 15, n_replicates + 31)
    ranks = np.sort(rng.integers(0, 6, (len(treatments), n_replicates - 1)), axis=1)
    precisions = (np.arange(1, n_replicates) / (np.arange(1, n_replicates) + ranks)).mean(axis=1)
    configurations = np.stack([np.full(len(treatments), n_replicates - 1), n_total], axis=1)

    means, ours = configuration_p_values(precisions, treatments, configurations, n_treatments=n_treatments, seed=3)
    theirs = copairs.mean_average_precision(
        pd.DataFrame(
            {
                "name": treatments,
                "average_precision": precisions,
                "normalized_average_precision": precisions,
                "n_pos_pairs": configurations[:, 0],
                "n_total_pairs": configurations[:, 1],
            }
        ),
        ["name"], null_size=size, threshold=0.05, seed=8, progress_bar=False, cache_dir=tmp_path,
    )  # fmt: skip

    np.testing.assert_allclose(means, theirs["mean_average_precision"], atol=1e-12)
    middle = (ours + theirs["p_value"].to_numpy()) / 2
    assert (np.abs(ours - theirs["p_value"]) <= 4.5 * np.sqrt(2 * middle * (1 - middle) / size) + 2 / size).all()


def test_p_depends_on_a_treatment_alone() -> None:
    precisions = np.array([0.5, 0.7, 0.2, 0.9, 0.4, 0.3])
    treatments = np.array([0, 0, 1, 1, 2, 2])
    configurations = np.array([[1, 9], [1, 17], [1, 17], [1, 9], [1, 40], [1, 40]])
    together = configuration_p_values(precisions, treatments, configurations, n_treatments=3, seed=1)[1]

    null_average_precisions.cache_clear()
    kept = [3, 2, 1, 0]
    alone = configuration_p_values(precisions[kept], treatments[kept], configurations[kept], n_treatments=3, seed=1)[1]

    assert alone[:2].tolist() == together[:2].tolist()
    assert np.isnan(alone[2])


def test_another_seed_gives_other_draws() -> None:
    assert not np.array_equal(*(null_average_precisions(3, 30, size=100, seed=seed) for seed in (0, 1)))
