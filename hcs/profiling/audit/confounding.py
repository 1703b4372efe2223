"""Whether what was done to wells can be told from where and when it was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.profiling.audit.wells import AuditWells

LEAST_SHARED: Final = 0.1
"""With a smaller share of perturbations in more than one level, as a few reference compounds, a design of full rank is
confounded all the same: nothing is known of the others."""


@dataclass(frozen=True)
class Confounding:
    """What the rank of the design says of one factor and the perturbations of treated wells."""

    factor: str
    """A column, as batch, plate, instrument or cell line."""
    n_levels: int
    n_lost: int
    """Contrasts between levels that no perturbation allows to estimate; 0 where the design has full rank."""
    n_in_several: int
    """Perturbations that are in more than one level."""
    n_perturbations: int

    @property
    def is_confounded(self) -> bool:
        """Whether levels share no perturbation, not even through others, or so few that they stand for nothing."""
        return self.n_lost > 0 or (self.n_levels > 1 and self.n_in_several < LEAST_SHARED * self.n_perturbations)

    @property
    def sentence(self) -> str:
        """Return what it means in words."""
        if self.n_levels < 2:
            return f"{self.factor} has one value, so nothing can be confounded with it"
        shared = f"{self.n_in_several} of {self.n_perturbations} perturbations are in more than one {self.factor}"
        if self.is_confounded and not self.n_lost:
            return f"{self.factor} and perturbation are confounded but for a few: {shared}"
        if self.is_confounded:
            return (
                f"{self.factor} and perturbation are confounded: {self.n_lost} of {self.n_levels - 1} differences "
                f"between its {self.n_levels} values cannot be told from those of perturbations ({shared})"
            )
        return f"{self.factor} and perturbation can be told apart: {shared}"


@dataclass(frozen=True)
class LayoutSharing:
    """Whether perturbations stand in the same positions in all batches."""

    is_identical: bool
    """The same perturbations in the same positions in every batch."""
    same_position_share: float
    """Of pairs of wells of one perturbation in two batches, those in the same position."""

    @property
    def sentence(self) -> str:
        """Return what it means in words."""
        if self.is_identical:
            return (
                "the layout is identical in all batches: what a position does cannot be told from what the "
                "perturbation does, replicates count only where they are in other positions, and "
                "position-matched controls stand beside every figure"
            )
        return f"{self.same_position_share:.0%} of the replicates in two batches stand in the same position"


def confounding(factor: str, levels: NDArray[np.intp], perturbations: NDArray[np.intp]) -> Confounding:
    """Return whether one factor is confounded with the perturbations.

    The design has a column for every level and one for every perturbation. Its rank is their number less the number of
    groups of levels that share perturbations, directly or through others (the components of the graph between both):
    with more than one group, that many differences less one are lost. The count is exact; no matrix is decomposed.

    Args:
        factor: Its name.
        levels: (N,), of treated wells; -1 where the factor says nothing.
        perturbations: (N,), of the same wells.
    """
    is_told = (levels >= 0) & (perturbations >= 0)
    pairs = np.unique(np.stack([levels[is_told], perturbations[is_told]]), axis=1)
    names, places = np.unique(pairs[0], return_inverse=True)
    _, which, counts = np.unique(pairs[1], return_inverse=True, return_counts=True)
    group = np.arange(len(names))
    while True:  # levels that share a perturbation take the smallest number of theirs, until nothing changes
        smallest = np.full(len(counts), len(names))
        np.minimum.at(smallest, which, group[places])
        grown = group.copy()
        np.minimum.at(grown, places, smallest[which])
        if (grown == group).all():
            break
        group = grown
    n_groups = len(np.unique(group))
    return Confounding(factor, len(names), max(n_groups - 1, 0), int((counts > 1).sum()), len(counts))


def confoundings(wells: AuditWells) -> tuple[Confounding, ...]:
    """Return it for every factor of treated wells: batch, plate and those that were named."""
    treated = wells.is_treated
    numbers = wells.design.perturbations[treated]
    return tuple(confounding(name, levels[treated], numbers) for name, levels in wells.factors.items())


def layout_sharing(wells: AuditWells) -> LayoutSharing | None:
    """Return whether the layout is the same in all batches; None without positions or with a single batch."""
    treated = wells.is_treated
    batches = wells.design.batches[treated]
    if wells.positions is None or len(np.unique(batches)) < 2:
        return None
    positions, numbers = wells.positions[treated], wells.design.perturbations[treated]
    places = np.unique(np.stack([batches, numbers, positions]), axis=1)
    of_batch = [places[1:, places[0] == batch] for batch in np.unique(batches)]
    is_identical = all(np.array_equal(of_batch[0], other) for other in of_batch[1:])
    n_pairs = _pairs_across(np.unique(numbers, return_inverse=True)[1], batches)
    _, in_place = np.unique(np.stack([numbers, positions]), axis=1, return_inverse=True)
    n_same = _pairs_across(in_place.ravel(), batches)
    return LayoutSharing(is_identical, n_same / n_pairs if n_pairs else 0.0)


def _pairs_across(groups: NDArray[np.intp], batches: NDArray[np.intp]) -> float:
    """Return how many pairs of wells are of one group and two batches."""
    own = np.bincount(groups).astype(float)
    _, both = np.unique(np.stack([groups, batches]), axis=1, return_counts=True)
    return float((own**2).sum() - (both.astype(float) ** 2).sum()) / 2
