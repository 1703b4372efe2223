"""Intervals of a mean by drawing items again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.statistics.intervals import MeanInterval

N_DRAWS = 2_000
"""Of a 95 % interval, whose ends then move by about a twentieth of their distance from the mean."""


def bootstrap_interval(
    values: NDArray[np.floating], rng: np.random.Generator, *, level: float = 0.95, n_draws: int = N_DRAWS
) -> MeanInterval:
    """Return the mean, and the interval that holds this share of the means of as many items drawn with replacement.

    The percentile interval of Efron and Tibshirani 1993. A single item says nothing of the spread: no interval.

    Args:
        values: (N,), finite, one an independent item, at least one.
        rng: What is drawn follows from it.
        level: Above 0 and below 1.
        n_draws: Draws.

    Raises:
        InputRejectedError: If there is no value, or one is not finite.
    """
    items = np.asarray(values, dtype=np.float64)
    if not len(items) or not np.isfinite(items).all():
        raise InputRejectedError(f"a mean needs finite values, at least one, but {items[:10].tolist()} came")
    if len(items) == 1:
        return MeanInterval(float(items[0]), None, None)
    counts = rng.multinomial(len(items), np.full(len(items), 1 / len(items)), size=n_draws)
    low, high = np.quantile(counts @ items / len(items), [(1 - level) / 2, (1 + level) / 2])
    return MeanInterval(float(items.mean()), float(low), float(high))
