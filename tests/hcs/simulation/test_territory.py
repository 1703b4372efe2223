from dataclasses import replace

import numpy as np
import pytest

from hcs.simulation.library import N_AXES
from hcs.simulation.morphology import N_CHANCES, Morphology, express
from hcs.simulation.territory import divide_ground


def _cells(n: int, seed: int = 0) -> tuple[np.ndarray, Morphology, np.ndarray]:
    rng = np.random.default_rng(seed)
    chances = rng.random((n, N_CHANCES))
    centres = rng.uniform(-5, 101, (n, 2)).astype(np.float32)
    return centres, express(rng.standard_normal((n, N_AXES)), chances), chances


def _naive_relative_radius(y, x, cell: int, morphology: Morphology, chances: np.ndarray) -> float:
    angle, ratio = float(morphology.angle[cell]), float(morphology.cell_ratio[cell])
    along = (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(ratio)
    across = (np.cos(angle) * y - np.sin(angle) * x) * np.sqrt(ratio)
    theta = np.arctan2(across, along)
    outline = 1 + sum(
        weight * morphology.protrusion[cell] * np.cos(k * theta + 2 * np.pi * phase)
        for k, weight, phase in zip((2, 3, 4), (1, 1, 0.6), chances[cell, 8:11], strict=True)
    )
    return float(np.hypot(along, across) / (morphology.cell_radius[cell] * max(outline, 0.6)))


def test_a_pixel_belongs_to_the_cell_in_whose_outline_it_lies_deepest():
    centres, morphology, chances = _cells(12)
    ground = divide_ground(centres, morphology, chances, side=96)
    owners = dict(zip(ground.pixel.tolist(), ground.cell.tolist(), strict=True))
    depths = dict(zip(ground.pixel.tolist(), ground.depth.tolist(), strict=True))

    for pixel in range(0, 96 * 96, 37):
        y, x = divmod(pixel, 96)
        rho = [_naive_relative_radius(y - cy, x - cx, i, morphology, chances) for i, (cy, cx) in enumerate(centres)]
        best, second = np.sort(rho)[:2]
        if abs(best - 1) < 1e-3 or second - best < 1e-3:
            continue
        assert (pixel in owners) == (best < 1)
        if pixel in owners:
            assert owners[pixel] == int(np.argmin(rho))
            assert depths[pixel] == pytest.approx(1 - best, abs=1e-3)


def test_the_edge_lies_half_way_between_two_cells():
    _, morphology, chances = _cells(2)
    same = replace(
        morphology,
        cell_radius=np.full(2, 20, np.float32),
        cell_ratio=np.ones(2, np.float32),
        protrusion=np.zeros(2, np.float32),
    )
    ground = divide_ground(np.array([[32, 20], [32, 44]], np.float32), same, chances, side=64)

    row = {pixel % 64: edge for pixel, edge in zip(ground.pixel, ground.edge, strict=True) if pixel // 64 == 32}

    assert row[20] == pytest.approx(12, abs=1e-3)
    assert row[31] == pytest.approx(1, abs=1e-3)
    assert row[32] == pytest.approx(0, abs=1e-3)
    assert row[44] == pytest.approx(12, abs=1e-3)
    assert row[5] == pytest.approx(5, abs=1e-3)


def test_a_single_cell_has_the_area_of_its_ellipse():
    _, morphology, chances = _cells(1)
    ellipse = replace(
        morphology,
        cell_radius=np.array([20], np.float32),
        cell_ratio=np.array([1.8], np.float32),
        protrusion=np.zeros(1, np.float32),
    )

    ground = divide_ground(np.array([[48, 48]], np.float32), ellipse, chances, side=96)

    assert len(ground.pixel) == pytest.approx(np.pi * 400, rel=0.02)


def test_cells_outside_the_frame_claim_nothing():
    _, morphology, chances = _cells(2)

    ground = divide_ground(np.array([[-200, 10], [500, 500]], np.float32), morphology, chances, side=64)

    assert len(ground.pixel) == 0


def test_coordinates_are_relative_to_the_owner():
    centres, morphology, chances = _cells(6, seed=3)

    ground = divide_ground(centres, morphology, chances, side=96)

    np.testing.assert_allclose(ground.y + centres[ground.cell, 0], ground.pixel // 96, atol=1e-4)
    np.testing.assert_allclose(ground.x + centres[ground.cell, 1], ground.pixel % 96, atol=1e-4)
