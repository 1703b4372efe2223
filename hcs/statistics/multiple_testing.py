"""Control of the false discovery rate over a family of tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def benjamini_hochberg(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the q-value of every test: the smallest false discovery rate at which it is called.

    Benjamini and Hochberg 1995, J R Stat Soc B 57:289, step-up with enforced monotonicity.

    Args:
        p_values: (N,) in (0, 1]; NaN for a test that was not made, which does not count towards the family.

    Returns:
        (N,) float64, NaN where the p-value is.

    Raises:
        ValueError: If a p-value lies outside [0, 1].
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    is_tested = ~np.isnan(p_values)
    tested = p_values[is_tested]
    if ((tested < 0) | (tested > 1)).any():
        raise ValueError("p-values lie between 0 and 1; at least one of these does not")
    order = np.argsort(tested, kind="stable")
    scaled = tested[order] * (tested.size / np.arange(1, tested.size + 1))
    in_order = np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(in_order, 1.0)
    q_values = np.full(p_values.shape, np.nan)
    q_values[is_tested] = adjusted
    return q_values
