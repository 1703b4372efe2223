"""How far two groups of wells lie apart, in units of the spread within them, judged on wells that were left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError

N_RESAMPLES = 2000
_LEAST = 3
"""Wells of a group: one of each is left out, and the direction needs a mean of the others."""


@dataclass(frozen=True)
class Separation:
    """A figure and the interval that resampled wells give it."""

    value: float
    low: float
    high: float


def held_out_scores(profiles: NDArray[np.float64], *, is_positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return where each well lies between the two groups: 0 at the mean of the negatives, 1 at that of the positives.

    Both means are those of other wells, so that chance directions of many features do not separate anything. A well is
    left out together with each one of the other group in turn, and its scores are averaged: left out alone, it would
    have a noisier mean on its own side than on the other, and pure noise would seem to lie on the wrong side, the
    farther the more features there are.

    Args:
        profiles: (N, D), finite.
        is_positive: (N,), the others are negative.

    Returns:
        (N,), 0 where the means fall together.

    Raises:
        InputRejectedError: If a group has fewer than 3 wells, or a profile is not finite.
    """
    sizes = (int(is_positive.sum()), int((~is_positive).sum()))
    if min(sizes) < _LEAST or not np.isfinite(profiles).all():
        raise InputRejectedError(
            f"at least {_LEAST} positive and {_LEAST} negative wells with finite profiles are needed to tell how far "
            f"they lie apart, but {sizes[0]} and {sizes[1]} came"
        )
    positive, negative = profiles[is_positive], profiles[~is_positive]
    start = _means_of_others(negative)
    of_positive, of_negative = np.empty(len(positive)), np.zeros(len(negative))
    for row, (profile, end) in enumerate(zip(positive, _means_of_others(positive), strict=True)):
        direction = end - start  # a row for each negative well that is left out too
        length = (direction**2).sum(axis=1)
        of_positive[row] = _shares(((profile - start) * direction).sum(axis=1), length).mean()
        of_negative += _shares(((negative - start) * direction).sum(axis=1), length) / len(positive)
    scores = np.empty(len(profiles))
    scores[is_positive], scores[~is_positive] = of_positive, of_negative
    return scores


def _means_of_others(group: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each row the mean of all others."""
    means: NDArray[np.float64] = (group.sum(axis=0) - group) / (len(group) - 1)
    return means


def _shares(along: NDArray[np.float64], length: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.zeros_like(along)
    np.divide(along, length, out=shares, where=length > 0)
    return shares


def d_prime(scores: NDArray[np.float64], *, is_positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the difference of the groups' means over the root of the mean of their variances.

    Args:
        scores: (..., N).
        is_positive: (..., N) or (N,).

    Returns:
        (...): infinite where neither group varies and their means differ.
    """
    above, below = (_moments(scores, side) for side in (is_positive, ~is_positive))
    difference, spread = above[0] - below[0], np.sqrt((above[1] + below[1]) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        units: NDArray[np.float64] = np.where(difference == 0, 0.0, difference / spread)
    return units


def _moments(scores: NDArray[np.float64], member: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n = member.sum(axis=-1)
    mean = (scores * member).sum(axis=-1) / n
    squares = ((scores - mean[..., None]) ** 2 * member).sum(axis=-1)
    return mean, squares / (n - 1)


def separations(
    profiles: dict[str, NDArray[np.float64]], *, is_positive: NDArray[np.bool_], seed: int = 0
) -> tuple[dict[str, Separation], dict[tuple[str, str], Separation]]:
    """Return d' of held-out scores for every profile, and its differences between all pairs, with 95 % intervals.

    Intervals are percentiles over wells resampled within their group; a difference resamples the same wells for both.

    Args:
        profiles: Name -> (N, D), rows of the same wells.
        is_positive: (N,).
        seed: Of the resampling.
    """
    scores = {name: held_out_scores(matrix, is_positive=is_positive) for name, matrix in profiles.items()}
    rows = _resampled(is_positive, np.random.default_rng(seed))
    values = {name: float(d_prime(score, is_positive=is_positive)) for name, score in scores.items()}
    drawn = {name: d_prime(score[rows], is_positive=is_positive[rows]) for name, score in scores.items()}
    single = {name: _separation(values[name], drawn[name]) for name in profiles}
    pairs = {
        (of, to): _separation(values[of] - values[to], drawn[of] - drawn[to])
        for of in profiles
        for to in profiles
        if of != to
    }
    return single, pairs


def _resampled(is_positive: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return rows of resampled wells, (R, N); draws in which a group is one well again and again are drawn anew."""
    groups = [np.flatnonzero(is_positive), np.flatnonzero(~is_positive)]
    drawn = []
    for group in groups:
        picks = rng.integers(len(group), size=(N_RESAMPLES, len(group)))
        while (alike := (picks == picks[:, :1]).all(axis=1)).any():
            picks[alike] = rng.integers(len(group), size=(int(alike.sum()), len(group)))
        drawn.append(group[picks])
    return np.concatenate(drawn, axis=1)


def _separation(value: float, drawn: NDArray[np.float64]) -> Separation:
    finite = drawn[np.isfinite(drawn)]
    low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (value, value)
    return Separation(value, float(low), float(high))
