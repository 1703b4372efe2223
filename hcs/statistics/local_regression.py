"""Local regression on two coordinates: a surface that follows what varies slowly over a plate.

W. S. Cleveland and S. J. Devlin 1988, J Am Stat Assoc 83:596: at each place a plane is fitted to the nearest share of
the observations, weighted by the tricube of their distance. The height there is linear in the observations, so one
matrix of weights, made once for a layout, gives the surface of every feature by one product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.robust import MAD_TO_SD

SPAN = 0.6
"""Share of the observations that a place looks at; 0.5 to 0.75 is usual for plates."""

_BEYOND = 1.0 + 1e-9
"""The farthest of the nearest would get weight 0: the reach is this share of its distance."""
_RIDGE = 1e-9
_REACH = 1.345
"""Deviations that residuals are cut to, in robust standard deviations: Huber's, 95 % efficient for normal ones."""
_ROUNDS = 10


def surface_weights(
    observed: NDArray[np.floating], wanted: NDArray[np.floating], *, span: float = SPAN
) -> NDArray[np.float64]:
    """Return the matrix that turns observations into heights of the surface, (M, N); its rows add up to 1.

    Where the observations near a place lie on a line or in a point, the surface there is as flat as they leave open.

    Args:
        observed: (N, 2), where observations lie, N at least 1.
        wanted: (M, 2), where heights are wanted.
        span: Share of the observations that each place looks at, in (0, 1]; at least 3 are.
    """
    n_near = min(len(observed), max(3, int(np.ceil(span * len(observed)))))
    return np.stack([_weights_at(place, observed, n_near) for place in wanted.astype(np.float64)])


def _weights_at(place: NDArray[np.float64], observed: NDArray[np.floating], n_near: int) -> NDArray[np.float64]:
    offset = observed - place
    distance = np.hypot(offset[:, 0], offset[:, 1])
    reach = np.partition(distance, n_near - 1)[n_near - 1] * _BEYOND
    weight = np.clip(1.0 - (distance / reach) ** 3, 0.0, None) ** 3 if reach > 0 else (distance == 0).astype(np.float64)
    # A place that is as far from all of them as from the farthest sees all alike.
    if weight.sum() <= 1e-12:
        weight = (distance <= reach).astype(np.float64)
    # Least squares of smallest norm about the weighted mean: a slope that nothing determines is 0.
    mean = weight / weight.sum()
    slopes = offset / max(reach, 1.0)
    middle = mean @ slopes
    root = np.sqrt(weight)
    tilt = middle @ (np.linalg.pinv(root[:, None] * (slopes - middle), rcond=_RIDGE) * root)
    height: NDArray[np.float64] = mean - tilt + tilt.sum() * mean
    return height


def robust_heights(
    values: NDArray[np.floating], at_observed: NDArray[np.float64], at_wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the surface of every feature, (M, D), which a minority of odd observations does not bend.

    P. J. Huber 1981, Robust Statistics, 7.8: residuals beyond 1.345 robust standard deviations are cut to that, and the
    surface is fitted again to itself plus the cut residuals. The weights stay the same: each round is one product.

    Args:
        values: (N, D), finite.
        at_observed: (N, N), `surface_weights` of the observations at themselves.
        at_wanted: (M, N).
    """
    observed = np.asarray(values, dtype=np.float64)
    middle = np.median(observed, axis=0)
    pseudo = _cut(observed, np.broadcast_to(middle, observed.shape))
    for _ in range(_ROUNDS):
        pseudo = _cut(observed, at_observed @ pseudo)
    heights: NDArray[np.float64] = at_wanted @ pseudo
    return heights


def _cut(values: NDArray[np.float64], surface: NDArray[np.float64]) -> NDArray[np.float64]:
    residuals = values - surface
    scale = MAD_TO_SD * np.median(np.abs(residuals), axis=0)
    return surface + np.clip(residuals, -_REACH * scale, _REACH * scale)
