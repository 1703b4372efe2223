"""Whether where a well stands makes a difference: a permutation test over all features at once.

The statistic is the sum of squares between places: between rows plus between columns, or between positions. Wells are
dealt anew over the places of their own stratum (a plate, and there controls apart from other wells), which is exact if,
without an effect of position, wells of a stratum are exchangeable. It is the permutational analysis of variance of
M. J. Anderson 2001, Austral Ecol 26:32, with Euclidean distances and restricted permutations; the +1 in the p-value is
that of B. Phipson and G. K. Smyth 2010, Stat Appl Genet Mol Biol 9:39.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh

N_DRAWS = 999
N_COMPONENTS = 32
"""Of the standardized values; they hold what wells vary along, and keep a draw cheap."""
_TIE = 1e-9


def position_p_value(
    values: NDArray[np.floating],
    factors: Sequence[NDArray[np.intp]],
    strata: NDArray[np.intp],
    *,
    rng: np.random.Generator,
    n_draws: int = N_DRAWS,
) -> float:
    """Return the share of dealings, the observed one included, that separate places at least as well as the observed.

    Args:
        values: (N, D), finite.
        factors: Each (N,), which place a well has: its row and its column, or its position.
        strata: (N,), wells are exchanged within these.
        rng: For the dealings.
        n_draws: Of dealings.

    Returns:
        In [1 / (n_draws + 1), 1]; 1 where nothing varies.
    """
    scores = _components(_centred(values, strata))
    totals = sparse.vstack([_means(factor) for factor in factors]).tocsr()

    def separation(order: NDArray[np.intp]) -> float:
        return float((np.asarray(totals @ scores[order]) ** 2).sum())

    observed = separation(np.arange(len(scores)))
    if observed <= 0.0:
        return 1.0
    names, first = np.unique(strata, return_index=True)
    blocks = [np.flatnonzero(strata == stratum) for stratum in names[np.argsort(first)]]  # whatever the names are
    n_as_high = sum(separation(_dealt(blocks, len(scores), rng)) >= observed * (1 - _TIE) for _ in range(n_draws))
    return (1 + n_as_high) / (1 + n_draws)


def _dealt(blocks: Sequence[NDArray[np.intp]], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    order = np.empty(n, dtype=np.intp)
    for block in blocks:
        order[block] = rng.permutation(block)
    return order


def _means(factor: NDArray[np.intp]) -> sparse.csr_matrix:
    """Return the matrix of sums over each place divided by the root of its wells: squared, it is what is between."""
    _, place = np.unique(factor, return_inverse=True)
    n_wells = np.bincount(place)
    weights = 1.0 / np.sqrt(n_wells[place])
    return sparse.csr_matrix((weights, (place, np.arange(len(factor)))), shape=(len(n_wells), len(factor)))


def _centred(values: NDArray[np.floating], strata: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the values less the mean of their stratum, each feature with standard deviation 1, or 0."""
    centred = np.asarray(values, dtype=np.float64).copy()
    for stratum in np.unique(strata):
        centred[strata == stratum] -= centred[strata == stratum].mean(axis=0)
    deviation = centred.std(axis=0)
    is_rounding = deviation <= 1e-12 * np.abs(values).max(axis=0)
    return np.where(is_rounding, 0.0, centred / np.where(is_rounding, 1.0, deviation))


def _components(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores of the leading components, which do not depend on where wells stand, (N, K)."""
    n, d = centred.shape
    if min(n, d) <= N_COMPONENTS:
        return centred
    if d <= n:
        _, directions = eigh(centred.T @ centred, subset_by_index=(d - N_COMPONENTS, d - 1))
        return np.asarray(centred @ directions)
    squares, scores = eigh(centred @ centred.T, subset_by_index=(n - N_COMPONENTS, n - 1))
    return np.asarray(scores * np.sqrt(np.maximum(squares, 0.0)))
