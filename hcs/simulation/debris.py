"""Draws what does not belong into a well: fibres and crumbs that shine in every channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.library import CHANNELS


def scatter_debris(rng: np.random.Generator, *, n_pieces: int, side: int) -> NDArray[np.float32]:
    """Return the light of debris, (5, side, side): bent fibres, each with a crumb at one end, of random colour."""
    light = np.zeros((len(CHANNELS), side, side), dtype=np.float32)
    for _ in range(n_pieces):
        colour = rng.uniform(0.5, 4.0, len(CHANNELS)).astype(np.float32)
        light += colour[:, None, None] * _fibre(rng, side)
    return light


def _fibre(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Return one fibre, (side, side), as a smooth random walk of stamps two pixels wide."""
    n_steps = int(rng.integers(40, 160))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(0.12 * rng.standard_normal(n_steps))
    path = rng.uniform(0, side, (2, 1)) + np.cumsum([np.sin(heading), np.cos(heading)], axis=1)
    axis = np.arange(side)
    rows, columns = (np.exp(-0.5 * (axis[:, None] - line[None, :]) ** 2) for line in path)
    crumb = 3.0 * np.exp(-((axis[:, None] - path[0, 0]) ** 2 + (axis[None, :] - path[1, 0]) ** 2) / 18.0)
    return np.asarray(np.minimum(np.einsum("ys,xs->yx", rows, columns), 1.0) + crumb, dtype=np.float32)
