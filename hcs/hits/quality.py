"""Whether the wells of a hit were flagged more often than controls were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
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


def quality_of_hits(
    flags: NDArray[np.float64],
    plates: NDArray[np.integer],
    *,
    control_flags: NDArray[np.float64],
    control_plates: NDArray[np.integer],
) -> list[WellQuality]:
    """Return whether each hit's wells are flagged more often than the negative controls of their plates.

    Within each plate the flags are dealt over replicates and controls alike; the number that falls on replicates, added
    up over plates, has a known distribution. This is Fisher's exact test, stratified by plate.

    - `flagged_more`: p <= .05; or at least half of the wells are flagged, and at most half that share of the controls.
    - `as_controls`: neither.
    - `cannot_tell`: no replicate was looked at on a plate with a control that was.

    Args:
        flags: (T, R), of the replicates: 1 where a flag says that an image of the well is out of focus, saturated or
            the like, 0 where none does, NaN where quality is unknown.
        plates: (R,), of the replicates.
        control_flags: (C,), of the negative controls.
        control_plates: (C,).
    """
    on_plates = {}
    for plate in np.unique(plates).tolist():
        known = control_flags[(control_plates == plate) & np.isfinite(control_flags)]
        if len(known):
            on_plates[plate] = _Flags(len(known), int((known > 0).sum()))
    return [_quality(_by_plate(row, plates), on_plates) for row in flags]


@dataclass(frozen=True)
class _Flags:
    """Wells whose quality is known."""

    n_wells: int
    n_flagged: int

    @classmethod
    def of_all(cls, plates: Iterable[_Flags]) -> _Flags:
        """Return the wells of several plates together."""
        counts = [(plate.n_wells, plate.n_flagged) for plate in plates]
        return cls(sum(n for n, _ in counts), sum(n for _, n in counts))


def _by_plate(flags: NDArray[np.float64], plates: NDArray[np.integer]) -> dict[int, _Flags]:
    known = np.isfinite(flags)
    names, plate_of = np.unique(plates[known], return_inverse=True)
    n_wells, n_flagged = np.bincount(plate_of), np.bincount(plate_of, weights=flags[known] > 0)
    return {
        name: _Flags(n, int(flagged))
        for name, n, flagged in zip(names.tolist(), n_wells.tolist(), n_flagged.tolist(), strict=True)
    }


def _quality(own: dict[int, _Flags], controls: dict[int, _Flags]) -> WellQuality:
    both = [(own[plate], controls[plate]) for plate in own if plate in controls]
    if not both:
        return WellQuality("cannot_tell", 0, 0, float("nan"), None)
    distribution = np.ones(1)
    for mine, theirs in both:
        chances = _chances(mine.n_wells + theirs.n_wells, mine.n_flagged + theirs.n_flagged, mine.n_wells)
        distribution = np.convolve(distribution, chances)
    mine, theirs = (_Flags.of_all(flags) for flags in zip(*both, strict=True))
    n_wells, n_flagged, of_controls = mine.n_wells, mine.n_flagged, theirs.n_flagged / theirs.n_wells
    p_value = min(1.0, float(distribution[n_flagged:].sum()))
    is_more = p_value <= SIGNIFICANCE or n_flagged / n_wells >= max(0.5, 2 * of_controls)
    return WellQuality("flagged_more" if is_more else "as_controls", n_flagged, n_wells, of_controls, p_value)


@lru_cache(maxsize=4096)
def _chances(n_wells: int, n_flagged: int, n_drawn: int) -> NDArray[np.float64]:
    """Return the probability of each number of flags, 0 to `n_drawn`, among wells drawn from a plate."""
    return np.asarray(hypergeom.pmf(np.arange(n_drawn + 1), n_wells, n_flagged, n_drawn))
