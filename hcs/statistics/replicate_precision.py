"""How far up the replicates of treatments find one another among the negative controls of their own plates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.average_precision import negatives_above, precisions_of_counts
from hcs.statistics.similarity import unit_rows

_VALUES_AT_ONCE = 2_000_000
"""Features of replicates that are looked at together: 16 MB."""


def mean_average_precisions(
    replicates: NDArray[np.floating],
    replicate_plates: NDArray[np.integer],
    controls: NDArray[np.floating],
    control_plates: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the mean average precision of each treatment's replicates, (T,), as copairs defines it.

    Every replicate is a query, all other replicates on any plate are its positives, the controls of its own plate its
    negatives; similarity is the cosine of the profiles as they are.

    Args:
        replicates: (T, R, D), R at least two.
        replicate_plates: (R,), the same for all treatments.
        controls: (C, D), on every replicate's plate at least one.
        control_plates: (C,).
    """
    units, _ = unit_rows(np.asarray(controls, dtype=np.float64))
    step = max(1, _VALUES_AT_ONCE // (replicates.shape[1] * replicates.shape[2]))
    parts = [
        _of_some(replicates[start : start + step], replicate_plates, units, control_plates)
        for start in range(0, len(replicates), step)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _of_some(
    replicates: NDArray[np.floating],
    replicate_plates: NDArray[np.integer],
    controls: NDArray[np.float64],
    control_plates: NDArray[np.integer],
) -> NDArray[np.float64]:
    n_treatments, n_own, n_features = replicates.shape
    flat, _ = unit_rows(np.asarray(replicates, dtype=np.float64).reshape(-1, n_features))
    units = flat.reshape(replicates.shape)
    with_own = units @ units.transpose(0, 2, 1)
    precisions = np.empty((n_treatments, n_own))
    for query in range(n_own):
        negatives = units[:, query] @ controls[control_plates == replicate_plates[query]].T
        positives = np.delete(with_own[:, query], query, axis=1)
        precisions[:, query] = precisions_of_counts(negatives_above(positives, negatives))
    return np.asarray(precisions.mean(axis=1))
