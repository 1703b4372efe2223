from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.mechanisms.planes import plane_of


def groups(n: int = 15) -> NDArray[np.float64]:
    """Profiles that point in three directions, `n` in each."""
    rng = np.random.default_rng(0)
    return np.repeat(5 * np.eye(8)[:3], n, axis=0) + 0.3 * rng.standard_normal((3 * n, 8))


def test_what_points_one_way_lies_side_by_side() -> None:
    profiles = groups()

    places = plane_of(profiles, seed=0)

    assert places.shape == (45, 2)
    means = places.reshape(3, 15, 2).mean(axis=1)
    nearest = np.linalg.norm(places[:, None] - means, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, np.repeat([0, 1, 2], 15))


def test_a_seed_has_one_picture_and_the_length_of_profiles_none() -> None:
    profiles = groups()

    places = plane_of(profiles, seed=3)

    np.testing.assert_array_equal(plane_of(profiles, seed=3), places)
    np.testing.assert_allclose(plane_of(4.0 * profiles, seed=3), places, atol=1e-5)
    assert not np.array_equal(plane_of(profiles, seed=4), places)


@pytest.mark.parametrize("n", [5, 6])
def test_five_profiles_are_enough(n: int) -> None:
    assert np.isfinite(plane_of(groups()[:n], seed=0)).all()


def test_profiles_that_are_all_the_same_or_zero_have_a_place_too() -> None:
    assert np.isfinite(plane_of(np.ones((8, 3)), seed=0)).all()
    assert np.isfinite(plane_of(np.vstack([groups(3), np.zeros((1, 8))]), seed=0)).all()


def test_too_few_profiles_and_those_that_are_not_finite_are_refused_with_their_number() -> None:
    broken = groups()
    broken[2:5, 0] = np.nan

    with pytest.raises(InputRejectedError, match=r"at least 5 finite profiles are needed .* but 4 came, of which 0"):
        plane_of(groups()[:4], seed=0)
    with pytest.raises(InputRejectedError, match="45 came, of which 3 are not finite"):
        plane_of(broken, seed=0)
