"""Whether the number of cells is all that a hit changes.

Counting cells is a strong baseline (Seal et al. 2026, Nat Commun, s41467-026-68725-5): a compound that only kills makes
wells emptier, and emptier wells look different. A call is therefore given beside what the count explains of it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.hits.count_model import expected_profiles
from hcs.hits.effect import effect_length
from hcs.hits.treatments import ScreenWells
from hcs.statistics.permutation import permutation_test

CountVerdict = Literal["explained", "not_explained", "cannot_tell"]

SIGNIFICANCE = 0.05
"""A residual with a larger p-value is nothing that the replicates agree on."""
COUNT_SHIFT = 2.0
"""Standard errors by which counts differ from the controls' before they can explain anything."""
SUPPORT_WINDOW = 0.125
"""Counts near a treatment's: this far from it, in square roots of the count ratio (about a quarter near 1)."""
MIN_SUPPORT_WELLS = 8
MIN_SUPPORT_PERTURBATIONS = 3
"""Fewer other perturbations with such counts cannot tell the count from what they have in common otherwise."""
MOST_OF_THE_EFFECT, NEARLY_ALL_OF_THE_EFFECT = 0.5, 0.9
_MAX_DRAWS = 999
"""Enough to compare p with 0.05."""


def count_ratios(
    cell_counts: NDArray[np.float64], plates: NDArray[np.intp], is_negcon: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return every well's cell count over the median of its plate's negative controls.

    Args:
        cell_counts: (N,), NaN where nothing was counted.
        plates: (N,).
        is_negcon: (N,).

    Returns:
        (N,), NaN without a count, or where the plate has no counted control or their median is 0.
    """
    ratios = np.full(len(cell_counts), np.nan)
    for plate in np.unique(plates):
        on_plate = plates == plate
        controls = cell_counts[on_plate & is_negcon & np.isfinite(cell_counts)]
        if controls.size and np.median(controls) > 0:
            ratios[on_plate] = cell_counts[on_plate] / np.median(controls)
    return ratios


def explained_by_count(
    screen: ScreenWells, ratios: NDArray[np.float64], replicates: NDArray[np.intp], *, seed: int
) -> CountVerdict:
    """Return whether the number of cells accounts for what the replicates of a hit have in common.

    What a count does to a profile is learned from all wells of the screen, labels ignored and the perturbation's own
    wells left out (`count_model.expected_profiles`). It is subtracted from the replicates and their controls, and what
    is left is tested as the treatment was.

    - `not_explained` if the counts do not differ from the controls' (by two standard errors), or if the replicates
      still agree on something after the subtraction, or if less than half of the effect's square went with it.
    - `explained` if the residual has p > .05 and at least half of the effect's square is gone, or nine tenths of it are
      gone whatever p is.
    - `cannot_tell` if counts are missing, or fewer than 8 wells of 3 other perturbations have counts near the
      treatment's. Where all of those share a mechanism, its phenotype passes for the count's: nothing in the wells
      tells the two apart.

    Args:
        screen: The wells.
        ratios: (N,), `count_ratios` of them.
        replicates: Rows of the treatment's wells on plates with negative controls.
        seed: Of the run.
    """
    positions = np.sqrt(ratios)
    replicates = replicates[np.isfinite(positions[replicates])]
    controls = screen.negcons_of(screen.plates[replicates])
    controls = controls[np.isfinite(positions[controls])]
    replicates = replicates[np.isin(screen.plates[replicates], screen.plates[controls])]
    if len(replicates) < 2:
        return "cannot_tell"
    if not _counts_differ(screen, positions, replicates, controls):
        return "not_explained"
    is_other = np.isfinite(positions) & (screen.perturbations != screen.perturbations[replicates[0]])
    if not _is_supported(screen.perturbations[is_other], positions[is_other], float(np.median(positions[replicates]))):
        return "cannot_tell"
    pool = np.sort(np.concatenate([replicates, controls]))
    expected = expected_profiles(positions[is_other], screen.profiles[is_other], at=positions[pool])
    return _verdict(screen, pool, replicates, expected, seed=seed)


def _counts_differ(
    screen: ScreenWells, positions: NDArray[np.float64], replicates: NDArray[np.intp], controls: NDArray[np.intp]
) -> bool:
    """Compare counts as `effect_length` compares profiles: a profile of one feature."""
    pool = np.sort(np.concatenate([replicates, controls]))
    length = effect_length(positions[pool][:, None], screen.plates[pool], np.isin(pool, replicates))
    return bool(length > COUNT_SHIFT or np.isnan(length))


def _is_supported(perturbations: NDArray[np.intp], positions: NDArray[np.float64], position: float) -> bool:
    near = perturbations[np.abs(positions - position) <= SUPPORT_WINDOW]
    return len(near) >= MIN_SUPPORT_WELLS and len(np.unique(near)) >= MIN_SUPPORT_PERTURBATIONS


def _verdict(
    screen: ScreenWells,
    pool: NDArray[np.intp],
    replicates: NDArray[np.intp],
    expected: NDArray[np.float64],
    *,
    seed: int,
) -> CountVerdict:
    profiles, plates, is_replicate = screen.profiles[pool], screen.plates[pool], np.isin(pool, replicates)
    residuals = profiles - expected
    before = effect_length(profiles, plates, is_replicate)
    after = effect_length(residuals, plates, is_replicate)
    # An effect of 1 is what control wells have: the square beyond it is signal.
    gone = 1 - max(0.0, after**2 - 1) / max(before**2 - 1, 1e-9)
    if np.isnan(gone):
        return "cannot_tell"
    if gone >= NEARLY_ALL_OF_THE_EFFECT:
        return "explained"
    p_value = permutation_test(residuals, plates, is_replicate, seed=seed, max_draws=_MAX_DRAWS).p_value
    return "explained" if p_value > SIGNIFICANCE and gone >= MOST_OF_THE_EFFECT else "not_explained"
