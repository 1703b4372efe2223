"""Harmony of profiles: fitted on all wells without their labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.profiling.corrections.correction import Corrected, Design
from hcs.profiling.finite import refuse_missing
from hcs.statistics.harmony import HarmonyOptions, harmonize


def harmony(
    values: NDArray[np.floating], design: Design, *, options: HarmonyOptions | None = None, seed: int = 0
) -> Corrected:
    """Return profiles whose clusters hold all batches in like shares.

    What is clustered is the direction of each profile from the origin, so profiles are expected to be normalized.

    Args:
        values: (W, D), finite. Time grows with W x D; hundreds of components do as well as thousands of features.
        design: Batches.
        options: Of the algorithm.
        seed: Of the first centres and of the blocks.

    Returns:
        (W, D), in the dtype of the values; the same for any order of the wells and number of threads, to rounding.

    Raises:
        InputRejectedError: If a value is not finite.
        UsageError: If an option is out of its range.
    """
    refuse_missing(values)
    on = f"all {len(values):,} wells without their labels"
    _, batches, sizes = np.unique(design.batches, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        return Corrected(values, on, len(values), ("all wells are of one batch: nothing was removed",))
    result = harmonize(values, batches, options=options, seed=seed)
    n_clusters = result.memberships.shape[1]
    notes = []
    if sizes.min() < n_clusters:
        notes.append(
            f"{int((sizes < n_clusters).sum())} batches have fewer wells than there are clusters ({n_clusters}), the "
            f"smallest {sizes.min()}: they were moved by less, as the ridge of the regression holds them back"
        )
    return Corrected(result.values, on, len(values), tuple(notes))
