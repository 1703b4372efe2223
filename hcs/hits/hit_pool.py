"""Hits that lie on the same plates, so that what is compared with them is looked up once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.hits.effect import deviations
from hcs.statistics.permutation import DesignTest, design_tests


@dataclass(frozen=True)
class HitPool:
    """The wells of T hits that have as many replicates as one another on each plate, and the controls beside them."""

    replicates: NDArray[np.float64]
    """(T, R, D)."""
    plates: NDArray[np.integer]
    """(R,), any integers, one a plate."""
    controls: NDArray[np.float64]
    """(C, D), the negative controls to compare with."""
    control_plates: NDArray[np.integer]
    """(C,)."""

    @property
    def has_controls(self) -> NDArray[np.bool_]:
        """(R,), which replicates lie on a plate with a control."""
        return np.isin(self.plates, self.control_plates)

    def of_replicates(self, chosen: NDArray[np.bool_]) -> HitPool:
        """Return some of the replicates (R,) of every hit, with the controls of their plates."""
        plates = self.plates[chosen]
        is_beside = np.isin(self.control_plates, plates)
        return HitPool(self.replicates[:, chosen], plates, self.controls[is_beside], self.control_plates[is_beside])

    def of_columns(self, columns: NDArray[np.intp]) -> HitPool:
        """Return some of the features."""
        return HitPool(self.replicates[:, :, columns], self.plates, self.controls[:, columns], self.control_plates)

    def of_hits(self, hits: NDArray[np.intp]) -> HitPool:
        """Return some of the hits."""
        return HitPool(self.replicates[hits], self.plates, self.controls, self.control_plates)

    def tests(self, *, seed: int, max_draws: int) -> list[DesignTest]:
        """Return the joint design permutation of each hit. Every plate must have a replicate and a control."""
        return design_tests(
            self.controls, self.control_plates, self.replicates, self.plates, seed=seed, max_draws=max_draws
        )

    def effects(self) -> list[float]:
        """Return how far each hit lies from the controls; NaN where these have no variance."""
        found = deviations(self.controls, self.control_plates, self.replicates, self.plates)
        return [item.effect for item in found]
