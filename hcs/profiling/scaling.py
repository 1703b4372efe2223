"""Normalization of a profile matrix, plate by plate or group by group, on chosen rows.

The methods and their numbers are those of pycytominer's `normalize` run on every group apart. What differs is what
happens where a feature does not vary among the rows that a group is fitted on. pycytominer divides by 1e-18 there, so a
single well that differs gets a value of 1e18; here the feature is left out of all groups or, with `degenerate="zero"`,
set to 0 in all of them, and the result says which. `degenerate="keep"` does as pycytominer.

This is for any table of profiles. A run normalizes with `hcs.profiling.normalize.robust_z`, which also clips and always
steadies scales from few controls; here that is asked for with `shrinks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.control_scale import FEW_CONTROLS, PlateSpreads, steady_scale
from hcs.profiling.fitted_rows import FittedRows, Lacking, fitted_rows
from hcs.profiling.group_scale import as_slice, rank_group, scale_group
from hcs.profiling.groups import RowGroups
from hcs.statistics.scales import centre_and_scale
from hcs.statistics.threads import on_threads

Method = Literal["mad_robustize", "robustize", "standardize", "inverse_normal"]
Degenerate = Literal["drop", "zero", "keep"]
METHODS: tuple[Method, ...] = ("mad_robustize", "robustize", "standardize", "inverse_normal")

EPSILON = 1e-18
"""pycytominer adds it to every MAD."""

_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Scaled:
    """W normalized profiles of D features, or of the K that could be normalized in every group."""

    values: NDArray[np.floating]
    """(W, K), in the dtype of what came in; (W, D) unless features were left out."""
    kept: NDArray[np.bool_]
    """(D,), features that could be normalized in every group."""
    n_fitted: NDArray[np.intp]
    """(G,), rows that each group was fitted on."""
    borrowed: NDArray[np.bool_]
    """(G,), groups without a row to be fitted on, which were fitted on all of theirs."""
    shrunk: NDArray[np.bool_]
    """(G,), groups whose scale was shrunk towards that of the others."""


def normalize_groups(
    profiles: NDArray[np.floating],
    groups: RowGroups,
    *,
    method: Method,
    is_fitted: NDArray[np.bool_] | None = None,
    lacking: Lacking = "refuse",
    degenerate: Degenerate = "drop",
    epsilon: float | None = None,
    shrinks: bool = False,
    out: NDArray[np.floating] | None = None,
    n_threads: int | None = None,
) -> Scaled:
    """Return every group's profiles, normalized to the group's own fitted rows.

    Args:
        profiles: (W, D), float32 or float64, without infinities. NaN is left out of fits and stays NaN.
        groups: Usually the plates.
        method: `mad_robustize` is (x - median) / (1.4826 MAD), `robustize` (x - median) / (distance of quartiles),
            `standardize` (x - mean) / (standard deviation), `inverse_normal` the normal score of the rank.
        is_fitted: (W,), the rows that each group is fitted on, such as its negative controls; default all.
        lacking: What is done with a group without such a row: refuse, or fit it on all of its rows.
        degenerate: What is done with a feature that has no value, does not vary in the fitted rows of a group, or
            varies by less than a thousandth of the root mean square distance of all its rows from their centre. `drop`
            leaves it out of all groups, `zero` sets what is measured of it to 0 in all of them; `keep` divides as
            pycytominer: by `epsilon` for `mad_robustize`, by 1 otherwise.
        epsilon: Added to every scale of `mad_robustize`; default 1e-18, as pycytominer, with `keep`, else 0.
        shrinks: Whether the scale of a group with fewer than 16 fitted rows is shrunk towards that of the others
            (`hcs.profiling.control_scale`).
        out: Where the result goes, of the shape and dtype of the profiles; may be `profiles` itself, which then saves
            the memory of a second matrix and the time that the system takes to hand it out.
        n_threads: None is one for every core. The result is the same bits for any number.

    Returns:
        Profiles in the order of the rows. Another order of the rows changes them by rounding, and with `mad_robustize`,
        `robustize` and `inverse_normal` not at all.

    Raises:
        InputRejectedError: If shapes do not fit, a value is infinite, a group has one row to be fitted on or, unless
            `lacking` is `all`, none, or no feature is left.
    """
    chosen = np.ones(len(profiles), dtype=np.bool_) if is_fitted is None else is_fitted
    _check(profiles, groups, chosen, out)
    _check_method(method, epsilon=epsilon, shrinks=shrinks)
    fits = fitted_rows(groups, chosen, lacking=lacking)
    result = np.empty_like(profiles, order="C") if out is None else out
    shrunk = (fits.n_rows < FEW_CONTROLS) & ~fits.borrowed & shrinks
    steady = _steadied(profiles, fits, shrunk, scaling=method, n_threads=n_threads)
    kept = _normalize(
        profiles, fits, steady, result, method=method, keeps=degenerate == "keep", epsilon=epsilon, n_threads=n_threads
    )
    values = _zeroed(result, kept) if degenerate == "zero" else _without(result, kept)
    return Scaled(values, kept, fits.n_rows, fits.borrowed, shrunk)


def _normalize(
    profiles: NDArray[np.floating],
    fits: FittedRows,
    steady: dict[int, NDArray[np.float64]],
    out: NDArray[np.floating],
    *,
    method: Method,
    keeps: bool,
    epsilon: float | None,
    n_threads: int | None,
) -> NDArray[np.bool_]:
    """Write every group's normalized rows, and return which features could be normalized in all of them, (D,)."""
    added = (EPSILON if keeps else 0.0) if epsilon is None else epsilon

    def normalize(group: int) -> NDArray[np.bool_]:
        rows, is_fitted, name = fits.groups.rows(group), fits.of_group(group), fits.groups.name(group)
        if method == "inverse_normal":
            return rank_group(rows, is_fitted=is_fitted, name=name, profiles=profiles, out=out, keeps=keeps)
        return scale_group(
            rows,
            is_fitted=is_fitted,
            name=name,
            profiles=profiles,
            out=out,
            keeps=keeps,
            scaling=method,
            epsilon=added if method == "mad_robustize" else 0.0,
            steady=steady.get(group),
        )

    kept: NDArray[np.bool_] = np.logical_and.reduce(on_threads(normalize, range(len(fits.groups)), n_threads=n_threads))
    if not kept.any():
        raise InputRejectedError(
            f"no feature of {profiles.shape[1]} varies in every group among the rows that it is fitted on; fit on more "
            "rows, or normalize groups apart"
        )
    return kept


