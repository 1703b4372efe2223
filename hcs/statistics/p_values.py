"""What the p-values of a whole screen look like, and whether they can be those of a calibrated test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

_MIDDLE = 0.5
"""p-values above it are taken for those of tests without an effect (Storey's lambda)."""
_RIGHT = 0.95
N_BINS = 20


@dataclass(frozen=True)
class PValueSummary:
    """The p-values of a family."""

    n: int
    histogram: tuple[int, ...]
    """Counts of 20 bins of width .05, upper edges included."""
    share_inactive: float
    """Storey's pi0, at most 1; NaN without p-values."""
    right_tail_p: float
    """How surprising it is that so many lie above .95, among those above .5; 1 without any."""


def summarize_p_values(p_values: NDArray[np.float64]) -> PValueSummary:
    """Return a summary of p-values, NaN left out.

    `share_inactive` is Storey's (2002, J R Stat Soc B 64:479) estimate at .5, one added: (1 + #{p > .5}) / (.5 n). The
    test of the right tail is binomial: of the p-values above .5, a tenth lie above .95 if they are uniform. Where many
    more do, the test has other wells for its null than it should.

    Args:
        p_values: (N,).
    """
    tested = p_values[~np.isnan(p_values)]
    bins = np.clip(np.ceil(tested * N_BINS - 1e-9).astype(np.intp) - 1, 0, N_BINS - 1)
    n_above, n_right = int((tested > _MIDDLE).sum()), int((tested > _RIGHT).sum())
    share = (1 - _RIGHT) / (1 - _MIDDLE)
    return PValueSummary(
        n=len(tested),
        histogram=tuple(np.bincount(bins, minlength=N_BINS).tolist()),
        share_inactive=min(1.0, (1 + n_above) / ((1 - _MIDDLE) * len(tested))) if len(tested) else float("nan"),
        right_tail_p=float(binom.sf(n_right - 1, n_above, share)) if n_above else 1.0,
    )
