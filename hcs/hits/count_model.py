"""What the number of cells alone does to a profile: a smooth curve through all wells, whatever was done to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BANDWIDTH = 0.45
"""Half width of the neighbourhood that a point of the curve is fitted to, in square roots of the count ratio. It
reaches from wells with half of the cells to those with all of them: a line through a few killers alone errs by more
than what their counts do."""
MIN_NEIGHBOURS, MAX_NEIGHBOURS = 20, 2_000
"""A neighbourhood with fewer wells is widened until it holds as many, one with more is narrowed."""
_GRID_STEP = 0.05
_N_REWEIGHTINGS = 3
_OUTLIER_LENGTHS = 2.0
"""A well this many median residual lengths off the curve has no say: many dimensions make lengths very alike."""
_SLOPE_PENALTY = 1e-9
_ROUNDING = 1e-6
"""Residuals that are shorter than this share of the profiles say nothing about who is aberrant."""
_MAX_GROUPS = 20
_NARROWEST = 1e-9
"""For wells that all have the same count."""


def expected_profiles(
    positions: NDArray[np.float64], profiles: NDArray[np.float64], *, at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the profile that wells with given numbers of cells have on average.

    A local linear regression with tricube weights, made robust by bisquare weights on the length of a well's residual
    (Cleveland 1979, J Am Stat Assoc 74:829, there for one feature): wells with a phenotype of their own lie further off
    the curve than the others and are left out of it where they are a minority. The curve is fitted at steps of 0.05 and
    joined by straight lines.

    Args:
        positions: (N,), square roots of the wells' count ratios. Roots make counting noise alike at all counts, and
            zero cells an ordinary number.
        profiles: (N, D).
        at: (M,), positions to return a profile for.

    Returns:
        (M, D) float64.
    """
    below = np.floor(at / _GRID_STEP).astype(np.intp)
    share = (at / _GRID_STEP - below)[:, None]
    needed = np.unique(np.concatenate([below, below + 1]))
    curve = np.stack([_local_fit(positions - step * _GRID_STEP, profiles) for step in needed])
    left, right = curve[np.searchsorted(needed, below)], curve[np.searchsorted(needed, below + 1)]
    return np.asarray(left * (1 - share) + right * share)


def curve_variance(
    positions: NDArray[np.float64], profiles: NDArray[np.float64], perturbations: NDArray[np.intp], *, at: float
) -> float:
    """Return the variance of the curve at one position, summed over features.

    A jackknife that leaves out perturbations, not wells: wells of one perturbation err together, and where compounds
    with the same count look different from one another the curve through them is uncertain, however many wells it has.
    Beyond 20 perturbations groups of them are left out.

    Args:
        positions: (N,), as for `expected_profiles`.
        profiles: (N, D).
        perturbations: (N,), one number a perturbation.
        at: The position.
    """
    distances = positions - at
    near = np.unique(perturbations[np.abs(distances) < BANDWIDTH])
    groups = [near[first::_MAX_GROUPS] for first in range(min(_MAX_GROUPS, len(near)))]
    if len(groups) < 2:
        return float("inf")
    curves = np.stack(
        [_local_fit(distances[kept], profiles[kept]) for group in groups for kept in [~np.isin(perturbations, group)]]
    )
    return float(np.square(curves - curves.mean(axis=0)).sum() * (len(groups) - 1) / len(groups))


def _local_fit(distances: NDArray[np.float64], profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the height (D,) of the local line at distance 0."""
    bandwidth = _bandwidth(np.sort(np.abs(distances)))
    is_near = np.abs(distances) < bandwidth
    near, nearby = distances[is_near] / bandwidth, profiles[is_near]
    closeness = (1 - np.abs(near) ** 3) ** 3
    line = _weighted_line(near, nearby, closeness)
    for _ in range(_N_REWEIGHTINGS):
        residuals = nearby - line[0] - near[:, None] * line[1]
        lengths = np.sqrt(np.einsum("nd,nd->n", residuals, residuals))
        typical = _weighted_median(lengths, closeness)
        if typical <= _ROUNDING * np.abs(nearby).max():
            break
        robustness = np.clip(1 - (lengths / (_OUTLIER_LENGTHS * typical)) ** 2, 0, None) ** 2
        line = _weighted_line(near, nearby, closeness * robustness)
    return np.asarray(line[0])


def _bandwidth(distances: NDArray[np.float64]) -> float:
    """Return the half width of a neighbourhood from sorted distances."""
    # The factor keeps the farthest well that was asked for inside, where the tricube is not yet 0.
    narrowest = 1.1 * distances[min(MIN_NEIGHBOURS, len(distances)) - 1]
    widest = distances[MAX_NEIGHBOURS] if len(distances) > MAX_NEIGHBOURS else np.inf
    return float(max(min(BANDWIDTH, widest), narrowest, _NARROWEST))


def _weighted_line(
    near: NDArray[np.float64], nearby: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return height and slope (2, D) of a weighted least squares line, level where all wells have one position."""
    basis = np.stack([np.ones_like(near), near])
    weighted = basis * weights
    gram = weighted @ basis.T
    gram[1, 1] += _SLOPE_PENALTY * weights.sum()
    return np.asarray(np.linalg.solve(gram, weighted @ nearby))


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
