"""Mixing of batches, against the published implementation of LISI and a regression on every component."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcs.statistics import mixing as module
from hcs.statistics.mixing import attraction, even_diversity, local_diversity, neighbourhoods, variance_between


def _shifted(size: float, n: int = 300) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    rng = np.random.default_rng(0)
    batches = rng.integers(0, 3, n)
    return rng.normal(size=(n, 6)) + size * np.eye(6)[batches], batches


@pytest.mark.parametrize("size", [0.0, 1.0, 8.0])
def test_diversity_is_that_of_harmonypy(size: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from harmonypy.lisi import compute_lisi
    x, batches = _shifted(size)
    units = x / np.linalg.norm(x, axis=1, keepdims=True)

    theirs = compute_lisi(units, pd.DataFrame({"batch": batches.astype(str)}), ["batch"], perplexity=30)[:, 0]

    np.testing.assert_allclose(
        local_diversity(neighbourhoods(x), batches), theirs, atol=1e-2
    )  # their bisection is coarser


def test_diversity_falls_from_that_of_a_fair_sample_to_one() -> None:
    mixed, apart = (local_diversity(neighbourhoods(x), b).mean() for x, b in (_shifted(0.0), _shifted(50.0)))

    assert even_diversity(_shifted(0.0)[1]) > mixed > 2.4
    assert apart == pytest.approx(1.0, abs=0.05)


def test_blocks_change_nothing() -> None:
    x, batches = _shifted(1.0)
    whole = local_diversity(neighbourhoods(x), batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", 1000)
        cut = local_diversity(neighbourhoods(x), batches)

    np.testing.assert_allclose(cut, whole, rtol=1e-9)


def test_weights_are_shares_with_the_perplexity_that_was_asked_for() -> None:
    near = neighbourhoods(_shifted(0.0)[0], perplexity=10)

    entropy = -(near.weights * np.log(near.weights)).sum(axis=1)

    np.testing.assert_allclose(np.exp(entropy), 10, rtol=1e-6)
    np.testing.assert_allclose(attraction(near, np.arange(300)).sum(axis=1), 1.0)


def test_copies_have_neighbours_of_equal_weight() -> None:
    near = neighbourhoods(np.ones((20, 3)))

    np.testing.assert_allclose(near.weights, 1 / near.rows.shape[1])


def test_fewer_than_four_wells_have_no_neighbourhood() -> None:
    assert np.isnan(local_diversity(neighbourhoods(np.eye(3)), np.arange(3))).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.floats(0, 3))
def test_variance_between_is_principal_component_regression_over_all_components(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    batches = rng.integers(0, 3, 60)
    x = rng.normal(size=(60, 5)) * rng.uniform(0.5, 3, 5) + shift * batches[:, None]
    centred = x - x.mean(axis=0)
    scores = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    dummies = np.eye(3)[batches]
    fitted = dummies @ np.linalg.lstsq(dummies, scores, rcond=None)[0]
    r2 = fitted.var(axis=0) / scores.var(axis=0)
    plain = float((r2 * scores.var(axis=0)).sum() / scores.var(axis=0).sum())
    n_batches = len(np.unique(batches))

    assert variance_between(x, batches) == pytest.approx(1 - (1 - plain) * 59 / (60 - n_batches))


def test_variance_between_is_zero_on_average_without_a_difference() -> None:
    rng = np.random.default_rng(0)
    found = [variance_between(rng.normal(size=(40, 8)), rng.integers(0, 4, 40)) for _ in range(200)]

    assert abs(np.mean(found)) < 0.005
    assert np.isnan(variance_between(np.ones((5, 2)), np.array([0, 0, 1, 1, 1])))
    assert np.isnan(variance_between(np.eye(2), np.array([0, 1])))
