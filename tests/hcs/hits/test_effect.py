"""How far a treatment lies from its controls."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.hits.effect import deviation
from hcs.statistics.designs import Layout, all_designs


def test_over_all_designs_of_a_pool_control_like_wells_have_a_squared_effect_near_one() -> None:
    rng = np.random.default_rng(0)
    layout = Layout((12, 10), (2, 1))
    plates = np.repeat([0, 1], layout.n_wells)
    profiles = rng.standard_normal((22, 30)) * rng.uniform(0.2, 3, 30) + 7 * plates[:, None]
    squares = []
    for design in all_designs(layout):
        is_replicate = np.zeros(22, dtype=bool)
        is_replicate[design] = True
        squares.append(deviation(profiles, plates, is_replicate).effect ** 2)

    assert np.mean(squares) == pytest.approx(1.0, abs=0.05)


def test_it_agrees_with_the_definition_on_one_plate() -> None:
    rng = np.random.default_rng(1)
    controls, replicates = rng.standard_normal((9, 4)), rng.standard_normal((3, 4)) + 2
    difference = replicates.mean(axis=0) - controls.mean(axis=0)
    variance_of_a_mean_difference = controls.var(axis=0, ddof=1).sum() * (1 / 3 + 1 / 9)

    found = deviation(np.vstack([replicates, controls]), np.zeros(12, dtype=int), np.arange(12) < 3)

    assert found.effect == pytest.approx(np.linalg.norm(difference) / np.sqrt(variance_of_a_mean_difference))


@pytest.mark.parametrize("factor", [0.01, 1.0, 100.0])
def test_it_follows_neither_unit_nor_plate_offset_and_grows_with_the_phenotype(factor: float) -> None:
    rng = np.random.default_rng(2)
    plates = np.repeat([0, 1, 2], 9)
    is_replicate = np.tile(np.arange(9) < 1, 3)
    noise = rng.standard_normal((27, 6))
    weak, strong = (noise + is_replicate[:, None] * shift for shift in (2.0, 20.0))

    expected = deviation(strong, plates, is_replicate).effect

    assert deviation(factor * strong + 5 * plates[:, None], plates, is_replicate).effect == pytest.approx(expected)
    assert expected > 8 * deviation(weak, plates, is_replicate).effect


def test_controls_without_a_variance_give_no_effect() -> None:
    one_a_plate = deviation(np.eye(4), np.array([0, 0, 1, 1]), np.array([True, False] * 2))
    all_alike = deviation(np.array([[1.0], [0.0], [0.0]]), np.zeros(3, dtype=int), np.array([True, False, False]))

    assert np.isnan(one_a_plate.effect)
    assert np.isnan(all_alike.effect)
