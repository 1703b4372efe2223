"""The middle of every batch and the common scale, of the negative controls that a fit may look at.

A batch with too few of them is centred on the median of all its wells and borrows everything else from the other
batches, and a note says so; where no batch has enough, nothing can be fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.finite import refuse_missing
from hcs.statistics.content import content_keys

LEAST_CONTROLS = 4
"""Fitted controls of a batch; with fewer their mean is worth less than the median of all wells."""

_ROUNDING = 1e-6
"""A scale below this share of a feature's size is rounding of float32."""


@dataclass(frozen=True)
class BatchControls:
    """B batches, the fitted controls of those that have enough, about their means and in common units."""

    batches: NDArray[np.intp]
    """(B,), their numbers, ascending."""
    centres: NDArray[np.float64]
    """(B, D)."""
    scale: NDArray[np.float64]
    """(D,), standard deviation of the controls within batches."""
    controls: list[NDArray[np.float64] | None]
    """A batch each: (n, D), scaled and centred; None where they are too few."""
    notes: tuple[str, ...]

    @property
    def pooled(self) -> NDArray[np.float64]:
        """Return the controls of all batches, (N, D)."""
        return np.concatenate([rows for rows in self.controls if rows is not None])

    @property
    def freedom(self) -> int:
        """Return how many independent differences the pooled controls hold."""
        return sum(len(rows) - 1 for rows in self.controls if rows is not None)

    @property
    def n_fitted(self) -> int:
        """Return how many controls there are."""
        return sum(len(rows) for rows in self.controls if rows is not None)


def batch_controls(values: NDArray[np.floating], design: Design) -> BatchControls:
    """Return what the fitted negative controls say of every batch.

    Args:
        values: (W, D).
        design: Of the wells.

    Raises:
        InputRejectedError: If a value is not finite, no batch has four fitted controls, or a feature does not vary
            among them.
    """
    refuse_missing(values)
    batches = np.unique(design.batches)
    is_fitted = design.is_fitted & design.is_negcon
    fitted = [np.flatnonzero(is_fitted & (design.batches == batch)) for batch in batches]
    if not any(len(rows) >= LEAST_CONTROLS for rows in fitted):
        raise InputRejectedError(
            f"a correction that is fitted on negative controls needs a batch with {LEAST_CONTROLS} of them, but the "
            f"{len(batches)} batches have at most {max(len(rows) for rows in fitted)} that may be fitted on; name the "
            "negative controls, or take a correction that is fitted on all wells, as `harmony` or `combat`"
        )
    controls: list[NDArray[np.float64] | None] = []
    centres, notes = np.empty((len(batches), values.shape[1])), []
    for number, rows in enumerate(fitted):
        if len(rows) >= LEAST_CONTROLS:
            # Sums in an order of content are the same bits however the rows came.
            own = values[rows[np.argsort(content_keys(values[rows]), kind="stable")]].astype(np.float64)
            centres[number] = own.mean(axis=0)
            controls.append(own - centres[number])
        else:
            members = np.flatnonzero(design.batches == batches[number])
            centres[number] = np.median(values[members], axis=0)
            controls.append(None)
            notes.append(_lacking(int(batches[number]), len(rows), len(members)))
    scale = _scale(controls, centres)
    scaled = [None if rows is None else rows / scale for rows in controls]
    return BatchControls(batches, centres, scale, scaled, tuple(notes))


def _scale(controls: list[NDArray[np.float64] | None], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    own = [rows for rows in controls if rows is not None]
    freedom = sum(len(rows) - 1 for rows in own)
    squares = np.sum([np.einsum("nd,nd->d", rows, rows) for rows in own], axis=0)
    scale: NDArray[np.float64] = np.sqrt(squares / freedom)
    constant = np.flatnonzero(scale <= _ROUNDING * np.abs(centres).max(axis=0))
    if len(constant):
        raise InputRejectedError(
            f"features that vary among the {sum(map(len, own))} fitted controls within their batches are expected, but "
            f"{len(constant)} do not, the first is feature {constant[0]}; take them away first, as by the selection "
            "step `variance` on the controls"
        )
    return scale


def _lacking(batch: int, n_controls: int, n_wells: int) -> str:
    had = f"only {n_controls} fitted negative controls" if n_controls else "no fitted negative controls"
    return (
        f"batch {batch} has {had}: it was centred on the median of all its {n_wells} wells, and its covariance taken "
        "to be that of the other batches' controls"
    )


def fitted_sentence(n_fitted: int, design: Design) -> str:
    """Return what was fitted on, of a sentence."""
    n_negcon = int(design.is_negcon.sum())
    of = "all negative controls" if n_fitted == n_negcon else f"{n_fitted:,} of {n_negcon:,} negative controls"
    return f"{of}, {n_fitted:,} wells"
