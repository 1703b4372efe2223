"""Whether controls behave over time as they did: how far they lie apart, and which plates or batches are out of line.

Numbers in, numbers out: what a number is of (a mean, a score of a reference compound, a separation) is the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.statistics.robust import median_and_mad

_LEAST = 2
"""Wells of a kind, for a spread."""


def z_prime(positives: NDArray[np.float64], negatives: NDArray[np.float64], *, is_robust: bool = False) -> float:
    """Return Z' = 1 - 3 (s_p + s_n) / |m_p - m_n| of two kinds of control wells (Zhang 1999, J Biomol Screen 4:67).

    1 is perfect, above .5 an excellent assay, below 0 the kinds overlap. -inf where they have the same centre.

    Args:
        positives: (P,), finite.
        negatives: (N,), finite.
        is_robust: Median and 1.4826 MAD in the place of mean and standard deviation (ddof 1).

    Raises:
        InputRejectedError: If a kind has fewer than two wells, or a value is not finite.
    """
    (m_p, s_p), (m_n, s_n) = (_centre_and_spread(of, is_robust=is_robust) for of in (positives, negatives))
    return 1.0 - 3.0 * (s_p + s_n) / abs(m_p - m_n) if m_p != m_n else -np.inf


def ssmd(positives: NDArray[np.float64], negatives: NDArray[np.float64], *, is_robust: bool = False) -> float:
    """Return the strictly standardized mean difference (m_p - m_n) / sqrt(s_p^2 + s_n^2) (Zhang 2007, Genomics 89:552).

    Signed infinity where neither kind varies and their centres differ, 0 where they do not.

    Args:
        positives: (P,), finite.
        negatives: (N,), finite.
        is_robust: Median and 1.4826 MAD in the place of mean and standard deviation (ddof 1).

    Raises:
        InputRejectedError: If a kind has fewer than two wells, or a value is not finite.
    """
    (m_p, s_p), (m_n, s_n) = (_centre_and_spread(of, is_robust=is_robust) for of in (positives, negatives))
    spread = float(np.hypot(s_p, s_n))
    if spread > 0:
        return (m_p - m_n) / spread
    return float(np.sign(m_p - m_n)) * np.inf if m_p != m_n else 0.0


class Rule(StrEnum):
    """A rule of Westgard 1981 (Clin Chem 27:493), on values in standard deviations from their target."""

    ONE_2S = "1-2s"
    """A value beyond 2: a warning, no rejection."""
    ONE_3S = "1-3s"
    """A value beyond 3."""
    TWO_2S = "2-2s"
    """Two values in a row beyond 2 on the same side."""
    RANGE_4S = "R-4s"
    """Two values in a row, one beyond 2 and the other beyond -2."""
    FOUR_1S = "4-1s"
    """Four values in a row beyond 1 on the same side."""
    TEN_X = "10-x"
    """Ten values in a row on the same side."""


WARNINGS = frozenset({Rule.ONE_2S})


def westgard(values: NDArray[np.float64], *, target: float, spread: float) -> dict[Rule, NDArray[np.bool_]]:
    """Return by rule at which values it is broken: at the last of those that break it together.

    Args:
        values: (T,) in the order of time. NaN is a missing value: no run of values goes over it.
        target: What they should be.
        spread: Their standard deviation while all is well, above 0.

    Raises:
        InputRejectedError: If the spread is not a number above 0, or the target none.
    """
    if not (np.isfinite(spread) and spread > 0 and np.isfinite(target)):
        raise InputRejectedError(
            f"a target and a spread above 0 were expected, of values while all is well, but got {target} and {spread}"
        )
    z = (np.asarray(values, dtype=np.float64) - target) / spread
    high, low = z > 0, z < 0
    swung = ((z[1:] > 2) & (z[:-1] < -2)) | ((z[1:] < -2) & (z[:-1] > 2))
    return {
        Rule.ONE_2S: np.abs(z) > 2,
        Rule.ONE_3S: np.abs(z) > 3,
        Rule.TWO_2S: _in_a_row(z > 2, 2) | _in_a_row(z < -2, 2),
        Rule.RANGE_4S: np.concatenate([np.zeros(min(len(z), 1), dtype=np.bool_), swung]),
        Rule.FOUR_1S: _in_a_row(z > 1, 4) | _in_a_row(z < -1, 4),
        Rule.TEN_X: _in_a_row(high, 10) | _in_a_row(low, 10),
    }


@dataclass(frozen=True)
class Ewma:
    """An exponentially weighted moving average with its limits; arrays are (T,)."""

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def is_out(self) -> NDArray[np.bool_]:
        """At which times it is beyond its limits."""
        out: NDArray[np.bool_] = (self.values < self.low) | (self.values > self.high)
        return out


def ewma(
    values: NDArray[np.float64], *, target: float, spread: float, weight: float = 0.2, width: float = 2.962
) -> Ewma:
    """Return the moving average that notices a slow drift (Roberts 1959; limits by Lucas and Saccucci 1990).

    E_t = w x_t + (1 - w) E_t-1 from the target on, with limits at width s sqrt(w / (2 - w) (1 - (1 - w)^2n)) after n
    values. The defaults give a false alarm once in 500 values on average, and notice a drift of one spread after 10.

    Args:
        values: (T,) in the order of time. A NaN changes nothing: the average stays where it was.
        target: What they should be.
        spread: Their standard deviation while all is well, above 0.
        weight: Of the newest value, above 0 and at most 1; 1 is a chart of single values.
        width: Of the limits, in standard deviations of the average.

    Raises:
        InputRejectedError: If a number is not what it must be.
    """
    if not (np.isfinite([target, spread, width]).all() and spread > 0 and width > 0 and 0 < weight <= 1):
        raise InputRejectedError(
            "a target, a spread and a width above 0, and a weight above 0 and at most 1 were expected, but got "
            f"{target}, {spread}, {width} and {weight}"
        )
    series = np.asarray(values, dtype=np.float64)
    is_there = ~np.isnan(series)
    averages, last = np.empty(len(series)), float(target)
    for time, value in enumerate(series):
        last = weight * value + (1 - weight) * last if is_there[time] else last
        averages[time] = last
    n_seen = np.cumsum(is_there)
    half = width * spread * np.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * n_seen)))
    return Ewma(values=averages, low=target - half, high=target + half)


def _in_a_row(is_so: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    """Return (T,), where the last of n in a row that are so stands."""
    counts = np.concatenate([[0], np.cumsum(is_so)])
    found = np.zeros(len(is_so), dtype=np.bool_)
    if len(is_so) >= n:
        found[n - 1 :] = counts[n:] - counts[:-n] == n
    return found


def _centre_and_spread(values: NDArray[np.float64], *, is_robust: bool) -> tuple[float, float]:
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or len(series) < _LEAST or not np.isfinite(series).all():
        raise InputRejectedError(
            f"at least {_LEAST} finite values of each kind of control were expected, but an array of shape "
            f"{series.shape} came with {int((~np.isfinite(series)).sum())} that are not finite"
        )
    if is_robust:
        centre, spread = median_and_mad(series[:, None])
        return float(centre[0]), float(spread[0])
    return float(series.mean()), float(series.std(ddof=1))