def _steadied(
    profiles: NDArray[np.floating],
    fits: FittedRows,
    shrunk: NDArray[np.bool_],
    *,
    scaling: Method,
    n_threads: int | None,
) -> dict[int, NDArray[np.float64]]:
    """Return the scale of the groups that is shrunk because their fitted rows are few, (D,) each."""
    if scaling == "inverse_normal" or not shrunk.any():
        return {}

    def measure(group: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = fits.groups.rows(group)
        source = profiles[as_slice(rows)]
        spread = centre_and_scale(source, scaling="standardize")[1]
        return centre_and_scale(source[fits.chosen[rows]], scaling=scaling)[1], spread

    own = np.flatnonzero(~fits.borrowed).tolist()
    measured = on_threads(measure, own, n_threads=n_threads)
    spreads = PlateSpreads(
        n_controls=fits.n_rows[own],
        n_wells=fits.groups.sizes[own],
        control_scale=np.stack([scale for scale, _ in measured]),
        spread=np.stack([spread for _, spread in measured]),
    )
    return {group: scale for group, scale in zip(own, steady_scale(spreads), strict=True) if shrunk[group]}


def _without(values: NDArray[np.floating], kept: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Return the kept columns, moved together inside the same memory."""
    if kept.all():
        return values
    n_kept = int(kept.sum())
    flat = values.reshape(-1)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        part = values[start : start + _ROWS_AT_ONCE][:, kept]  # a copy: what is written may lie over what is read
        flat[start * n_kept : start * n_kept + part.size] = part.reshape(-1)
    return flat[: len(values) * n_kept].reshape(len(values), n_kept)


def _zeroed(values: NDArray[np.floating], kept: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Return the values with 0 in the columns that are not kept, in the same memory; what is missing stays missing."""
    for feature in np.flatnonzero(~kept):
        values[:, feature] = np.where(np.isnan(values[:, feature]), np.nan, 0.0)
    return values


def _check(
    profiles: NDArray[np.floating],
    groups: RowGroups,
    chosen: NDArray[np.bool_],
    out: NDArray[np.floating] | None,
) -> None:
    if profiles.ndim != 2 or not profiles.size or len(groups.order) != len(profiles) or len(chosen) != len(profiles):
        raise InputRejectedError(
            f"a matrix with one row a well is expected, but its shape is {profiles.shape}, with metadata of "
            f"{len(groups.order)} rows and a choice among {len(chosen)}"
        )
    if profiles.dtype not in (np.float32, np.float64):
        raise InputRejectedError(f"float32 or float64 is expected, but the profiles are {profiles.dtype}")
    if out is None:
        return
    if out.shape != profiles.shape or out.dtype != profiles.dtype or not out.flags.c_contiguous:
        raise InputRejectedError(
            f"a contiguous matrix like the profiles is expected for the result, {profiles.shape} of {profiles.dtype}, "
            f"but it is {out.shape} of {out.dtype}, or not contiguous; leave it out to have one made"
        )
    if out is not profiles and np.may_share_memory(out, profiles):
        raise InputRejectedError(
            "the matrix for the result is expected to be the profiles themselves or to lie apart, but it "
            "overlaps them; what is written there would be read again"
        )


def _check_method(method: str, *, epsilon: float | None, shrinks: bool) -> None:
    if method not in METHODS:
        raise UsageError(f"the method {method!r} is not known; choose one of {', '.join(METHODS)}")
    if epsilon is not None and (method != "mad_robustize" or not 0.0 <= epsilon < np.inf):
        raise UsageError(
            f"an epsilon of 0 or more belongs to mad_robustize, but {epsilon:g} came for {method}; leave it out"
        )
    if shrinks and method == "inverse_normal":
        raise UsageError(
            "inverse_normal has no scale that could be shrunk; shrink with another method, or do not shrink"
        )
