"""What a feature's values are divided by on each plate, and how a scale from few controls is steadied.

The scale of a plate is 1.4826 MAD of its negative controls. From 4 or 8 wells it is so uncertain that features whose
controls happen to lie close together dominate a profile, and, because the same controls are scored afterwards, a test
against them goes wrong. With fewer than 16 controls it is therefore shrunk,

    s^2 = (16 s0^2 + n s_plate^2) / (16 + n)

towards s0, the feature's scale pooled over the other plates. Other plates may have few controls too, or there may be
none, so the pooled scale rests on a second one that needs no controls but for a single number:

    s0^2 = (16 b^2 + sum (n_q - 1) s_q^2) / (16 + sum (n_q - 1)),    b = c x the feature's spread over all wells

with sums over the other plates, and c the median over features of control scale over spread. On a single plate s0 is b;
with many plates it becomes their pooled scale. A plain median of scales over features would not do for b: it makes
calls depend on a feature's unit.

What a plate's own few controls still contribute has a price. In simulated screens 6 to 7 % of inactive treatments reach
p < .05 from 8 controls a plate on, but 10 to 12 % where there are only 4 on each of 6 or more plates
(`benchmarks/profile_choices.py scales`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEW_CONTROLS = 16
"""A plate with fewer negative controls than this has its scale shrunk, and nothing is whitened."""

PRIOR_WEIGHT = 16
"""How many wells a scale that does not come from a plate's own controls counts for."""


@dataclass(frozen=True)
class PlateSpreads:
    """What is measured on P plates with at least one negative control, for D features."""

    n_controls: NDArray[np.intp]
    """(P,)."""
    n_wells: NDArray[np.intp]
    """(P,), wells that `spread` comes from."""
    control_scale: NDArray[np.float64]
    """(P, D), 1.4826 MAD of the controls."""
    spread: NDArray[np.float64]
    """(P, D), standard deviation of all wells whatever they hold; 0 where it is rounding."""


def steady_scale(measured: PlateSpreads) -> NDArray[np.float64]:
    """Return each plate's scale: of its own controls if they are enough, else shrunk.

    Multiplying a feature by a number multiplies its scale by that number. The result for a plate is the same bits
    for any order of the plates.

    Returns:
        (P, D). 0 where a feature does not vary.
    """
    borrowed = _scale_of_other_plates(measured)
    n = measured.n_controls[:, None]
    shrunk = np.sqrt((PRIOR_WEIGHT * borrowed**2 + n * measured.control_scale**2) / (PRIOR_WEIGHT + n))
    return np.where(n < FEW_CONTROLS, shrunk, measured.control_scale)


def _scale_of_other_plates(measured: PlateSpreads) -> NDArray[np.float64]:
    freedom = (measured.n_controls - 1)[:, None]
    squares = freedom * measured.control_scale**2
    blind = _control_scale_expected_of_spread(measured)
    borrowed = np.empty_like(squares)
    for plate in range(len(squares)):
        others = np.delete(squares, plate, axis=0)
        n_free = freedom.sum() - freedom[plate]
        borrowed[plate] = np.sqrt((PRIOR_WEIGHT * blind**2 + _ordered_sum(others)) / (PRIOR_WEIGHT + n_free))
    return borrowed


def _control_scale_expected_of_spread(measured: PlateSpreads) -> NDArray[np.float64]:
    """Return the scale of the controls that a feature's spread over all wells lets expect, (D,)."""
    spread: NDArray[np.float64] = np.sqrt(
        _ordered_sum(measured.n_wells[:, None] * measured.spread**2) / measured.n_wells.sum()
    )
    freedom = measured.n_controls - 1
    pooled = np.sqrt(_ordered_sum(freedom[:, None] * measured.control_scale**2) / max(freedom.sum(), 1))
    varies = (pooled > 0) & (spread > 0)
    if not varies.any():
        return spread
    expected: NDArray[np.float64] = np.median(pooled[varies] / spread[varies]) * spread
    return expected


def _ordered_sum(per_plate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over plates, added from the smallest up, so that the order of the plates does not matter."""
    total: NDArray[np.float64] = np.sort(per_plate, axis=0).sum(axis=0)
    return total
