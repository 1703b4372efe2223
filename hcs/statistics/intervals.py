"""How far a mean can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from hcs.errors import InputRejectedError


@dataclass(frozen=True)
class MeanInterval:
    """The mean of independent measurements, and the interval that covers the true one as often as its level says."""

    mean: float
    low: float | None
    """None, as `high`, where a single measurement says nothing about the spread."""
    high: float | None


def mean_interval(values: Sequence[float], *, level: float = 0.95) -> MeanInterval:
    """Return the mean with Student's t interval, which is exact for normal measurements.

    It knows no limits of a scale: that of a share may reach beyond 0 or 1.

    Args:
        values: (N,), finite, at least one.
        level: Above 0 and below 1.

    Raises:
        InputRejectedError: If there is no value, or one is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample) or not np.isfinite(sample).all():
        raise InputRejectedError(f"a mean needs finite values, at least one, but {list(values)[:10]} came")
    mean = math.fsum(sample) / len(sample)
    if len(sample) == 1:
        return MeanInterval(mean, None, None)
    deviation = math.sqrt(math.fsum((sample - mean) ** 2) / (len(sample) - 1))
    half = float(stdtrit(len(sample) - 1, (1 + level) / 2)) * deviation / math.sqrt(len(sample))
    return MeanInterval(mean, mean - half, mean + half)
