"""Whether the number of cells is all that a hit changes.

Counting cells is a strong baseline (Seal et al. 2026, Nat Commun, s41467-026-68725-5): a compound that only kills makes
wells emptier, and emptier wells look different. A call is therefore given beside what the count explains of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.hits.count_model import curve_variance, expected_profiles
from hcs.hits.effect import Deviation, deviation
from hcs.hits.strata import in_stratum_of
from hcs.hits.treatments import ScreenWells
from hcs.statistics.permutation import permutation_test

CountVerdict = Literal["explained", "not_explained", "cannot_tell"]

NOTHING_LEFT, SOMETHING_LEFT = 0.05, 0.01
"""A residual with a p-value above the first is nothing that the replicates agree on; one up to the second is something.
Between them lies what one in 25 generic cytotoxics has by chance."""
STANDARD_ERRORS = 2.0
"""By which counts must differ from the controls', and a residual from what the count model may err."""
SUPPORT_WINDOW = 0.125
"""Counts near a treatment's: this far from it, in square roots of the count ratio (about a quarter near 1)."""
MIN_SUPPORT_WELLS = 8
MIN_SUPPORT_PERTURBATIONS = 3
"""Fewer other perturbations with such counts cannot tell the count from what they have in common otherwise."""
MOST_OF_THE_EFFECT, NEARLY_ALL_OF_THE_EFFECT = 0.5, 0.9
_MAX_DRAWS = 999
"""Enough to compare p with 0.01."""


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
    screen: ScreenWells,
    ratios: NDArray[np.float64],
    replicates: NDArray[np.intp],
    *,
    strata: NDArray[np.integer] | None = None,
    seed: int,
) -> CountVerdict:
    """Return whether the number of cells accounts for what the replicates of a hit have in common.

    What a count does to a profile is learned from all wells of the screen, labels ignored and the perturbation's own
    wells left out (`count_model.expected_profiles`). It is subtracted from the replicates and their controls, and what
    is left is tested as the treatment was.

    - `not_explained`: the counts differ from the controls' by less than two standard errors; or what is left is
      significant (p <= .01) and exceeds two standard errors of the count model.
    - `explained`: what is left is not significant (p > .05), and at least half of the effect's square is gone; or nine
      tenths of it are gone.
    - `cannot_tell`: anything else, that is: counts are missing; fewer than 8 wells of 3 other perturbations have counts
      near the treatment's; what is left is more than noise, but no more than the count model may err, because those
      perturbations do not look alike; it may be noise (p between .01 and .05); or it is noise, but neither did much go.

    Where all perturbations with such a count share a mechanism, its phenotype passes for the count's: nothing in the
    wells tells the two apart.

    Args:
        screen: The wells.
        ratios: (N,), `count_ratios` of them.
        replicates: Rows of the treatment's wells on plates with negative controls.
        strata: (N,), a number a cell line and time point: what a count does is learned from wells of the same one.
        seed: Of the run.

    Raises:
        InputRejectedError: If the replicates lie in more than one stratum.
    """
    is_comparable = in_stratum_of(replicates, strata=strata, n_wells=len(ratios))
    positions = np.sqrt(ratios)
    replicates = replicates[np.isfinite(positions[replicates])]
    controls = screen.negcons_of(screen.plates[replicates])
    controls = controls[np.isfinite(positions[controls])]
    replicates = replicates[np.isin(screen.plates[replicates], screen.plates[controls])]
    if len(replicates) < 2:
        return "cannot_tell"
    comparison = _Comparison(
        screen=screen,
        positions=positions,
        replicates=replicates,
        pool=np.sort(np.concatenate([replicates, controls])),
        others=np.flatnonzero(
            is_comparable & np.isfinite(positions) & (screen.perturbations != screen.perturbations[replicates[0]])
        ),
    )
    if not comparison.counts_differ():
        return "not_explained"
    if not comparison.is_supported():
        return "cannot_tell"
    return comparison.verdict(seed=seed)


