"""Energy distances and their test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from hcs.statistics.designs import Layout, all_designs
from hcs.statistics.energy import energy_test


def distance(profiles: np.ndarray, is_replicate: np.ndarray) -> float:
    x, y = profiles[is_replicate], profiles[~is_replicate]
    return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())


def centred(profiles: np.ndarray, plates: np.ndarray) -> np.ndarray:
    return np.vstack(
        [profiles[plates == plate] - profiles[plates == plate].mean(axis=0) for plate in np.unique(plates)]
    )


PLATES = np.repeat([0, 1], [5, 6])
REPLICATES = np.isin(np.arange(11), [0, 5, 6])


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_distance_and_p_are_what_looking_at_every_deal_gives(seed: int) -> None:
    profiles = np.random.default_rng(seed).standard_normal((11, 4))
    profiles[REPLICATES] += 0.5
    wells = centred(profiles, PLATES)
    deals = [np.isin(np.arange(11), deal) for deal in all_designs(Layout((5, 6), (1, 2)))]
    own = distance(wells, REPLICATES)

    found = energy_test(profiles, PLATES, REPLICATES, seed=0)

    assert found.distance == pytest.approx(own)
    assert found.p_value == pytest.approx(np.mean([distance(wells, deal) >= own - 1e-12 for deal in deals]))
    assert found.smallest_possible_p == 1 / 75


def test_names_orders_and_shifts_of_plates_change_nothing() -> None:
    rng = np.random.default_rng(5)
    plates, is_replicate = np.repeat(np.arange(4), 17), np.tile(np.arange(17) < 1, 4)
    profiles = rng.integers(-8, 8, (68, 6)).astype(float)
    order = rng.permutation(68)

    found = energy_test(profiles, plates, is_replicate, seed=1)
    again = energy_test(profiles[order], 9 - plates[order], is_replicate[order], seed=1)

    assert again == found
    assert energy_test(profiles + plates[:, None], plates, is_replicate, seed=1).distance == pytest.approx(
        found.distance
    )


def test_p_values_without_an_effect_are_as_small_as_rarely_as_they_should_be() -> None:
    plates, is_replicate = np.repeat(np.arange(3), 9), np.tile(np.arange(9) < 1, 3)
    p_values = np.array(
        [
            energy_test(np.random.default_rng(seed).standard_normal((27, 5)), plates, is_replicate, seed=0).p_value
            for seed in range(400)
        ]
    )

    assert 0.02 <= (p_values <= 0.05).mean() <= 0.085  # three standard errors of 400
