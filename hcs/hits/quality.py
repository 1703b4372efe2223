"""Whether the wells of a hit were flagged more often than controls were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

QualityVerdict = Literal["flagged_more", "as_controls", "cannot_tell"]

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class WellQuality:
    """Quality flags of a hit's wells beside those of the controls of their plates."""

    verdict: QualityVerdict
    n_flagged: int
    n_wells: int
    share_of_controls: float
    """NaN without controls of known quality."""
    p_value: float | None
    """One-sided: flags no more frequent than in controls."""


def quality_of_wells(
    flags: NDArray[np.float64], plates: NDArray[np.integer], is_replicate: NDArray[np.bool_]
) -> WellQuality:
    """Return whether a hit's wells are flagged more often than the negative controls of their plates.

    Within each plate the flags are dealt over replicates and controls alike; the number that falls on replicates, added
    up over plates, has a known distribution. This is Fisher's exact test, stratified by plate.

    - `flagged_more`: p <= .05; or at least half of the wells are flagged, and at most half that share of the controls.
    - `as_controls`: neither.
    - `cannot_tell`: no replicate was looked at on a plate with a control that was.

    Args:
        flags: (P,), of the replicates and the negative controls of their plates: 1 where a flag says that an image of
            the well is out of focus, saturated or the like, 0 where none does, NaN where quality is unknown.
        plates: (P,).
        is_replicate: (P,).
    """
    known = np.isfinite(flags)
    both = np.intersect1d(plates[known & is_replicate], plates[known & ~is_replicate])
    used = known & np.isin(plates, both)
    is_flagged, plates, is_replicate = flags[used] > 0, plates[used], is_replicate[used]
    n_wells, n_flagged = int(is_replicate.sum()), int((is_flagged & is_replicate).sum())
    if not n_wells:
        return WellQuality("cannot_tell", 0, 0, float("nan"), None)
    distribution = np.ones(1)
    for plate in both:
        on_plate = plates == plate
        drawn = int((on_plate & is_replicate).sum())
        chances = hypergeom.pmf(np.arange(drawn + 1), int(on_plate.sum()), int((on_plate & is_flagged).sum()), drawn)
        distribution = np.convolve(distribution, chances)
    p_value = min(1.0, float(distribution[n_flagged:].sum()))
    share, of_controls = n_flagged / n_wells, float(is_flagged[~is_replicate].mean())
    is_more = p_value <= SIGNIFICANCE or share >= max(0.5, 2 * of_controls)
    return WellQuality("flagged_more" if is_more else "as_controls", n_flagged, n_wells, of_controls, p_value)
