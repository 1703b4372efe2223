"""Harmony (Korsunsky and others 2019, Nature Methods 16:1289), after the formulas of the paper.

Wells, as directions, are clustered softly into K clusters, with a price on clusters that hold batches in other shares
than the whole does; then each cluster's batches are moved towards the cluster's middle, each well by as much as it
belongs to the cluster. Both are repeated until the price no longer falls. With memberships R, unit vectors z and y,
O_kb the membership of batch b in cluster k and E_kb what its share of the wells lets expect:

    objective   sum R_ik |z_i - y_k|^2 + sigma sum R_ik log R_ik + sigma theta sum O_kb log (O_kb / E_kb)
    clustering  R_ik ~ exp(-|z_i - y_k|^2 / sigma) (E_kb / O_kb)^theta, block after block, E and O without the block
    correction  z_i - sum_k R_ik w_kb, with w_k of a ridge regression of wells on batches, weighted by R_k

One well more is counted in E and O, so that an empty cluster has a finite price.

The regression has one batch a well, so it needs no more than the sums of memberships and of wells by cluster and batch,
and is solved in closed form (`_batch_steps`). The price of a clustering follows from the sums over clusters that
normalize R, without a logarithm of every membership.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.errors import UsageError
from hcs.statistics.harmony_deal import Deal, deal
from hcs.statistics.harmony_start import starting_centres
from hcs.statistics.threads import on_threads

MOST_CLUSTERS: Final = 100
WELLS_PER_CLUSTER: Final = 30
AUTOMATIC_RIDGE: Final = 0.2
"""Where no ridge is given it is this share of the expected membership E_kb."""

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
class Harmonized:
    """Corrected wells, and how they were clustered in the last round."""

    values: NDArray[np.floating]
    """(N, D), rows as they came, in their dtype."""
    memberships: NDArray[np.floating]
    """(N, K), rows in the order of `order`."""
    order: NDArray[np.intp]
    """(N,)."""
    objectives: tuple[float, ...]
    """At the end of each round's clustering."""


@dataclass(frozen=True)
class _Clustering:
    """Soft clusters of one set of directions."""

    units: NDArray[np.floating]
    """(N, D), in the order of the deal; renewed in place by each round."""
    memberships: NDArray[np.floating]
    """(N, K), renewed in place."""
    observed: NDArray[np.float64]
    """(blocks, B, K), memberships of each block summed by batch."""


def harmonize(
    values: NDArray[np.floating],
    batches: NDArray[np.integer],
    *,
    options: HarmonyOptions | None = None,
    seed: int = 0,
    n_threads: int | None = None,
) -> Harmonized:
    """Return the wells with the steps between batches taken out of every cluster.

    The result is the same, up to rounding, for any order of the rows, names of the batches and number of threads.

    Args:
        values: (N, D), float32 or float64, finite; their directions from the origin are clustered.
        batches: (N,), any integers; one alone leaves the wells as they are up to rounding.
        options: Default those of the paper, with an automatic ridge.
        seed: Of the centres that clustering begins with, and of the blocks.
        n_threads: None is one for every core.

    Raises:
        UsageError: If an option is out of its range.
    """
    options = _checked(options or HarmonyOptions(), len(values))
    # Matrix products of a few thousand wells are shared out here; threads inside each would wait for one another.
    with threadpool_limits(limits=1, user_api="blas"):
        return _harmonize(values, batches, options, seed=seed, n_threads=n_threads)


