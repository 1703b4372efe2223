"""The null distribution of average precision when ranks are drawn at random, as copairs has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout, draw_designs

NULL_SIZE = 10_000


def random_average_precisions(
    *, n_positives: int, n_candidates: int, seed: int, size: int = NULL_SIZE
) -> NDArray[np.float32]:
    """Return average precisions of positives that stand at random among their candidates, (size,) float32.

    The draws follow from the seed and the two numbers alone, so that what is asked beside them changes nothing. They
    have single precision, as those of copairs: a score that equals one of them is then judged alike.

    Args:
        n_positives: At least 1.
        n_candidates: Positives and negatives.
        seed: Of the run.
        size: Draws.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, n_positives, n_candidates]))
    places = np.sort(draw_designs(Layout((n_candidates,), (n_positives,)), size, rng), axis=1) + 1
    precision = np.arange(1, n_positives + 1, dtype=np.float32) / places.astype(np.float32)
    return np.asarray(precision.sum(axis=1) / np.float32(n_positives), dtype=np.float32)


def mean_precision_p_value(
    mean_precision: float,
    n_positives: NDArray[np.intp],
    n_candidates: NDArray[np.intp],
    *,
    seed: int,
    size: int = NULL_SIZE,
) -> float:
    """Return copairs' p-value of a mean of average precisions: (1 + draws that exceed it) over (1 + draws).

    A draw is the mean of one draw a row, which is the same draw for rows with equal numbers; that makes the p-value
    of several rows larger than it need be, and that of a perfect score 1 / (1 + draws) in every layout
    (`hcs.statistics.label_permutation` has neither).

    Args:
        mean_precision: Over the rows.
        n_positives: (R,), of each row.
        n_candidates: (R,).
        seed: Of the run.
        size: Draws.
    """
    pairs, counts = np.unique(np.stack([n_positives, n_candidates], axis=1), axis=0, return_counts=True)
    null = np.zeros(size)
    for (positives, candidates), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        draws = random_average_precisions(n_positives=positives, n_candidates=candidates, seed=seed, size=size)
        null += draws.astype(np.float64) * (count / len(n_positives))
    return (1 + int((null > mean_precision).sum())) / (1 + size)
