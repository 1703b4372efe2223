"""Reduction and whitening, fitted on all wells with what they hold ignored.

Wells differ most along a few directions that have little to do with what was done to them (how many cells, how bright a
stain), and cosine similarity of plain z profiles sees little else. Whitening gives quieter directions a say.

The fit looks at wells of all plates alike, controls and treatments, so it is the same however labels are dealt:
a permutation test stays exact, and directions that only treatments have are not lost, as they are in a fit on
controls. The price is that a phenotype that many wells share counts as ordinary variation and is shrunk. A ridge as
large as the mean kept variance bounds that price: no direction is divided by less than its root, so the strongest are
whitened and the weakest keep their proportions. Less of a ridge finds more in screens with many toxic wells, but brings
the share of inactive treatments with p < .05 from .05-.06 to .06-.07. `benchmarks/profile_choices.py` compares the
choices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from hcs.errors import InputRejectedError
from hcs.profiling.row_order import order_by_content

MOST_COMPONENTS = 128

WELLS_PER_COMPONENT = 4
"""Fewer wells a component than this, and the last directions are fitted noise."""

RIDGE = 1.0
"""Added to every variance, in units of the mean variance of the kept components."""

_RANK = 1e-10
"""Variances below this share of the largest are rounding."""

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Whitening:
    """A fitted linear map from K normalized features to k whitened components."""

    projection: NDArray[np.float64]
    """(K, k). Columns in falling order of variance; the largest entry of each, in size, is positive."""
    variances: NDArray[np.float64]
    """(k,), of the components before they were scaled."""
    ridge: float
    """Added to the variances: a component is divided by the root of their sum."""
    n_wells: int
    """How many wells it was fitted on."""


def n_components_for(n_wells: int, n_features: int) -> int:
    """Return how many components are kept: one for every 4 wells, at most 128, at most as many as features."""
    return max(1, min(MOST_COMPONENTS, n_wells // WELLS_PER_COMPONENT, n_features))


def whiten(z: NDArray[np.float64], *, is_fitted: NDArray[np.bool_]) -> tuple[NDArray[np.float64], Whitening]:
    """Return the whitened components of every well, and the map that made them.

    Principal components of the fitted wells about their mean, component j divided by sqrt(variance_j + ridge), ridge
    the mean variance of the kept components. Components are taken of the profiles as they are, not of their distance
    from the mean, so the origin stays what it was, the median control.

    Args:
        z: (W, K), normalized, finite.
        is_fitted: (W,), the wells that are fitted on: all but empty ones, whatever was done to them.

    Returns:
        (W, k), float64, and the fit. The same bits for any order of the rows.

    Raises:
        InputRejectedError: If fewer than two wells are fitted, or they are all the same.
    """
    order, position = order_by_content(z)
    rows = np.asarray(z, dtype=np.float64)[order]
    fitted = fit_whitening(rows[is_fitted[order]])
    return (rows @ fitted.projection)[position], fitted


def fit_whitening(z: NDArray[np.float64]) -> Whitening:
    """Return the whitening of these wells, whose order matters to the last bits.

    Args:
        z: (W, K), all of them are fitted on.

    Raises:
        InputRejectedError: If there are fewer than two wells, or they are all the same.
    """
    n_wells, n_features = z.shape
    if n_wells < 2 or (z == z[0]).all():
        raise InputRejectedError(
            f"whitening needs wells that differ from each other, but {n_wells} wells without any difference came; "
            "turn it off with `profile: {correct: none}`"
        )
    variances, directions = _principal_components(z, n_components_for(n_wells, n_features))
    ridge = RIDGE * float(variances.mean())
    return Whitening(directions / np.sqrt(variances + ridge), variances, ridge, n_wells)


def _principal_components(z: NDArray[np.float64], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the k largest variances, falling, and their unit directions, (K, k), without those that are rounding."""
    n_wells, n_features = z.shape
    mean = z.mean(axis=0)
    if n_wells < n_features:
        centred = z - mean
        squares, vectors = _largest_eigenpairs(centred @ centred.T, k)
        directions = centred.T @ (vectors / np.sqrt(squares))
    else:
        squares, directions = _largest_eigenpairs(_scatter(z, mean), k)
    return squares / max(n_wells - 1, 1), directions * _signs(directions)


def _scatter(z: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of outer products about the mean, (K, K), without a centred copy of all wells."""
    scatter = np.zeros((z.shape[1], z.shape[1]))
    for start in range(0, len(z), _ROWS_AT_ONCE):
        centred = z[start : start + _ROWS_AT_ONCE] - mean
        scatter += centred.T @ centred
    return scatter


def _largest_eigenpairs(symmetric: NDArray[np.float64], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=[n - k, n - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > _RANK * max(values[0], 0.0)
    return values[kept], vectors[:, kept]


def _signs(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the signs that make each column's largest entry, in size, positive."""
    largest = np.abs(directions).argmax(axis=0)
    return np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