def _harmonize(
    values: NDArray[np.floating],
    batches: NDArray[np.integer],
    options: HarmonyOptions,
    *,
    seed: int,
    n_threads: int | None,
) -> Harmonized:
    rng = np.random.default_rng(seed)
    n_blocks = min(len(values), max(1, round(1 / options.block_share)))
    dealt = deal(values, batches, n_blocks=n_blocks, rng=rng)
    clustering = _begin(values, dealt, options, rng=rng, n_threads=n_threads)
    objectives: list[float] = []
    for _ in range(options.max_rounds):
        objectives.append(_cluster(clustering, dealt, options, rng=rng, n_threads=n_threads))
        steps = _batch_steps(values, clustering, dealt, options, n_threads=n_threads)
        if len(objectives) > 1 and _has_settled(objectives, options.round_tolerance):
            break
        _take_steps(values, clustering, dealt, steps, n_threads=n_threads)
    corrected = np.empty_like(values, order="C")

    def correct(batch_and_places: tuple[int, slice]) -> None:
        batch, places = batch_and_places
        rows = dealt.order[places]
        corrected[rows] = values[rows] - clustering.memberships[places] @ steps[batch]

    on_threads(correct, enumerate(dealt.batch_slices()), n_threads=n_threads)
    corrected[dealt.order[dealt.copies[:, 0]]] = corrected[dealt.order[dealt.copies[:, 1]]]
    return Harmonized(corrected, clustering.memberships, dealt.order, tuple(objectives))


def harmony_objective(
    values: NDArray[np.floating],
    batches: NDArray[np.integer],
    memberships: NDArray[np.floating],
    *,
    theta: float = 2.0,
    sigma: float = 0.1,
) -> float:
    """Return the price of a clustering, centres being the means of the members' directions.

    Written as the formula, to compare results of any implementation.

    Args:
        values: (N, D), whose directions are clustered.
        batches: (N,), 0, 1, ... without gaps.
        memberships: (N, K), rows summing to 1, in the order of `values`.
        theta: Price of clusters whose batches are out of proportion.
        sigma: How soft clusters are.
    """
    units, weights = _units(values.astype(np.float64)), memberships.astype(np.float64)
    centres = _units(weights.T @ units)
    observed = np.stack([weights[batches == batch].sum(axis=0) for batch in range(int(batches.max()) + 1)])
    expected = np.outer(np.bincount(batches) / len(batches), observed.sum(axis=0))
    spread = float((weights * (2.0 - 2.0 * units @ centres.T)).sum())
    entropy = float((weights * np.log(np.maximum(weights, np.finfo(np.float64).tiny))).sum())
    return spread + sigma * entropy + sigma * theta * _imbalance(observed, expected)


def _begin(
    values: NDArray[np.floating],
    dealt: Deal,
    options: HarmonyOptions,
    *,
    rng: np.random.Generator,
    n_threads: int | None,
) -> _Clustering:
    """Return memberships in clusters about the first centres, batches not looked at."""
    n, k = len(values), options.n_clusters or 1
    units = np.empty_like(values, order="C")
    for part in _parts(n):
        units[part] = _units(values[dealt.order[part]])
    # Each cluster is begun with a random well; in the deal these stand in the order of batches.
    sampled = units[np.random.default_rng(rng.integers(1 << 32)).permutation(n)] if n < 2 * k else units
    centres = starting_centres(sampled, n_clusters=k, rng=rng)
    clustering = _Clustering(
        units, np.empty((n, k), values.dtype), np.zeros((dealt.n_blocks, len(dealt.ends) - 1, k))
    )
    _weigh(clustering, centres, options.sigma, n_threads=n_threads)
    for block in range(dealt.n_blocks):
        _renew_block(clustering, dealt, block, np.ones_like(clustering.observed[0]))
    return clustering


