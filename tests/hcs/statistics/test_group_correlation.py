"""Median correlation of groups, and of random ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from hcs.statistics.group_correlation import CorrelatedRows, group_correlations


def rows_of(profiles: np.ndarray, groups: np.ndarray, *different: np.ndarray) -> CorrelatedRows:
    columns = np.column_stack(different) if different else np.empty((len(groups), 0), dtype=np.intp)
    return CorrelatedRows(profiles, groups, columns)


def test_medians_are_those_of_all_pairs_that_differ() -> None:
    rng = np.random.default_rng(0)
    profiles, groups, wells = (
        rng.standard_normal((24, 7)),
        np.repeat([0, 1, 2], 8),
        np.tile([0, 0, 1, 1, 2, 2, 3, 3], 3),
    )
    correlation = np.corrcoef(profiles)

    found = group_correlations(rows_of(profiles, groups, wells), seed=0, n_random=20)

    for group in range(3):
        pairs = [p for p in combinations(np.flatnonzero(groups == group), 2) if wells[p[0]] != wells[p[1]]]
        assert found.n_pairs[group] == len(pairs) == 24
        assert found.medians[group] == pytest.approx(np.median([correlation[p] for p in pairs]))


def test_copairs_share_and_threshold_come_out_within_the_error_of_its_draws() -> None:
    copairs = pytest.importorskip("copairs.replicating", reason="copairs is the reference of this test")
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 4)
    profiles = rng.standard_normal((160, 30)) + 0.4 * rng.standard_normal((40, 30))[groups] * (groups < 20)[:, None]
    meta = pd.DataFrame({"group": groups})
    theirs = copairs.correlation_test(profiles, meta, ["group"], [], n_samples=4000, progress_bar=False)
    share, threshold = theirs.percent_score_right()

    ours = group_correlations(rows_of(profiles, groups), seed=0, n_random=4000, like_copairs=True)

    np.testing.assert_allclose(ours.medians, theirs.corr_df["median"].to_numpy(), atol=1e-6)
    assert ours.thresholds[0] == pytest.approx(threshold, abs=0.012)  # three standard errors of a 95th percentile
    assert (ours.medians > ours.thresholds).mean() == pytest.approx(share, abs=0.05)


def test_groups_of_any_size_pass_by_chance_as_rarely_as_they_should() -> None:
    rng = np.random.default_rng(2)
    groups = np.concatenate([np.repeat(np.arange(100), 2), 100 + np.repeat(np.arange(50), 6)])
    found = [
        group_correlations(rows_of(rng.standard_normal((500, 12)), groups), seed=seed, n_random=200)
        for seed in range(4)
    ]
    passes = np.concatenate([one.medians > one.thresholds for one in found]).reshape(4, 150)

    assert 0.02 <= passes[:, :100].mean() <= 0.085
    assert 0.01 <= passes[:, 100:].mean() <= 0.1


def test_a_group_of_a_make_that_no_other_has_is_not_judged() -> None:
    profiles = np.random.default_rng(3).standard_normal((9, 5))
    groups, wells = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 1, 0, 1, 0])

    found = group_correlations(rows_of(profiles, groups, wells), seed=0, n_random=20)

    # Three rows in each of two wells: only this group has them, and a random group takes them of two.
    assert np.isnan(found.thresholds[0])
    assert np.isfinite(found.thresholds[1])
    assert np.isnan(found.medians[2])
    assert found.n_pairs.tolist() == [9, 1, 0]


def test_a_constant_profile_is_left_out_of_the_medians() -> None:
    profiles = np.random.default_rng(4).standard_normal((6, 5))
    groups = np.array([0, 0, 0, 1, 1, 1])
    profiles[1] = 1.0

    found = group_correlations(rows_of(profiles, groups), seed=0, n_random=20)

    assert found.medians[0] == pytest.approx(np.corrcoef(profiles[0], profiles[2])[0, 1])
