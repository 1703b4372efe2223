"""The soft clustering of Harmony: memberships, renewed block after block (`hcs.statistics.harmony`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.harmony_deal import Deal
from hcs.statistics.harmony_start import starting_centres
from hcs.statistics.threads import on_threads

_ROWS_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True)
class HarmonyOptions:
    """What is weighed against what, and when it ends."""

    n_clusters: int | None = None
    """None is one for 30 wells, at most 100."""
    theta: float = 2.0
    """Price of clusters whose batches are out of proportion; 0 is none."""
    sigma: float = 0.1
    """How soft clusters are."""
    ridge: float | None = None
    """Wells that a batch's step in a cluster is held back by; None is 0.2 of the expected membership."""
    max_rounds: int = 10
    """Of clustering and correction."""
    max_passes: int = 4
    """Of clustering over all wells, in a round."""
    block_share: float = 0.05
    """Of the wells, whose memberships are renewed at once."""
    pass_tolerance: float = 1e-3
    round_tolerance: float = 1e-2
    """Relative fall of the objective below which passes, and rounds, end."""


@dataclass(frozen=True)
class Clustering:
    """Soft clusters of one set of directions."""

    units: NDArray[np.floating]
    """(N, D), in the order of the deal; renewed in place by each round."""
    memberships: NDArray[np.floating]
    """(N, K), renewed in place."""
    observed: NDArray[np.float64]
    """(blocks, B, K), memberships of each block summed by batch."""


def begin(
    values: NDArray[np.floating],
    dealt: Deal,
    options: HarmonyOptions,
    *,
    rng: np.random.Generator,
    n_threads: int | None,
) -> Clustering:
    """Return memberships in clusters about the first centres, batches not looked at."""
    n, k = len(values), options.n_clusters or 1
    units = np.empty_like(values, order="C")
    for part in _parts(n):
        units[part] = directions_of(values[dealt.order[part]])
    centres = starting_centres(units, n_clusters=k, rng=rng)
    clustering = Clustering(units, np.empty((n, k), values.dtype), np.zeros((dealt.n_blocks, len(dealt.ends) - 1, k)))
    _weigh(clustering, centres, options.sigma, n_threads=n_threads)
    for block in range(dealt.n_blocks):
        _renew_block(clustering, dealt, block, np.ones_like(clustering.observed[0]))
    return clustering


def cluster(
    clustering: Clustering,
    dealt: Deal,
    options: HarmonyOptions,
    *,
    rng: np.random.Generator,
    n_threads: int | None,
) -> float:
    """Renew memberships pass by pass until the objective no longer falls, and return it."""
    objectives: list[float] = []
    shares = dealt.shares[:, None]
    for _ in range(options.max_passes):
        centres = _centres(clustering, n_threads=n_threads)
        farthest = _weigh(clustering, centres, options.sigma, n_threads=n_threads)
        total = clustering.observed.sum(axis=0)
        price = 0.0
        for block in rng.permutation(dealt.n_blocks):
            total -= clustering.observed[block]
            expected = shares * total.sum(axis=0)
            factors = ((np.maximum(expected, 0.0) + 1.0) / (np.maximum(total, 0.0) + 1.0)) ** options.theta
            price += _renew_block(clustering, dealt, block, factors)
            total += clustering.observed[block]
        expected = shares * total.sum(axis=0)
        price = options.sigma * price + farthest
        objectives.append(price + options.sigma * options.theta * imbalance(total, expected))
        if len(objectives) > 1 and has_settled(objectives, options.pass_tolerance):
            break
    return objectives[-1]


def _centres(clustering: Clustering, *, n_threads: int | None) -> NDArray[np.floating]:
    """Return the direction of the mean of every cluster's members, (K, D)."""
    sums = on_threads(
        lambda part: clustering.memberships[part].T @ clustering.units[part],
        _parts(len(clustering.units)),
        n_threads=n_threads,
    )
    return directions_of(np.sum(sums, axis=0, dtype=np.float64)).astype(clustering.units.dtype)


def _weigh(clustering: Clustering, centres: NDArray[np.floating], sigma: float, *, n_threads: int | None) -> float:
    """Put exp(-|z - y|^2 / sigma) in the place of memberships, up to a factor of each well.

    Returns:
        The sum of every well's squared distance to its nearest centre, which is what the factors leave out.
    """

    def weigh(part: slice) -> float:
        weights = np.matmul(clustering.units[part], centres.T, out=clustering.memberships[part])
        nearest = weights.max(axis=1, keepdims=True)
        weights -= nearest
        weights *= 2.0 / sigma
        np.exp(weights, out=weights)
        return float((2.0 - 2.0 * nearest.astype(np.float64)).sum())

    return sum(on_threads(weigh, _parts(len(clustering.units)), n_threads=n_threads))


def _renew_block(clustering: Clustering, dealt: Deal, block: int, factors: NDArray[np.float64]) -> float:
    """Turn the weights of a block, times a factor of batch and cluster, into memberships.

    Returns:
        The block's part of spread and entropy, without the distance to the nearest centre, in units of sigma: as
        log R = -distance / sigma + log factor - log sum, both together are sum R log factor - sum log sum.
    """
    places, present = dealt.block_slices(block)
    weights = clustering.memberships[places]
    narrow = factors.astype(weights.dtype)
    for batch, rows in present:
        weights[rows] *= narrow[batch]
    sums = weights @ np.ones(weights.shape[1], dtype=weights.dtype)
    weights /= sums[:, None]
    observed = clustering.observed[block]
    for batch, rows in present:
        observed[batch] = weights[rows].sum(axis=0)
    return float((observed * np.log(factors)).sum() - np.log(sums.astype(np.float64)).sum())


def imbalance(observed: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return how far memberships (B, K) are out of proportion, 0 where they are as expected."""
    return float((observed * np.log((observed + 1.0) / (expected + 1.0))).sum())


def directions_of(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return rows at length 1, in their dtype; a row of zeros stays one."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    units: NDArray[np.floating] = rows / np.where(lengths > 0, lengths, 1)
    return units


def has_settled(objectives: list[float], tolerance: float) -> bool:
    """Return whether the last of two or more objectives is lower than the one before by less than this share of it."""
    before, now = objectives[-2:]
    return before - now < tolerance * abs(before)


def _parts(n: int) -> list[slice]:
    return [slice(start, min(start + _ROWS_AT_ONCE, n)) for start in range(0, n, _ROWS_AT_ONCE)]
