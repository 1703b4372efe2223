"""Grit: how many standard deviations of controls a profile is closer to its own group than to controls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.similarity import unit_rows

_CONSTANT = 1e-12
"""A row whose values differ by less than this share of their size has no correlation to anything."""
_BLOCK = 4_000_000
"""Correlations held at once."""


def correlation_units(profiles: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return rows whose inner products are Pearson correlations, (N, D); a constant row is NaN."""
    values = profiles.astype(np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    negligible = _CONSTANT * np.sqrt(np.einsum("nd,nd->n", values, values))
    units, lengths = unit_rows(centred, negligible=negligible)
    return np.where(lengths[:, None] > 0, units, np.nan)


def grit(
    profiles: NDArray[np.floating],
    *,
    perturbations: NDArray[np.integer],
    groups: NDArray[np.integer],
    is_control: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the grit of every perturbation, by number; NaN for controls and where the group has no other.

    As cytominer-eval 0.1: the Pearson correlations of a perturbation's rows to the rows of other perturbations of its
    group, less the mean of their correlations to all controls, over the standard deviation (of the population) of
    these; the mean of that.

    Args:
        profiles: (N, D), finite.
        perturbations: (N,), from 0.
        groups: (N,); a perturbation has the group of its first row.
        is_control: (N,), at least two.
    """
    units = correlation_units(profiles)
    units = np.where(np.isnan(units), 0.0, units)
    has_correlation = units.any(axis=1)
    controls = units[is_control & has_correlation]
    found = np.full(int(perturbations.max(initial=-1)) + 1, np.nan)
    sums, squares = _to_controls(units, controls)
    tested = np.flatnonzero(~is_control & has_correlation)
    by_perturbation = tested[np.argsort(perturbations[tested], kind="stable")]
    group_of = dict(
        zip(perturbations[by_perturbation][::-1].tolist(), groups[by_perturbation][::-1].tolist(), strict=True)
    )
    belongs = np.array([group_of[number] for number in perturbations[tested].tolist()], dtype=np.intp)
    for group in np.unique(belongs):
        in_group = tested[groups[tested] == group]
        for perturbation in np.unique(perturbations[tested[belongs == group]]):
            rows = tested[perturbations[tested] == perturbation]
            others = in_group[perturbations[in_group] != perturbation]
            n = len(rows) * len(controls)
            if not len(others) or not n:
                continue
            mean = sums[rows].sum() / n
            variance = squares[rows].sum() / n - mean**2
            if variance > 0:
                to_group = float((units[rows].sum(axis=0) @ units[others].sum(axis=0)) / (len(rows) * len(others)))
                found[perturbation] = (to_group - mean) / np.sqrt(variance)
    return found


def _to_controls(
    units: NDArray[np.float64], controls: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum and the sum of squares of every row's correlations to controls, (N,) each."""
    sums, squares = units @ controls.sum(axis=0), np.empty(len(units))
    step = max(1, _BLOCK // max(len(controls), 1))
    for first in range(0, len(units), step):
        block = slice(first, first + step)
        squares[block] = np.square(units[block] @ controls.T).sum(axis=1)
    return sums, squares
