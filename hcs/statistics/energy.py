"""The energy distance of replicates from the controls of their plates, and how surprising it is.

Szekely and Rizzo 2013, J Stat Plan Inference 143:1249: twice the mean distance between the two sets, less the mean
distances within each; 0 if and only if the distributions are the same. The E-test deals the replicates over the wells
of their plates, as the joint design permutation does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout, all_designs, draw_designs

MAX_EXACT_DESIGNS = 20_000
N_DRAWS = 999
_PAIRS_A_BLOCK = 500_000
_ROUNDING = 1e-9
"""Of an energy distance, in mean distances of the pool: what differs by less is tied."""


@dataclass(frozen=True)
class EnergyTest:
    """The outcome of one E-test."""

    distance: float
    """In the units of the profiles, at least 0."""
    p_value: float
    """Share of deals that lie at least as far, which counts the one that was made."""
    smallest_possible_p: float


def energy_test(
    profiles: NDArray[np.float64],
    plates: NDArray[np.integer],
    is_replicate: NDArray[np.bool_],
    *,
    seed: int,
    n_draws: int = N_DRAWS,
) -> EnergyTest:
    """Return how far the replicates lie from the controls of their plates.

    Each plate's replicates and controls are first centred on their common mean. Up to 20,000 deals are all looked at;
    of more, `n_draws` are drawn, which follow from the seed and the numbers of wells alone.

    Args:
        profiles: (P, D), finite; replicates and the controls of their plates.
        plates: (P,), each with at least one replicate and one control.
        is_replicate: (P,).
        seed: Of the run.
        n_draws: Deals, where not all are looked at.
    """
    order = _by_content(profiles, plates, is_replicate)
    profiles, plates, is_replicate = profiles[order], plates[order], is_replicate[order]
    starts = np.flatnonzero(np.concatenate([[True], plates[1:] != plates[:-1]]))
    sizes = np.diff(np.append(starts, len(plates)))
    means = np.add.reduceat(profiles, starts, axis=0) / sizes[:, None]
    layout = Layout(
        tuple(int(size) for size in sizes), tuple(int(n) for n in np.add.reduceat(is_replicate.astype(int), starts))
    )
    scores = _Scores(profiles - np.repeat(means, sizes, axis=0))
    observed = float(scores.of(np.flatnonzero(is_replicate).astype(np.int32)[None, :])[0])
    is_exact = layout.n_designs <= MAX_EXACT_DESIGNS
    least = observed - _ROUNDING * scores.scale
    n_at_least = sum(int((scores.of(deals) >= least).sum()) for deals in _deals(layout, is_exact, seed, n_draws))
    n = layout.n_designs if is_exact else 1 + n_draws
    smallest = max(1 / n, 1 / layout.n_designs)
    return EnergyTest(max(observed, 0.0), max((n_at_least + (not is_exact)) / n, smallest), smallest)


def _by_content(
    profiles: NDArray[np.float64], plates: NDArray[np.integer], is_replicate: NDArray[np.bool_]
) -> list[int]:
    """Order plates, and the wells in them, by what they contain: names and the order of rows change no deal."""
    content = [row.tobytes() for row in profiles + 0.0]
    members = {plate: sorted(np.flatnonzero(plates == plate), key=content.__getitem__) for plate in np.unique(plates)}
    keys = {
        plate: (int(is_replicate[rows].sum()), len(rows), [content[row] for row in rows])
        for plate, rows in members.items()
    }
    return [int(row) for plate in sorted(members, key=keys.__getitem__) for row in members[plate]]


def _deals(layout: Layout, is_exact: bool, seed: int, n_draws: int) -> Iterator[NDArray[np.int32]]:
    at_once = max(1, _PAIRS_A_BLOCK // sum(layout.n_drawn) ** 2)
    if is_exact:
        designs = all_designs(layout)
        for first in range(0, len(designs), at_once):
            yield designs[first : first + at_once]
        return
    rng = np.random.default_rng(np.random.SeedSequence([seed, *layout.n_drawn, *layout.n_wells]))
    for first in range(0, n_draws, at_once):
        yield draw_designs(layout, min(at_once, n_draws - first), rng)


class _Scores:
    """Energy distances of any number of deals from one matrix of distances."""

    def __init__(self, centred: NDArray[np.float64]) -> None:
        squares = np.einsum("nd,nd->n", centred, centred)
        distances = centred @ centred.T  # in place from here on: a control on 100 plates lies in a pool of 7,000 wells
        distances *= -2.0
        distances += squares[:, None]
        distances += squares
        np.fill_diagonal(distances, 0.0)
        np.maximum(distances, 0.0, out=distances)
        self._distances = np.sqrt(distances, out=distances)
        self._sums = self._distances.sum(axis=1)
        self._total = float(self._sums.sum())
        self.scale = self._total / max(len(centred) ** 2, 1)

    def of(self, deals: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return (B,) for deals (B, R)."""
        n, m = deals.shape[1], len(self._sums) - deals.shape[1]
        within = self._distances[deals[:, :, None], deals[:, None, :]].sum(axis=(1, 2))
        between = self._sums[deals].sum(axis=1) - within
        among_others = self._total - 2 * between - within
        return np.asarray(2 * between / (n * m) - within / n**2 - among_others / m**2)
