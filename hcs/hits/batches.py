"""In how many batches a hit holds by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.hits.hit_pool import HitPool
from hcs.statistics.permutation import DesignTest

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
        """What `batch_supports` says in one word."""
        if self.n_batches == 1:
            return "one_batch"
        if self.n_testable < 2:
            return "cannot_tell"
        if self.n_holding == self.n_testable:
            return "every_batch"
        return "some_batches" if self.n_holding else "no_batch"


def batch_supports(pool: HitPool, *, batches: NDArray[np.integer], seed: int) -> list[BatchSupport]:
    """Return in which batches the replicates of each hit agree, those of each batch against the controls of its plates.

    - `every_batch`, `some_batches`, `no_batch`: in how many of the batches that can reach p <= .05 the test does.
    - `one_batch`: all replicates are of one batch, so that it is not known whether it would hold in another.
    - `cannot_tell`: fewer than two batches have the wells to reach p <= .05.

    Args:
        pool: The hits' wells and their controls; replicates on plates without a control have no say.
        batches: (R,), of the replicates' plates.
        seed: Of the run.
    """
    used = pool.has_controls
    members = np.unique(batches[used]).tolist()
    tests: list[dict[int, DesignTest]] = [{} for _ in pool.replicates]
    for batch in members:
        is_own = used & (batches == batch)
        if is_own.sum() < 2:
            continue
        found = pool.of_replicates(is_own).tests(seed=seed, max_draws=_MAX_DRAWS)
        for of_hit, test in zip(tests, found, strict=True):
            of_hit[int(batch)] = test
    return [BatchSupport(len(members), of_hit) for of_hit in tests]
