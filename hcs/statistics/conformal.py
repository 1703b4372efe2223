"""p-values of single observations against others that nothing was fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def conformal_p_values(scores: NDArray[np.float64], references: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of references, the observation itself among them, that score at least as high.

    Exact for any distribution if an observation without an effect and the references are exchangeable (Vovk et al.
    2005); Benjamini and Hochberg's procedure may be used on them (Bates et al. 2023, Ann Stat 51:149).

    Args:
        scores: (N,).
        references: (M,), of wells that took no part in what the scores were made with.
    """
    below = np.searchsorted(np.sort(references), scores, side="left")
    return np.asarray((1 + len(references) - below) / (1 + len(references)), dtype=np.float64)
