"""Retrieval over batches and positions, against a loop that follows its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcs.statistics import replicability as module
from hcs.statistics.average_precision import negatives_above, precisions_of_counts
from hcs.statistics.replicability import expected_precision, means_by_label, replicability, replicate_distance


def _wells(seed: int, n: int = 40) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    labels, batches, positions = (rng.integers(0, k, n) for k in (8, 3, 6))
    return rng.normal(size=(n, 5)) + labels[:, None] % 3, labels, batches, positions


def _by_definition(
    x: NDArray[np.float64], labels: NDArray[np.intp], batches: NDArray[np.intp], positions: NDArray[np.intp]
) -> list[float]:
    near = np.round(x @ x.T / np.outer(*[np.linalg.norm(x, axis=1)] * 2), 9)
    found = []
    for i in range(len(x)):
        other = [j for j in range(len(x)) if labels[j] != labels[i]]
        same = [
            j
            for j in range(len(x))
            if labels[j] == labels[i] and batches[j] != batches[i] and positions[j] != positions[i]
        ]
        above = negatives_above(near[i, same][None], near[i, other][None])
        found.append(float(precisions_of_counts(above)[0]) if same and other else float("nan"))
    return found


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), block=st.sampled_from([40, 700, 10**6]))
def test_it_is_average_precision_of_wells_in_another_batch_and_position_however_blocks_are_cut(
    seed: int, block: int
) -> None:
    x, labels, batches, positions = _wells(seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        found = replicability(x, labels=labels, batches=batches, positions=positions)

    np.testing.assert_allclose(found.precision, _by_definition(x, labels, batches, positions), rtol=1e-12)


def test_batches_that_differ_lower_it_and_equal_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    labels, batches = np.tile(np.arange(20), 4), np.repeat([0, 1], 40)
    x = 3 * rng.normal(size=(20, 30))[labels] + rng.normal(size=(80, 30))

    same = replicability(x, labels=labels, batches=batches).precision.mean()
    shifted = replicability(x + 20 * batches[:, None], labels=labels, batches=batches).precision.mean()

    assert same > 0.95
    assert shifted < 0.2


def test_a_well_without_another_batch_has_no_figure() -> None:
    x = np.random.default_rng(0).normal(size=(6, 3))

    found = replicability(x, labels=np.array([0, 0, 1, 1, 2, 2]), batches=np.array([0, 1, 0, 0, 1, 1]))

    assert np.isfinite(found.precision).tolist() == [True, True, False, False, False, False]
    assert np.isnan(replicability(x[:0], labels=np.arange(0), batches=np.arange(0)).precision).all()


@pytest.mark.parametrize(("n_positives", "n_candidates"), [(1, 7), (3, 12), (5, 60)])
def test_chance_is_the_mean_over_random_orders(n_positives: int, n_candidates: int) -> None:
    rng = np.random.default_rng(0)
    places = np.sort(
        rng.permuted(np.tile(np.arange(1, n_candidates + 1), (20_000, 1)), axis=1)[:, :n_positives], axis=1
    )
    drawn = (np.arange(1, n_positives + 1) / places).mean(axis=1)

    assert expected_precision(n_positives, n_candidates) == pytest.approx(drawn.mean(), abs=0.006)


def test_means_leave_missing_values_out() -> None:
    found = means_by_label(np.array([1.0, np.nan, 3.0, 5.0]), np.array([0, 0, 2, -1]), n_labels=4)

    np.testing.assert_array_equal(found, [1.0, np.nan, 3.0, np.nan])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), block=st.sampled_from([40, 10**6]))
def test_the_distance_is_cohens_d_of_the_two_kinds_of_pairs(seed: int, block: int) -> None:
    x, labels, batches, _ = _wells(seed)
    near = x @ x.T / np.outer(*[np.linalg.norm(x, axis=1)] * 2)
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    same = [near[i, j] for i, j in pairs if labels[i] == labels[j] and batches[i] != batches[j]]
    other = [near[i, j] for i, j in pairs if labels[i] != labels[j] and batches[i] == batches[j]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        found = replicate_distance(x, labels=labels, batches=batches)

    spread = np.sqrt((np.var(same) + np.var(other)) / 2)
    assert found == pytest.approx((np.mean(same) - np.mean(other)) / spread)


def test_a_distance_needs_both_kinds_of_pairs() -> None:
    assert np.isnan(replicate_distance(np.eye(4), labels=np.arange(4), batches=np.zeros(4, dtype=int)))
