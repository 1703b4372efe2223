"""In how many batches a hit holds by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.permutation import DesignTest, permutation_test

BatchVerdict = Literal["every_batch", "some_batches", "no_batch", "one_batch", "cannot_tell"]

SIGNIFICANCE = 0.05
"""One question a batch, of what is a hit already: no correction for many tests."""
_MAX_DRAWS = 399
"""Enough to compare p with 0.05: of 399 draws 19 may be as extreme."""


@dataclass(frozen=True)
class BatchSupport:
    """What the batches of a hit say, each by itself."""

    n_batches: int
    tests: dict[int, DesignTest]
    """Batch -> its test; batches with fewer than two replicates beside controls have none."""

    @property
    def n_testable(self) -> int:
        """Batches whose wells are enough to reach p <= .05."""
        return sum(test.smallest_possible_p <= SIGNIFICANCE for test in self.tests.values())

    @property
    def n_holding(self) -> int:
        """Batches with p <= .05."""
        return sum(test.p_value <= SIGNIFICANCE for test in self.tests.values())

    @property
    def verdict(self) -> BatchVerdict:
        """What `batch_support` says in one word."""
        if self.n_batches == 1:
            return "one_batch"
        if self.n_testable < 2:
            return "cannot_tell"
        if self.n_holding == self.n_testable:
            return "every_batch"
        return "some_batches" if self.n_holding else "no_batch"


def batch_support(
    profiles: NDArray[np.float64],
    plates: NDArray[np.integer],
    is_replicate: NDArray[np.bool_],
    *,
    batches: NDArray[np.integer],
    seed: int,
) -> BatchSupport:
    """Return in which batches the replicates of a hit agree, those of each batch against the controls of its plates.

    - `every_batch`, `some_batches`, `no_batch`: in how many of the batches that can reach p <= .05 the test does.
    - `one_batch`: all replicates are of one batch, so that it is not known whether it would hold in another.
    - `cannot_tell`: fewer than two batches have the wells to reach p <= .05.

    Args:
        profiles: (P, D), the replicates and the negative controls of their plates.
        plates: (P,), each of one batch.
        is_replicate: (P,).
        batches: (P,).
        seed: Of the run.
    """
    used = is_replicate & np.isin(plates, plates[~is_replicate])
    members = np.unique(batches[used]).tolist()
    tests = {}
    for batch in members:
        is_own = (batches == batch) & np.isin(plates, plates[used & (batches == batch)])
        if (used & is_own).sum() >= 2:
            tests[int(batch)] = permutation_test(
                profiles[is_own], plates[is_own], is_replicate[is_own], seed=seed, max_draws=_MAX_DRAWS
            )
    return BatchSupport(len(members), tests)
