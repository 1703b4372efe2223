"""ComBat (Johnson, Li and Rabinovic 2007, Biostatistics 8:118): location and scale of batches by empirical Bayes.

For feature j in batch b, with groups of wells (covariates) protected:

    Y = alpha_j + group_j + sigma_j gamma_bj + sigma_j delta_bj e

A batch's gamma_bj are taken to be normal over features, its delta_bj^2 inverse gamma, both with moments estimated from
them, and each feature's is drawn towards these. What is removed is the drawn one. All of it follows from the number,
mean and sum of squares of the wells of each batch and group, so wells are read twice, a few features at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError

MOST_STEPS = 1000
TOLERANCE = 1e-4
"""Largest relative change of gamma and delta squared at which alternating ends, as in the reference implementation."""

_CONSTANT = 1e-7
"""A standard deviation below this share of a feature's size is rounding of float32."""


@dataclass(frozen=True)
class Moments:
    """What is known of the wells of C cells, a cell being a batch and a group that occur together."""

    batches: NDArray[np.intp]
    """(C,), 0, 1, ... without gaps."""
    groups: NDArray[np.intp]
    """(C,), 0, 1, ... without gaps."""
    counts: NDArray[np.intp]
    """(C,), wells."""
    means: NDArray[np.float64]
    """(C, D)."""
    squares: NDArray[np.float64]
    """(C, D), sums of squares about the means."""


@dataclass(frozen=True)
class BatchEffects:
    """What was estimated, and what batches are freed of."""

    gamma: NDArray[np.float64]
    """(B, D), in units of sigma, drawn together."""
    delta_squared: NDArray[np.float64]
    """(B, D), drawn together."""
    sigma: NDArray[np.float64]
    """(D,), 1 where a feature does not vary within batches and groups."""
    alpha: NDArray[np.float64]
    """(D,), of a well of group 0, the mean over batches weighted by their wells."""
    of_groups: NDArray[np.float64]
    """(G, D), 0 for group 0."""
    varies: NDArray[np.bool_]
    """(D,); of the other features all of a batch's shift is removed, and nothing else."""

    def removed_from(self, rows: NDArray[np.float64], batch: int, groups: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return wells (N, D) of one batch without its effects."""
        expected = self.alpha + self.of_groups[groups]
        gain = 1.0 / np.sqrt(self.delta_squared[batch])
        return np.asarray((rows - expected - self.sigma * self.gamma[batch]) * gain + expected)


def batch_effects(moments: Moments) -> BatchEffects:
    """Return the effects of batches, location and scale.

    A batch of one well says nothing of its scale, which stays as it is (delta 1); its location is drawn like others.

    Args:
        moments: Of the cells. Batches and groups are connected: from each batch one comes to every other over groups
            that they share.

    Raises:
        InputRejectedError: If fewer than two features vary, so that nothing can be learned over features.
    """
    counts = moments.counts.astype(np.float64)
    of_batches, of_groups = _additive_fit(moments, counts)
    share = np.bincount(moments.batches, weights=counts) / counts.sum()
    alpha = share @ of_batches
    fitted = of_batches[moments.batches] + of_groups[moments.groups]
    lack = moments.means - fitted
    variance = (moments.squares + counts[:, None] * lack**2).sum(axis=0) / counts.sum()
    sigma = np.sqrt(variance)
    varies = sigma > _CONSTANT * np.abs(moments.means).max(axis=0)
    if varies.sum() < 2:
        raise InputRejectedError(
            f"at least two features that vary within batches are expected, since ComBat learns from all features how "
            f"far a batch shifts them, but {int(varies.sum())} of {len(varies)} do"
        )
    sigma = np.where(varies, sigma, 1.0)
    n = np.bincount(moments.batches, weights=counts)
    gamma = (of_batches - alpha) / sigma
    delta_squared = _scales(moments, counts, fitted) / sigma**2
    drawn = [_drawn(n[batch], gamma[batch, varies], delta_squared[batch, varies]) for batch in range(len(n))]
    delta_squared = np.ones_like(gamma)
    for batch, (location, scale) in enumerate(drawn):
        gamma[batch, varies], delta_squared[batch, varies] = location, scale
    return BatchEffects(gamma, delta_squared, sigma, alpha, of_groups, varies)


def _additive_fit(moments: Moments, counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the level of every batch, (B, D), and of every group beside group 0, (G, D), by least squares."""
    n_batches, n_groups = int(moments.batches.max()) + 1, int(moments.groups.max()) + 1
    table = np.zeros((n_batches, n_groups))
    table[moments.batches, moments.groups] = counts
    weighted = counts[:, None] * moments.means
    sum_b, sum_g = np.zeros((n_batches, weighted.shape[1])), np.zeros((n_groups, weighted.shape[1]))
    np.add.at(sum_b, moments.batches, weighted)
    np.add.at(sum_g, moments.groups, weighted)
    per_batch = table.sum(axis=1)
    crossed = table[:, 1:]
    # Batches are eliminated: what is left is one equation for every group but the first.
    reduced = np.diag(crossed.sum(axis=0)) - crossed.T @ (crossed / per_batch[:, None])
    right = sum_g[1:] - crossed.T @ (sum_b / per_batch[:, None])
    of_groups = np.zeros_like(sum_g)
    if n_groups > 1:
        of_groups[1:] = np.linalg.solve(reduced, right)
    of_batches = (sum_b - table @ of_groups) / per_batch[:, None]
    return of_batches, of_groups


def _scales(moments: Moments, counts: NDArray[np.float64], fitted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance of every batch's wells without what groups do, about its mean, (B, D); NaN of one well."""
    n_batches = int(moments.batches.max()) + 1
    variances = np.full((n_batches, fitted.shape[1]), np.nan)
    for batch in range(n_batches):
        cells = moments.batches == batch
        n = counts[cells]
        residual = moments.means[cells] - fitted[cells]
        middle = n @ residual / n.sum()
        squares = moments.squares[cells].sum(axis=0) + n @ (residual - middle) ** 2
        if n.sum() > 1:
            variances[batch] = squares / (n.sum() - 1)
    return variances


def _drawn(
    n: float, gamma: NDArray[np.float64], delta_squared: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return location and scale of one batch over features after they were drawn together."""
    mean, spread = gamma.mean(), gamma.var(ddof=1)
    if n < 2:
        return (n * spread * gamma + mean) / (n * spread + 1.0), np.ones_like(gamma)
    centre, width = delta_squared.mean(), delta_squared.var(ddof=1)
    if width <= 1e-12 * centre**2:  # the prior is a point
        scale = np.full_like(delta_squared, centre)
        return (n * spread * gamma + scale * mean) / (n * spread + scale), scale
    shape, rate = 2.0 + centre**2 / width, centre + centre**3 / width
    squares = (n - 1) * delta_squared
    location, scale = gamma, delta_squared
    for _ in range(MOST_STEPS):
        new = (n * spread * gamma + scale * mean) / (n * spread + scale) if spread > 0 else np.full_like(gamma, mean)
        about = squares + n * (gamma - new) ** 2
        new_scale = (rate + 0.5 * about) / (n / 2.0 + shape - 1.0)
        change = max(_relative(location, new), _relative(scale, new_scale))
        location, scale = new, new_scale
        if change < TOLERANCE:
            break
    return location, scale


def _relative(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    return float((np.abs(after - before) / np.maximum(np.abs(before), np.finfo(np.float64).tiny)).max())
