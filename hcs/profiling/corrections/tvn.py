"""Typical variation normalization (Ando and others 2017, bioRxiv 161422) and CORAL (Sun, Feng and Saenko 2016).

Both say: what negative controls of a batch vary along is typical, and not biology. After it every batch's controls
have the same covariance: the identity (`tvn`, as in the EFAAR benchmarks of Recursion), or that of the controls of all
batches (`coral`).

Both go through a frame in which the controls of all batches together have unit covariance; the principal components of
the published form are a rotation of it, which no cosine and no distance sees. In this frame a batch's covariance is
near the identity if it is like the others, and that is what it is shrunk to, by the weight of Ledoit and Wolf, before
the ridge of the published form is added. With many controls the published forms come out; with few a batch takes
little more than a centre and a size of its own. The pooled covariance is shrunk in the same way, so that directions
which no control varies along, and treated wells may, are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hcs.profiling.corrections.batch_controls import BatchControls, batch_controls, fitted_sentence
from hcs.profiling.corrections.correction import Corrected, Design
from hcs.statistics.covariance import Shrunk, Spectrum, ledoit_wolf

RIDGE = 0.5
"""Added to the variances of a batch in the common frame, where they are 1 on average."""

_MOSTLY_SHRUNK = 0.5
_ROWS_AT_ONCE = 4096


def tvn(values: NDArray[np.floating], design: Design, *, ridge: float = RIDGE) -> Corrected:
    """Return profiles in which the controls of every batch have about the identity as covariance.

    Centred on each batch's controls, scaled by their pooled standard deviation, whitened by the pooled covariance, and
    per batch multiplied by (covariance of its controls + ridge)^(-1/2).

    Args:
        values: (W, D), finite.
        design: Batches, and which negative controls may be looked at.
        ridge: Keeps quiet directions of few controls from being blown up.

    Returns:
        (W, D), in the dtype of the values.

    Raises:
        InputRejectedError: If no batch has four fitted controls, a feature does not vary among them, or a value is
            NaN.
    """
    return _aligned(values, design, ridge, back=lambda whitened, _: whitened)


def coral(values: NDArray[np.floating], design: Design, *, ridge: float = RIDGE) -> Corrected:
    """Return profiles in which the controls of every batch have about the covariance of all batches' controls.

    As `tvn`, then coloured again by the root of the pooled covariance: in standard deviations of the controls, with
    the correlations that features have over all batches.

    Args:
        values: (W, D), finite.
        design: Batches, and which negative controls may be looked at.
        ridge: Keeps quiet directions of few controls from being blown up.

    Returns:
        (W, D), in the dtype of the values.

    Raises:
        InputRejectedError: If no batch has four fitted controls, a feature does not vary among them, or a value is
            NaN.
    """
    size = np.sqrt(1.0 + ridge)  # what a batch like the others was made smaller by
    return _aligned(values, design, ridge, back=lambda whitened, pooled: pooled.applied(size * whitened, 0.5))


def _aligned(
    values: NDArray[np.floating],
    design: Design,
    ridge: float,
    *,
    back: Callable[[NDArray[np.float64], Spectrum], NDArray[np.float64]],
) -> Corrected:
    fitted = batch_controls(values, design)
    pooled = ledoit_wolf(fitted.pooled, freedom=fitted.freedom).spectrum
    own = [None if rows is None else _shrunk(pooled.applied(rows, -0.5)) for rows in fitted.controls]
    corrected = np.empty(values.shape, dtype=values.dtype)
    for number, batch in enumerate(fitted.batches):
        of_batch = own[number]
        rows = np.flatnonzero(design.batches == batch)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            whitened = pooled.applied((values[part] - fitted.centres[number]) / fitted.scale, -0.5)
            if of_batch is None:
                whitened /= np.sqrt(1.0 + ridge)
            else:
                whitened = of_batch.spectrum.plus(ridge).applied(whitened, -0.5)
            corrected[part] = back(whitened, pooled)
    return _described(corrected, fitted, own, design)


def _shrunk(rows: NDArray[np.float64]) -> Shrunk:
    return ledoit_wolf(rows, freedom=len(rows) - 1)


def _described(
    corrected: NDArray[np.floating], fitted: BatchControls, own: list[Shrunk | None], design: Design
) -> Corrected:
    notes = fitted.notes
    weights = np.array([of_batch.weight for of_batch in own if of_batch is not None])
    if (weights > _MOSTLY_SHRUNK).any():
        sizes = [len(rows) for rows in fitted.controls if rows is not None]
        notes += (
            f"the covariance of {int((weights > _MOSTLY_SHRUNK).sum())} of {len(own)} batches, with {min(sizes)} to "
            f"{max(sizes)} fitted controls each, was shrunk by up to {weights.max():.2f} towards equal variances "
            "(Ledoit-Wolf)",
        )
    return Corrected(corrected, fitted_sentence(fitted.n_fitted, design), fitted.n_fitted, notes)