def has_count_matches(screen: ScreenWells, ratios: NDArray[np.float64], replicates: NDArray[np.intp]) -> bool:
    """Return whether enough wells of other perturbations hold about as many cells to know what such a count does."""
    positions = np.sqrt(ratios)
    counted = replicates[np.isfinite(positions[replicates])]
    if not len(counted):
        return False
    others = np.flatnonzero(np.isfinite(positions) & (screen.perturbations != screen.perturbations[counted[0]]))
    return _are_matched(screen.perturbations[others], np.abs(positions[others] - np.median(positions[counted])))


def _are_matched(perturbations: NDArray[np.intp], distances: NDArray[np.float64]) -> bool:
    near = perturbations[distances <= SUPPORT_WINDOW]
    return len(near) >= MIN_SUPPORT_WELLS and len(np.unique(near)) >= MIN_SUPPORT_PERTURBATIONS


@dataclass(frozen=True)
class _Comparison:
    """Replicates and controls with counts, before and after the count model is subtracted."""

    screen: ScreenWells
    positions: NDArray[np.float64]
    """(N,), square roots of count ratios."""
    replicates: NDArray[np.intp]
    pool: NDArray[np.intp]
    """Replicates and the controls of their plates."""
    others: NDArray[np.intp]
    """All wells with a count but those of the treatment's perturbation, at whatever dose."""

    @property
    def _position(self) -> float:
        return float(np.median(self.positions[self.replicates]))

    def counts_differ(self) -> bool:
        """Compare the counts as profiles of one feature."""
        length = self._deviation(self.positions[self.pool][:, None]).effect
        return bool(length > STANDARD_ERRORS or np.isnan(length))

    def is_supported(self) -> bool:
        """Say whether enough other wells have such counts to know what they do."""
        distances = np.abs(self.positions[self.others] - self._position)
        return _are_matched(self.screen.perturbations[self.others], distances)

    def verdict(self, *, seed: int) -> CountVerdict:
        """Subtract what the counts do, and judge what is left."""
        profiles = self.screen.profiles[self.pool]
        residuals = profiles - expected_profiles(
            self.positions[self.others], self.screen.profiles[self.others], at=self.positions[self.pool]
        )
        before, after = self._deviation(profiles), self._deviation(residuals)
        # Controls have an effect of 1: the square beyond it is signal.
        signal_before, signal_after = before.effect**2 - 1, max(0.0, after.effect**2 - 1)
        if not signal_before > 0 or np.isnan(after.effect):
            return "cannot_tell"
        gone = 1 - signal_after / signal_before
        p_left = self._p_value(residuals, seed=seed)
        if p_left <= SOMETHING_LEFT and signal_after > STANDARD_ERRORS**2 * self._signal_of_the_model(after):
            return "not_explained"
        if gone >= NEARLY_ALL_OF_THE_EFFECT or (gone >= MOST_OF_THE_EFFECT and p_left > NOTHING_LEFT):
            return "explained"
        return "cannot_tell"

    def _signal_of_the_model(self, after: Deviation) -> float:
        """Return the squared effect that the error of the count model makes: all replicates share it."""
        others = self.others
        variance = curve_variance(
            self.positions[others],
            self.screen.profiles[others],
            self.screen.perturbations[others],
            at=self._position,
        )
        return variance * after.weight / after.control_variance

    def _p_value(self, profiles: NDArray[np.float64], *, seed: int) -> float:
        plates, is_replicate = self.screen.plates[self.pool], np.isin(self.pool, self.replicates)
        return permutation_test(profiles, plates, is_replicate, seed=seed, max_draws=_MAX_DRAWS).p_value

    def _deviation(self, profiles: NDArray[np.float64]) -> Deviation:
        return deviation(profiles, self.screen.plates[self.pool], np.isin(self.pool, self.replicates))
