"""Local regression against weighted least squares at each place, and its laws."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.statistics.local_regression import robust_heights, surface_weights


def directly(observed: np.ndarray, values: np.ndarray, place: np.ndarray, span: float) -> np.ndarray:
    """Return the height of the plane of tricube-weighted least squares at a place; the oracle."""
    distance = np.linalg.norm(observed - place, axis=1)
    reach = np.sort(distance)[int(np.ceil(span * len(observed))) - 1]
    root = np.sqrt(np.clip(1 - (distance / reach) ** 3, 0, None) ** 3)
    plane = np.column_stack([np.ones(len(observed)), observed])
    coefficients = np.linalg.lstsq(root[:, None] * plane, root[:, None] * values, rcond=None)[0]
    return np.array([1.0, *place]) @ coefficients


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), span=st.floats(0.4, 1.0))
def test_heights_are_those_of_weighted_least_squares(seed: int, span: float) -> None:
    rng = np.random.default_rng(seed)
    observed = np.unique(rng.integers(0, 24, size=(60, 2)), axis=0).astype(np.float64)
    values = rng.normal(size=(len(observed), 3))
    wanted = rng.integers(0, 24, size=(5, 2)).astype(np.float64)

    heights = surface_weights(observed, wanted, span=span) @ values

    np.testing.assert_allclose(heights, [directly(observed, values, place, span) for place in wanted], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 30))
def test_weights_add_up_to_1_whatever_the_layout(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    observed = rng.integers(0, 4, size=(n, 2)).astype(np.float64)

    weights = surface_weights(observed, rng.integers(0, 24, size=(4, 2)).astype(np.float64))

    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)


def test_a_plane_is_its_own_surface_and_odd_wells_do_not_bend_it() -> None:
    places = np.indices((16, 24)).reshape(2, -1).T.astype(np.float64)
    plane = (places @ [0.1, -0.05] + 3.0)[:, None]
    weights = surface_weights(places, places)
    odd = plane.copy()
    odd[::9] += 100.0

    np.testing.assert_allclose(robust_heights(plane, weights, weights), plane, atol=0.01)
    noise = np.random.default_rng(0).normal(scale=0.1, size=plane.shape)
    assert np.abs(robust_heights(odd + noise, weights, weights) - plane).max() < 0.15
