"""The null of copairs 0.5.5: random rankings of as many positives among as many negatives, one treatment at a time.

It is here for parity. It knows the number of positives and negatives of a query and nothing of the wells; all
replicates of a treatment share one draw, so that its spread is that of a single average precision and p is far too
large (`hcs.statistics.permutation` is the null that keeps its promise). Unlike there, the draws of a configuration do
not depend on which other configurations there are, or on what was asked before.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout, draw_designs
from hcs.statistics.query_precision import means_of_treatments

NULL_SIZE = 10_000
_FEW = 32
"""Up to so many positives are drawn one after another, each compared with those before."""
_DRAWN_AT_ONCE = 4_000_000


@lru_cache(maxsize=256)
def null_average_precisions(n_positives: int, n_total: int, *, size: int, seed: int) -> NDArray[np.float32]:
    """Return the average precisions of random rankings, (size,), float32 as copairs keeps them; not to be written to.

    Args:
        n_positives: At least one.
        n_total: Positives and negatives.
        size: How many rankings.
        seed: The draws follow from it and the two numbers.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, n_positives, n_total]))
    places = np.arange(1, n_positives + 1, dtype=np.float32)
    drawn = np.empty(size, dtype=np.float32)
    step = max(1, _DRAWN_AT_ONCE // n_total)
    for start in range(0, size, step):
        n = min(step, size - start)
        ranks = np.sort(_ranks(n_positives, n_total, n, rng), axis=1) + 1
        drawn[start : start + n] = (places / ranks.astype(np.float32)).sum(axis=1) / n_positives
    drawn.flags.writeable = False
    return drawn


def _ranks(n_positives: int, n_total: int, n: int, rng: np.random.Generator) -> NDArray[np.integer]:
    if n_positives <= _FEW:
        return draw_designs(Layout((n_total,), (n_positives,)), n, rng)
    return np.argpartition(rng.random((n, n_total)), n_positives - 1, axis=1)[:, :n_positives]


def configuration_p_values(
    precisions: NDArray[np.float64],
    treatments: NDArray[np.integer],
    configurations: NDArray[np.integer],
    *,
    n_treatments: int,
    seed: int,
    size: int = NULL_SIZE,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean average precision of each treatment and its p-value, (T,) twice, NaN without a query.

    p is (1 + k) / (1 + size), where k of the null's means are larger: strictly, as in copairs, so that a perfect score
    has the smallest p whatever the layout.

    Args:
        precisions: (Q,), average precision of each query; NaN for one without positives or negatives.
        treatments: (Q,), 0 to T - 1.
        configurations: (Q, 2), number of positives, and of positives and negatives.
        n_treatments: T.
        seed: Of the run.
        size: Draws of each configuration.
    """
    means = means_of_treatments(precisions, treatments, n_treatments)
    scored = np.flatnonzero(~np.isnan(precisions))
    # Sorted, so that treatments whose queries have the same configurations are of one kind.
    order = scored[np.lexsort((configurations[scored, 1], configurations[scored, 0], treatments[scored]))]
    counts = np.bincount(treatments[order], minlength=n_treatments)
    p_values = np.full(n_treatments, np.nan)
    by_kind: dict[bytes, list[int]] = {}
    for treatment, start in zip(np.flatnonzero(counts), _starts(counts), strict=True):
        kind = configurations[order[start : start + counts[treatment]]]
        by_kind.setdefault(np.ascontiguousarray(kind, dtype=np.int64).tobytes(), []).append(int(treatment))
    for key, members in by_kind.items():
        kind = np.frombuffer(key, dtype=np.int64).reshape(-1, 2)
        rows = [null_average_precisions(int(m), int(n), size=size, seed=seed) for m, n in kind]
        null = np.sort(np.stack(rows).mean(axis=0))
        n_larger = size - np.searchsorted(null, means[members].astype(np.float32), side="right")
        p_values[members] = (1 + n_larger) / (1 + size)
    return means, p_values


def _starts(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    return np.asarray((np.cumsum(counts) - counts)[counts > 0])
