"""Images with known truth, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from hcs.imaging.survey import PlateSurvey


@dataclass(frozen=True)
class Field:
    """A field of nuclei, and how many of them have their centre inside."""

    pixels: NDArray[np.uint16]
    n_nuclei: int


def draw_field(
    seed: int,
    *,
    side: int = 256,
    n_nuclei: int = 40,
    diameter: float = 14.0,
    touching: float = 0.2,
    contrast: float = 1500.0,
    background: float = 300.0,
    read_noise: float = 20.0,
    illumination: NDArray[np.floating[Any]] | None = None,
) -> Field:
    """Draw ellipses that nearly touch but do not overlap, on a frame that is wider than the field by two diameters."""
    rng = np.random.default_rng(seed)
    margin = round(2 * diameter)
    frame = side + 2 * margin
    light = np.zeros((frame, frame))
    centres = _place(rng, frame, round(n_nuclei * (frame / side) ** 2), diameter, touching)
    for row, column, radius in centres:
        _add_ellipse(light, rng, row, column, radius)
    texture = ndimage.gaussian_filter(rng.standard_normal(light.shape), diameter / 8)
    light *= 1 + 0.15 * texture / texture.std()
    light = ndimage.gaussian_filter(light, 1.0)
    grey = background + contrast * light[margin:-margin, margin:-margin]
    if illumination is not None:
        grey = grey * illumination
    noisy = rng.poisson(np.maximum(grey, 0)) + rng.normal(0, read_noise, grey.shape)
    inside = [margin <= row < margin + side and margin <= column < margin + side for row, column, _ in centres]
    return Field(pixels=np.clip(np.rint(noisy), 0, 65535).astype(np.uint16), n_nuclei=sum(inside))


def _place(
    rng: np.random.Generator, frame: int, n: int, diameter: float, touching: float
) -> list[tuple[float, float, float]]:
    placed: list[tuple[float, float, float]] = []
    for _ in range(50 * n):
        if len(placed) == n:
            break
        radius = diameter / 2 * rng.lognormal(0, 0.12)
        row, column = rng.uniform(0, frame, 2)
        room = 1.15
        if placed and rng.random() < touching:
            neighbour = placed[rng.integers(len(placed))]
            angle, distance = rng.uniform(0, 2 * np.pi), (neighbour[2] + radius) * rng.uniform(0.95, 1.05)
            row, column = neighbour[0] + distance * np.sin(angle), neighbour[1] + distance * np.cos(angle)
            room = 0.93
        if all(np.hypot(row - other[0], column - other[1]) >= room * (radius + other[2]) for other in placed):
            placed.append((float(row), float(column), float(radius)))
    return placed


def _add_ellipse(
    light: NDArray[np.float64], rng: np.random.Generator, row: float, column: float, radius: float
) -> None:
    stretch, angle = np.sqrt(rng.uniform(1, 1.5)), rng.uniform(0, np.pi)
    brightness = rng.lognormal(0, 0.35)
    reach = int(1.5 * radius) + 2
    top, left = max(0, int(row) - reach), max(0, int(column) - reach)
    window = light[top : int(row) + reach, left : int(column) + reach]
    y = np.arange(top, top + window.shape[0])[:, None] - row
    x = np.arange(left, left + window.shape[1])[None, :] - column
    along = (y * np.cos(angle) + x * np.sin(angle)) / stretch
    across = (x * np.cos(angle) - y * np.sin(angle)) * stretch
    np.maximum(window, brightness * np.clip(radius - np.hypot(along, across) + 0.5, 0, 1), out=window)


@pytest.fixture(scope="session")
def field() -> Callable[..., Field]:
    """Draws one field: `field(seed, side=256, n_nuclei=40, ...)`."""
    return draw_field


@pytest.fixture(scope="session")
def vignette() -> Callable[[int], NDArray[np.float64]]:
    """An illumination of mean 1 whose brightest place is off the centre, for a side."""

    def of(side: int) -> NDArray[np.float64]:
        place = (2 * np.arange(side) + 1) / side - 1
        squared = ((place[:, None] - 0.3) ** 2 + (place[None, :] + 0.2) ** 2) / 2
        light: NDArray[np.float64] = 1 - 0.3 * squared - 0.1 * squared**2
        return light / light.mean()

    return of


@pytest.fixture(scope="session")
def flat_survey() -> Callable[..., PlateSurvey]:
    """A survey that corrects nothing and scales by `low` and `high`."""

    def of(channels: int, height: int, width: int, *, low: float = 0.0, high: float = 1.0) -> PlateSurvey:
        return PlateSurvey(
            channels=tuple("ABCDEFGH"[:channels]),
            illumination=np.ones((channels, height, width), dtype=np.float32),
            low=np.full(channels, low, dtype=np.float32),
            high=np.full(channels, high, dtype=np.float32),
            n_sites=1,
            notes=(),
        )

    return of
