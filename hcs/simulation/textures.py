"""The fine structure of cells as periodic maps, made once a process from a fixed seed.

A cell shows a piece of each map, at an offset and an angle of its own, so that no two cells are alike and no map has to
be made for a site.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

SIDE: Final = 512
"""Pixels; a power of two."""
_SEED: Final = 20130901

Map = NDArray[np.float32]


class Textures(NamedTuple):
    """Periodic maps, each (SIDE, SIDE) float32, first axis across and second along the cell.

    `chromatin` and `seeding` have mean 0 and standard deviation 1; the others are positive with mean 1.
    """

    chromatin: Map
    """Grains of condensed chromatin."""
    reticulum: Map
    """The network of the ER."""
    grain: Map
    """Granular cytoplasm: ribosomes, vesicles of plasma membrane and Golgi."""
    fibres: Map
    """Bundles of actin along the cell."""
    tubules: Map
    """Long mitochondria."""
    granules: Map
    """Short, fragmented mitochondria."""
    holes: Map
    """1 but in vacuoles, where it is 0; not of mean 1."""
    seeding: Map
    """Smooth: where cells like to settle."""


@lru_cache(maxsize=1)
def textures() -> Textures:
    """Return the maps."""
    rng = np.random.Generator(np.random.PCG64(_SEED))
    network = _field(rng, along=6.0, across=5.0)
    worms = _field(rng, along=16.0, across=9.0)
    breaks = _field(rng, along=30.0, across=14.0)
    return Textures(
        chromatin=_field(rng, along=4.5, across=4.5),
        reticulum=_mean_one(0.35 + np.exp(-((network / 0.5) ** 2)) + 0.25 * _bumps(_field(rng, along=4.0, across=4.0))),
        grain=_mean_one(0.8 + 0.8 * _bumps(_field(rng, along=4.0, across=4.0))),
        fibres=_mean_one(
            0.25 + _bumps(_field(rng, along=55.0, across=4.5)) + _bumps(_field(rng, along=30.0, across=8.0))
        ),
        tubules=_mean_one(0.1 + np.exp(-((worms / 0.32) ** 2)) / (1.0 + np.exp(-8.0 * (breaks + 0.5)))),
        granules=_mean_one(0.12 + _bumps(_field(rng, along=5.0, across=5.0)) ** 2),
        holes=np.clip(4.0 - 4.0 * _field(rng, along=9.0, across=9.0), 0.0, 1.0).astype(np.float32),
        seeding=_field(rng, along=200.0, across=200.0),
    )


def _field(rng: np.random.Generator, *, along: float, across: float) -> Map:
    """Return a periodic Gaussian random field of mean 0 and standard deviation 1 with waves of these lengths in pixels.

    Waves are band-passed: their spectrum is a ring of log-normal profile, stretched to an ellipse where the lengths
    differ.
    """
    noise = rng.standard_normal((SIDE, SIDE))
    rows = fft.fftfreq(SIDE)[:, None] * across
    columns = fft.rfftfreq(SIDE)[None, :] * along
    radius = np.hypot(rows, columns)
    radius[0, 0] = np.inf
    ring = np.exp(-0.5 * (np.log(radius) / 0.35) ** 2)
    filtered = fft.irfft2(fft.rfft2(noise) * ring, s=(SIDE, SIDE))
    field: Map = ((filtered - filtered.mean()) / filtered.std()).astype(np.float32)
    return field


def _bumps(waves: Map) -> Map:
    """Return the crests of waves, smoothly cut off below their mean."""
    crests: Map = np.logaddexp(0.0, 3.0 * (waves - 0.4)).astype(np.float32)
    return crests


def _mean_one(values: Map) -> Map:
    scaled: Map = (values / values.mean()).astype(np.float32)
    return scaled
