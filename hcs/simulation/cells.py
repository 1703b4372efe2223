"""Seeds cells in a field and gives each its phenotype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.library import AXES, N_AXES
from hcs.simulation.morphology import N_CHANCES
from hcs.simulation.textures import SIDE, textures

MARGIN: Final = 26
"""Pixels around a field in which cells are seeded too, since they reach into it."""
_DISTANCE: Final = 17.0
"""Least distance of the centres of two cells in pixels, where there is room."""
_CLUSTERING: Final = 0.7
"""Standard deviation, over the ground, of the logarithm of how many cells settle."""
_COMMON: Final = np.array(
    [
        axis in {"cell_spread", "nuclear_area", "er_amount", "cytoplasmic_rna", "mito_amount", "nucleoli"}
        for axis in AXES
    ],
    dtype=np.float64,
)
"""Large cells have much of everything: these axes vary together, the others on their own."""
_COMMON_SHARE: Final = 0.3
"""Of the variance between cells on those axes, what they share."""
_HETEROGENEITY: Final = 0.3
"""Standard deviation, over cells, of the logarithm of how strongly one responds to a compound."""


@dataclass(frozen=True)
class Cells:
    """The cells of a field and of a margin around it.

    `centres` is (N, 2) float32, (y, x) in pixels of the field, also outside of it; `phenotypes` is (N, 16) along
    `AXES`; `chances` is (N, 24), uniform in [0, 1).
    """

    centres: NDArray[np.float32]
    phenotypes: NDArray[np.float64]
    chances: NDArray[np.float64]

    def within(self, site_px: int) -> Cells:
        """Return the cells that have their centre in the field."""
        inside = np.all((self.centres >= 0) & (self.centres < site_px), axis=1)
        return Cells(self.centres[inside], self.phenotypes[inside], self.chances[inside])


def seed_cells(rng: np.random.Generator, *, expected: float, site_px: int) -> NDArray[np.float32]:
    """Return centres of cells, (N, 2) as (y, x), on a field and its margin: clustered, and not on top of each other.

    Args:
        rng: Where the positions come from.
        expected: Cells with their centre in the field, on average; their number is Poisson distributed.
        site_px: Side of the field.
    """
    side = site_px + 2 * MARGIN
    n = int(rng.poisson(expected * (side / site_px) ** 2))
    density = np.exp(_CLUSTERING * textures().seeding)
    corner = rng.integers(0, SIDE, size=2)
    n_candidates = 60 + 12 * n
    candidates = rng.random((n_candidates, 2)) * side
    rows, columns = ((candidates + corner).astype(np.int64) % SIDE).T
    settles = rng.random(n_candidates) * 2.0 < density[rows, columns]
    return (_spaced(candidates[settles], n) - MARGIN).astype(np.float32)


def _spaced(candidates: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return up to n of the candidates, the first that keep their distance; where there is no room they move closer."""
    kept = np.full((n, 2), np.inf)
    n_kept, distance, left = 0, _DISTANCE, candidates
    while n_kept < n and len(left):
        is_used = np.zeros(len(left), dtype=bool)
        for index, candidate in enumerate(left):
            if n_kept == n:
                break
            gaps = kept[:n_kept] - candidate
            if not n_kept or np.einsum("ij,ij->i", gaps, gaps).min() >= distance**2:
                kept[n_kept], is_used[index] = candidate, True
                n_kept += 1
        left, distance = left[~is_used], distance * 0.85
    return kept[:n_kept]


def grow_cells(
    rng: np.random.Generator,
    centres: NDArray[np.float32],
    *,
    response: NDArray[np.float64],
    surroundings: NDArray[np.float64],
) -> Cells:
    """Return cells at these centres with phenotypes around what their well does to them.

    Args:
        rng: Where cells differ from each other. It is used in the same way whatever the response.
        centres: (N, 2).
        response: (16,), the mean shift by the treatment; cells respond more or less.
        surroundings: (16,), what well, plate and batch add to every cell.
    """
    n = len(centres)
    own, common = rng.standard_normal((n, N_AXES)), rng.standard_normal((n, 1))
    strength = np.exp(_HETEROGENEITY * rng.standard_normal((n, 1)) - 0.5 * _HETEROGENEITY**2)
    noise = np.sqrt(1.0 - _COMMON_SHARE * _COMMON) * own + np.sqrt(_COMMON_SHARE) * _COMMON * common
    chances = rng.random((n, N_CHANCES))
    return Cells(centres=centres, phenotypes=noise + surroundings + strength * response, chances=chances)