def _cluster(
    clustering: _Clustering,
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
        objectives.append(price + options.sigma * options.theta * _imbalance(total, expected))
        if len(objectives) > 1 and _has_settled(objectives, options.pass_tolerance):
            break
    return objectives[-1]


def _centres(clustering: _Clustering, *, n_threads: int | None) -> NDArray[np.floating]:
    """Return the direction of the mean of every cluster's members, (K, D)."""
    sums = on_threads(
        lambda part: clustering.memberships[part].T @ clustering.units[part],
        _parts(len(clustering.units)),
        n_threads=n_threads,
    )
    return _units(np.sum(sums, axis=0, dtype=np.float64)).astype(clustering.units.dtype)


def _weigh(
    clustering: _Clustering, centres: NDArray[np.floating], sigma: float, *, n_threads: int | None
) -> float:
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


def _renew_block(clustering: _Clustering, dealt: Deal, block: int, factors: NDArray[np.float64]) -> float:
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


def _batch_steps(
    values: NDArray[np.floating],
    clustering: _Clustering,
    dealt: Deal,
    options: HarmonyOptions,
    *,
    n_threads: int | None,
) -> NDArray[np.floating]:
    """Return by how much each batch of each cluster is off its middle, (B, K, D).

    The normal equations of cluster k, with ridges l_b on the batches and none on the middle w_0, are
    (O_b + l_b) w_b = S_b - O_b w_0 for each batch and sum_b (S_b - O_b w_0 - O_b w_b) = 0, S_b the sum of wells. Put
    in, w_0 is the mean of S_b / O_b with weights O_b l_b / (O_b + l_b).
    """
    observed = clustering.observed.sum(axis=0)

    def sum_of(places: slice) -> NDArray[np.floating]:
        return np.asarray(clustering.memberships[places].T @ values[dealt.order[places]], dtype=np.float64)

    sums = np.stack(on_threads(sum_of, dealt.batch_slices(), n_threads=n_threads))
    expected = dealt.shares[:, None] * observed.sum(axis=0)
    ridge = AUTOMATIC_RIDGE * expected if options.ridge is None else np.full_like(expected, options.ridge)
    held = np.divide(ridge, observed + ridge, out=np.zeros_like(ridge), where=observed + ridge > 0)
    weights = (observed * held).sum(axis=0)[:, None]
    middle = np.einsum("bk,bkd->kd", held, sums)
    middle = np.divide(middle, weights, out=np.zeros_like(middle), where=weights > 0)
    offset = sums - observed[:, :, None] * middle
    divisor = (observed + ridge)[:, :, None]
    steps = np.divide(offset, divisor, out=np.zeros_like(offset), where=divisor > 0)
    return steps.astype(values.dtype)


def _take_steps(
    values: NDArray[np.floating],
    clustering: _Clustering,
    dealt: Deal,
    steps: NDArray[np.floating],
    *,
    n_threads: int | None,
) -> None:
    """Renew directions: those of the wells as they came, minus the steps of their clusters."""

    def renew(batch_and_places: tuple[int, slice]) -> None:
        batch, places = batch_and_places
        moved = values[dealt.order[places]] - clustering.memberships[places] @ steps[batch]
        clustering.units[places] = _units(moved)

    on_threads(renew, enumerate(dealt.batch_slices()), n_threads=n_threads)


def _imbalance(observed: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    return float((observed * np.log((observed + 1.0) / (expected + 1.0))).sum())


def _units(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return rows at length 1, in their dtype; a row of zeros stays one."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    units: NDArray[np.floating] = rows / np.where(lengths > 0, lengths, 1)
    return units


def _parts(n: int) -> list[slice]:
    return [slice(start, min(start + _ROWS_AT_ONCE, n)) for start in range(0, n, _ROWS_AT_ONCE)]


def _has_settled(objectives: list[float], tolerance: float) -> bool:
    before, now = objectives[-2:]
    return before - now < tolerance * abs(before)


def _checked(options: HarmonyOptions, n_wells: int) -> HarmonyOptions:
    """Return the options with their number of clusters."""
    k = options.n_clusters
    if k is not None and not 1 <= k <= n_wells:
        raise UsageError(f"between 1 and {n_wells} clusters were expected for {n_wells} wells, got {k}")
    positive = {"sigma": options.sigma, "block_share": options.block_share, "max_rounds": options.max_rounds}
    positive |= {"max_passes": options.max_passes}
    if options.ridge is not None:
        positive["ridge"] = options.ridge
    for name, value in positive.items():
        if not value > 0:
            raise UsageError(f"{name} above 0 was expected of Harmony, got {value}")
    if not options.theta >= 0 or options.block_share > 1:
        raise UsageError(
            "theta of at least 0 and a block_share of at most 1 were expected of Harmony, got "
            f"{options.theta} and {options.block_share}"
        )
    return replace(options, n_clusters=k or max(1, min(MOST_CLUSTERS, n_wells // WELLS_PER_CLUSTER)))
