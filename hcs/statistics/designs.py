"""The designs of a layout: every way to deal a treatment's replicates over the wells of its plates.

A plate of the layout has `n_wells` wells in the pool, of which `n_drawn` are the treatment's. Wells are numbered from 0
plate after plate; a design is the sorted-by-plate list of the wells that are drawn, R = sum of `n_drawn` in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

_KEYS = 8
"""Where the square of the drawn wells is more than so many times all wells, random keys are faster."""
_KEYS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Layout:
    """How many wells the pool has on each plate, and how many of them are the treatment's."""

    n_wells: tuple[int, ...]
    n_drawn: tuple[int, ...]

    @property
    def n_designs(self) -> int:
        """Number of distinct designs, the observed one included."""
        return prod(comb(wells, drawn) for wells, drawn in zip(self.n_wells, self.n_drawn, strict=True))

    @property
    def n_controls(self) -> tuple[int, ...]:
        """Wells of each plate that are not the treatment's."""
        return tuple(wells - drawn for wells, drawn in zip(self.n_wells, self.n_drawn, strict=True))

    @property
    def first_wells(self) -> tuple[int, ...]:
        """Number of each plate's first well."""
        return tuple(int(first) for first in np.cumsum((0, *self.n_wells))[:-1])


def layout_of(control_plates: NDArray[np.integer], replicate_plates: NDArray[np.integer]) -> Layout:
    """Return the layout of a treatment's replicates (R,) and the controls beside them (C,); others do not count."""
    names, counts = np.unique(replicate_plates, return_counts=True)
    n_controls = np.array([np.count_nonzero(control_plates == name) for name in names])
    return Layout(tuple((n_controls + counts).tolist()), tuple(counts.tolist()))


def all_designs(layout: Layout) -> NDArray[np.int32]:
    """Return every design once: (n_designs, R) int32."""
    per_plate = [
        np.array(list(combinations(range(first, first + wells), drawn)), dtype=np.int32)
        for first, wells, drawn in zip(layout.first_wells, layout.n_wells, layout.n_drawn, strict=True)
    ]
    return reduce(_every_pair, per_plate)


def _every_pair(left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.hstack([np.repeat(left, len(right), axis=0), np.tile(right, (len(left), 1))])


def draw_designs(layout: Layout, n_draws: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return designs drawn uniformly and independently: (n_draws, R) int32."""
    per_plate = [
        first + _draw_wells(wells, drawn, n_draws, rng)
        for first, wells, drawn in zip(layout.first_wells, layout.n_wells, layout.n_drawn, strict=True)
    ]
    return np.hstack(per_plate)


def _smallest_of_keys(n_wells: int, n_drawn: int, n_draws: int, rng: np.random.Generator) -> NDArray[np.int32]:
    drawn = np.empty((n_draws, n_drawn), dtype=np.int32)
    step = max(1, _KEYS_AT_ONCE // n_wells)
    for start in range(0, n_draws, step):
        keys = rng.random((min(step, n_draws - start), n_wells))
        drawn[start : start + step] = np.argpartition(keys, n_drawn - 1, axis=1)[:, :n_drawn]
    return drawn


def _draw_wells(n_wells: int, n_drawn: int, n_draws: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return `n_drawn` distinct wells a draw, (n_draws, n_drawn).

    Few by Floyd's algorithm (Bentley and Floyd 1987, CACM 30:754), whose time grows with the square of their number;
    many as those of the smallest random keys.
    """
    if n_drawn**2 > _KEYS * n_wells:
        return _smallest_of_keys(n_wells, n_drawn, n_draws, rng)
    drawn = np.empty((n_draws, n_drawn), dtype=np.int32)
    for column, last in enumerate(range(n_wells - n_drawn, n_wells)):
        wells = rng.integers(0, last + 1, size=n_draws, dtype=np.int32)
        is_taken = (drawn[:, :column] == wells[:, None]).any(axis=1)
        drawn[:, column] = np.where(is_taken, last, wells)
    return drawn
