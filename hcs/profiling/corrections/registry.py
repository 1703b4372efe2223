"""The corrections by their names, in the order in which steps are taken."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from hcs.profiling.corrections.combat import combat
from hcs.profiling.corrections.correction import Corrected, Correction, Design
from hcs.profiling.corrections.count import cell_count
from hcs.profiling.corrections.harmony import harmony
from hcs.profiling.corrections.position_loess import loess
from hcs.profiling.corrections.position_means import well_position_means
from hcs.profiling.corrections.position_polish import b_score, median_polish
from hcs.profiling.corrections.sphering import sphering
from hcs.profiling.corrections.tvn import coral, tvn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def uncorrected(values: NDArray[np.floating], design: Design) -> Corrected:
    """Return the profiles as they are: the baseline of every comparison."""
    return Corrected(values, fitted_on="nothing", n_fitted=0)


CORRECTIONS: Mapping[str, Correction] = MappingProxyType(
    {
        "none": uncorrected,
        "wellpos": well_position_means,
        "median-polish": median_polish,
        "b-score": b_score,
        "loess": loess,
        "cell-count": cell_count,
        "sphering": sphering,
        "tvn": tvn,
        "coral": coral,
        "combat": combat,
        "harmony": harmony,
    }
)
"""What `--method` of `hcs profiles correct` and the audit know."""
