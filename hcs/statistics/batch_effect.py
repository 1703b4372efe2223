"""Whether plates of one batch lie closer together than plates of different batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

MOST_EXACT = 5_000
"""Up to so many ways of dealing batches over plates, all are tried."""
N_DRAWS = 4_999
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class BatchTest:
    """Outcome of dealing the batches over the plates again."""

    p_value: float
    """Share of deals in which plates of a batch lie at least as close, the observed one among them."""
    smallest_possible_p: float
    """What the largest conceivable batch effect would get."""


def batch_test(
    closeness: NDArray[np.float64],
    batches: NDArray[np.integer],
    strata: NDArray[np.integer],
    *,
    seed: int = 0,
) -> BatchTest:
    """Return how surprising it is that plates of one batch lie as close as they do, if only plates differ.

    Without a batch effect, plates that hold the same are exchangeable whatever each does by itself, so every way of
    dealing batches over them is as likely. The statistic is the mean closeness of two plates of a batch.

    Args:
        closeness: (P, P), of plates; the diagonal does not count.
        batches: (P,), one a plate.
        strata: (P,), plates of the same number hold the same and may be exchanged.
        seed: Of the deals that are drawn where there are too many to try all.
    """
    apart = closeness + closeness.T
    np.fill_diagonal(apart, 0.0)
    observed = _together(batches)
    if not observed.any():
        return BatchTest(1.0, 1.0)
    score = float((apart * observed).sum())
    n_deals = n_as_close = n_same = 0
    for dealt in _deals(batches, strata, seed=seed):
        together = _together(dealt)
        n_deals += 1
        n_as_close += float((apart * together).sum()) >= score - _TOLERANCE * max(1.0, abs(score))
        n_same += bool((together == observed).all())
    return BatchTest(n_as_close / n_deals, n_same / n_deals)


def _together(batches: NDArray[np.integer]) -> NDArray[np.bool_]:
    together: NDArray[np.bool_] = batches[:, None] == batches
    np.fill_diagonal(together, val=False)
    return together


def _deals(batches: NDArray[np.integer], strata: NDArray[np.integer], *, seed: int) -> Iterator[NDArray[np.integer]]:
    """Yield deals of the batches over the plates of each stratum, the observed one among them."""
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    if prod(_n_arrangements(batches[of]) for of in members) <= MOST_EXACT:
        for parts in product(*(list(_arrangements(tuple(sorted(batches[of].tolist())))) for of in members)):
            dealt = batches.copy()
            for of, part in zip(members, parts, strict=True):
                dealt[of] = part
            yield dealt
        return
    rng = np.random.default_rng(seed)
    yield batches
    for _ in range(N_DRAWS):
        dealt = batches.copy()
        for of in members:
            dealt[of] = rng.permutation(batches[of])
        yield dealt


def _n_arrangements(items: NDArray[np.integer]) -> int:
    _, counts = np.unique(items, return_counts=True)
    return factorial(len(items)) // prod(factorial(int(count)) for count in counts)


def _arrangements(items: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield every distinct order of the items once."""
    if not items:
        yield ()
    for item in sorted(set(items)):
        place = items.index(item)
        for rest in _arrangements(items[:place] + items[place + 1 :]):
            yield (item, *rest)
