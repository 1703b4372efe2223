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
and is solved in closed form (`harmony_steps`). The price of a clustering follows from the sums over clusters that
normalize R, without a logarithm of every membership.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.errors import UsageError
from hcs.statistics.harmony_clusters import HarmonyOptions, begin, cluster, directions_of, has_settled, imbalance
from hcs.statistics.harmony_deal import deal
from hcs.statistics.harmony_steps import batch_steps, corrected_wells, take_steps

__all__ = ["Harmonized", "HarmonyOptions", "harmonize", "harmony_objective"]

MOST_CLUSTERS: Final = 100
WELLS_PER_CLUSTER: Final = 30


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
    clustering = begin(values, dealt, options, rng=rng, n_threads=n_threads)
    objectives: list[float] = []
    for _ in range(options.max_rounds):
        objectives.append(cluster(clustering, dealt, options, rng=rng, n_threads=n_threads))
        steps = batch_steps(values, clustering, dealt, options, n_threads=n_threads)
        if len(objectives) > 1 and has_settled(objectives, options.round_tolerance):
            break
        take_steps(values, clustering, dealt, steps, n_threads=n_threads)
    memberships = clustering.memberships
    del clustering  # the directions are as large as the result
    corrected = corrected_wells(values, memberships, dealt, steps, n_threads=n_threads)
    return Harmonized(corrected, memberships, dealt.order, tuple(objectives))


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
    units, weights = directions_of(values.astype(np.float64)), memberships.astype(np.float64)
    centres = directions_of(weights.T @ units)
    observed = np.stack([weights[batches == batch].sum(axis=0) for batch in range(int(batches.max()) + 1)])
    expected = np.outer(np.bincount(batches) / len(batches), observed.sum(axis=0))
    spread = float((weights * (2.0 - 2.0 * units @ centres.T)).sum())
    entropy = float((weights * np.log(np.maximum(weights, np.finfo(np.float64).tiny))).sum())
    return spread + sigma * entropy + sigma * theta * imbalance(observed, expected)


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
