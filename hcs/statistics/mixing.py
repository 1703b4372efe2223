"""How well batches are mixed: local diversity of neighbours, and what of the variance lies between batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.similarity import unit_rows

PERPLEXITY = 30.0
"""Of the neighbourhood, as Korsunsky et al. 2019 use it."""
_STEPS = 50
"""Bisections of a kernel's width: its entropy is then right to rounding."""
_BLOCK = 2_000_000
"""Similarities held at once: 16 MB a matrix."""
_FEWEST_WELLS = 4
"""Fewer have no neighbourhood to speak of."""


@dataclass(frozen=True)
class Neighbourhoods:
    """The nearest wells of each of W wells, and how much each counts."""

    rows: NDArray[np.intp]
    """(W, K)."""
    weights: NDArray[np.float64]
    """(W, K), sums of rows are 1."""


def neighbourhoods(profiles: NDArray[np.floating], *, perplexity: float = PERPLEXITY) -> Neighbourhoods:
    """Return each well's nearest others, weighted by a Gaussian kernel of this perplexity.

    Three times `perplexity` of them with the well itself, which is then left out, as in Korsunsky et al. 2019. Distance
    is between rows at length 1, in the order of cosine similarity. With fewer wells, the perplexity is a third of their
    number; no neighbour at all for fewer than four.

    Args:
        profiles: (W, D), finite.
        perplexity: Effective number of neighbours.
    """
    n_wells = len(profiles)
    n_near = min(n_wells, int(3 * perplexity)) - 1 if n_wells >= _FEWEST_WELLS else 0
    rows, weights = np.empty((n_wells, n_near), dtype=np.intp), np.empty((n_wells, n_near))
    if not n_near:
        return Neighbourhoods(rows, weights)
    units, _ = unit_rows(np.asarray(profiles, dtype=np.float64))
    step = max(1, _BLOCK // n_wells)
    for first in range(0, n_wells, step):
        block = np.arange(first, min(first + step, n_wells))
        near = units[block] @ units.T
        near[np.arange(len(block)), block] = -np.inf
        rows[block] = np.argpartition(-near, n_near - 1, axis=1)[:, :n_near]
        squares = np.maximum(2 - 2 * np.take_along_axis(near, rows[block], axis=1), 0.0)
        weights[block] = _kernel(np.sqrt(squares), min(perplexity, (n_near + 1) / 3))
    return Neighbourhoods(rows, weights)


def local_diversity(near: Neighbourhoods, batches: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return how many batches a well's neighbourhood effectively holds, (W,): 1 if it is all of one, B if all alike.

    The local inverse Simpson's index (LISI; Korsunsky et al. 2019, Nat Methods 16:1289): 1 over the sum of squared
    shares of batches. NaN where there is no neighbourhood.

    Args:
        near: Of the wells.
        batches: (W,), any numbers.
    """
    if not near.rows.shape[1]:
        return np.full(len(batches), np.nan)
    shares = attraction(near, batches)
    diversity: NDArray[np.float64] = 1 / np.square(shares).sum(axis=1)
    return diversity


def attraction(near: Neighbourhoods, groups: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return what share of a well's neighbourhood is of each group, (W, G), groups in rising order of their number."""
    names, numbers = np.unique(groups, return_inverse=True)
    shares = np.zeros((len(near.rows), len(names)))
    for number in range(len(names)):
        shares[:, number] = np.where(numbers[near.rows] == number, near.weights, 0.0).sum(axis=1)
    return shares


def _kernel(distances: NDArray[np.float64], perplexity: float) -> NDArray[np.float64]:
    """Return weights (B, K) that sum to 1 in a row and have this perplexity: exp(-beta d), beta found by bisection."""
    closest = distances.min(axis=1, keepdims=True)
    scale = np.maximum((distances - closest).mean(axis=1, keepdims=True), 1e-12)
    offset = (distances - closest) / scale
    low, high = np.zeros((len(distances), 1)), np.full((len(distances), 1), 1e6)
    beta = np.ones_like(low)
    for _ in range(_STEPS):
        weights = np.exp(-beta * offset)
        weights /= weights.sum(axis=1, keepdims=True)
        entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1, keepdims=True)
        is_wide = entropy > np.log(perplexity)
        low, high = np.where(is_wide, beta, low), np.where(is_wide, high, beta)
        beta = np.where(high >= 1e6, 2 * beta, (low + high) / 2)
    kernel: NDArray[np.float64] = weights
    return kernel


def even_diversity(batches: NDArray[np.integer]) -> float:
    """Return what `local_diversity` is where every neighbourhood is a fair sample of all wells."""
    _, counts = np.unique(batches, return_counts=True)
    return float(1 / ((counts / counts.sum()) ** 2).sum()) if len(counts) else float("nan")


def variance_between(profiles: NDArray[np.floating], batches: NDArray[np.integer]) -> float:
    """Return the share of the variance that the batch of a well explains, corrected for chance; about 0 if none.

    Principal-component regression (Buettner et al. 2019, Nat Methods 16:43): each component's R2 on the batch, weighted
    by its variance. Over all components that is the sum of squares between batches over the total one, and no component
    has to be computed. The correction is that of an adjusted R2. NaN where nothing varies or wells are too few.

    Args:
        profiles: (W, D), finite.
        batches: (W,), any numbers.
    """
    names, numbers, counts = np.unique(batches, return_inverse=True, return_counts=True)
    n_wells = len(profiles)
    if n_wells <= len(names):
        return float("nan")
    values = np.asarray(profiles, dtype=np.float64)
    mean = values.mean(axis=0)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, numbers, values - mean)
    total = float(np.square(values - mean).sum())
    if not total:
        return float("nan")
    explained = float((np.square(sums) / counts[:, None]).sum()) / total
    return 1 - (1 - explained) * (n_wells - 1) / (n_wells - len(names))
