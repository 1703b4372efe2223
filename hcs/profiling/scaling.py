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
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.control_scale import FEW_CONTROLS, PlateSpreads, steady_scale
from hcs.profiling.groups import RowGroups
from hcs.profiling.normalize import VANISHING
from hcs.statistics.inverse_normal import inverse_normal
from hcs.statistics.scales import Scaling, centre_and_scale
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
    lacking: Literal["refuse", "all"] = "refuse",
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
    fitted = np.ones(len(profiles), dtype=np.bool_) if is_fitted is None else is_fitted
    _check(profiles, groups, fitted, method=method)
    _check_out(profiles, out)
    _check_scale(method, epsilon=epsilon, shrinks=shrinks)
    on_all = np.array([not fitted[groups.rows(group)].any() for group in range(len(groups))])
    n_fitted = np.array([_n_fitted(groups.rows(group), fitted, on_all[group]) for group in range(len(groups))])
    _check_groups(groups, n_fitted, on_all, lacking=lacking)
    out = np.empty_like(profiles, order="C") if out is None else out
    shrunk = (n_fitted < FEW_CONTROLS) & ~on_all if shrinks else np.zeros(len(groups), dtype=np.bool_)
    steady = np.empty((0, 0))
    if method == "inverse_normal":
        one_group = partial(_rank_group)
    else:
        added = (EPSILON if degenerate == "keep" else 0.0) if epsilon is None else epsilon
        one_group = partial(_scale_group, scaling=method, epsilon=added if method == "mad_robustize" else 0.0)
        if shrunk.any():
            steady = _steadied(profiles, groups, fitted, on_all, scaling=method, n_threads=n_threads)

    def normalize_group(group: int) -> NDArray[np.bool_]:
        rows = groups.rows(group)
        chosen = None if on_all[group] or fitted[rows].all() else fitted[rows]
        keeps = degenerate == "keep"
        more = {"steady": steady[group]} if shrunk[group] else {}
        return one_group(
            rows, is_fitted=chosen, name=groups.name(group), profiles=profiles, out=out, keeps=keeps, **more
        )

    kept = np.logical_and.reduce(on_threads(normalize_group, range(len(groups)), n_threads=n_threads))
    if not kept.any():
        raise InputRejectedError(
            f"no feature of {profiles.shape[1]} varies in every group among the rows that it is fitted on; fit on more "
            "rows, or normalize groups apart"
        )
    values = _zeroed(out, kept) if degenerate == "zero" else _without(out, kept)
    return Scaled(values, kept, n_fitted, on_all, shrunk)


def _steadied(
    profiles: NDArray[np.floating],
    groups: RowGroups,
    fitted: NDArray[np.bool_],
    on_all: NDArray[np.bool_],
    *,
    scaling: Scaling,
    n_threads: int | None,
) -> NDArray[np.float64]:
    """Return every group's scale, shrunk where its fitted rows are few, (G, D); of a group without any, nothing."""

    def measure(group: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        source = profiles[_as_slice(groups.rows(group))]
        spread = centre_and_scale(source, scaling="standardize")[1]
        return centre_and_scale(source[fitted[groups.rows(group)]], scaling=scaling)[1], spread

    own = [group for group in range(len(groups)) if not on_all[group]]
    measured = on_threads(measure, own, n_threads=n_threads)
    spreads = PlateSpreads(
        n_controls=np.array([fitted[groups.rows(group)].sum() for group in own]),
        n_wells=groups.sizes[own],
        control_scale=np.stack([scale for scale, _ in measured]),
        spread=np.stack([spread for _, spread in measured]),
    )
    steady = np.full((len(groups), profiles.shape[1]), np.nan)
    steady[own] = steady_scale(spreads)
    return steady


def _scale_group(
    rows: NDArray[np.intp],
    *,
    is_fitted: NDArray[np.bool_] | None,
    name: str,
    profiles: NDArray[np.floating],
    out: NDArray[np.floating],
    keeps: bool,
    scaling: Scaling,
    epsilon: float,
    steady: NDArray[np.float64] | None = None,
) -> NDArray[np.bool_]:
    """Write one group's scaled rows, and return which features can be used, (D,)."""
    where = _as_slice(rows)
    source = profiles[where]
    with np.errstate(invalid="ignore"):  # infinite values are refused by name below
        centre, scale = centre_and_scale(source if is_fitted is None else source[is_fitted], scaling=scaling)
    scale = scale if steady is None else np.where(np.isnan(steady), scale, steady)
    varies = scale > 0
    divisor = scale + epsilon
    divisor = np.where(divisor == 0, 1.0, divisor) if keeps else np.where(varies, divisor, 1.0)
    if not keeps:  # what is measured of a feature without a fitted value stays finite, to be told from what is missing
        centre = np.where(np.isnan(centre), 0.0, centre)
    centre, divisor = centre.astype(profiles.dtype), divisor.astype(profiles.dtype)
    squares = np.zeros(len(centre))
    target = out[where] if isinstance(where, slice) else np.empty_like(source)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = target[start : start + _ROWS_AT_ONCE]
            np.subtract(source[start : start + _ROWS_AT_ONCE], centre, out=part)
            np.divide(part, divisor, out=part)
            squares += np.einsum("nd,nd->d", part, part)
    if not isinstance(where, slice):
        out[where] = target
    if np.isfinite(squares).all() and keeps:
        return np.ones(len(centre), dtype=np.bool_)
    squares = _check_and_complete(squares, source, target, centre, name=name)
    if keeps:
        return np.ones(len(centre), dtype=np.bool_)
    return varies & (np.sqrt(squares / len(rows)) < 1.0 / VANISHING)


def _check_and_complete(
    squares: NDArray[np.float64],
    source: NDArray[np.floating],
    target: NDArray[np.floating],
    centre: NDArray[np.floating],
    *,
    name: str,
) -> NDArray[np.float64]:
    """Return the sums of squares with missing values left out, once it is sure that none of the values is infinite.

    Where the target has taken the source's place, a value that was infinite still is, or has made the centre so.
    """
    complete = squares.copy()
    for feature in np.flatnonzero(~np.isfinite(squares)):
        _refuse_infinite(source[:, feature], feature, name, centre=float(centre[feature]))
        complete[feature] = np.nansum(target[:, feature].astype(np.float64) ** 2)
    return complete


def _rank_group(
    rows: NDArray[np.intp],
    *,
    is_fitted: NDArray[np.bool_] | None,
    name: str,
    profiles: NDArray[np.floating],
    out: NDArray[np.floating],
    keeps: bool,
) -> NDArray[np.bool_]:
    """Write one group's normal scores, and return which features can be used, (D,)."""
    where = _as_slice(rows)
    source = profiles[where]
    for feature in np.flatnonzero(np.isinf(source).any(axis=0)):
        _refuse_infinite(source[:, feature], feature, name)
    varies = np.ones(source.shape[1], dtype=np.bool_) if keeps else _varies(source, is_fitted)
    is_measured = None if varies.all() else ~np.isnan(source)
    scores = inverse_normal(source, is_fitted=is_fitted)
    out[where] = scores if is_measured is None else np.where(~varies & is_measured, 0.0, scores)
    return varies


def _varies(source: NDArray[np.floating], is_fitted: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Return which features have two values among the fitted rows, (D,)."""
    fitted = source if is_fitted is None else source[is_fitted]
    has_value = ~np.isnan(fitted).all(axis=0)
    varies = np.zeros(source.shape[1], dtype=np.bool_)
    varies[has_value] = np.nanmin(fitted[:, has_value], axis=0) < np.nanmax(fitted[:, has_value], axis=0)
    return varies


def _as_slice(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Return rows that stand together as a slice, which needs no copy."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


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


def _n_fitted(rows: NDArray[np.intp], fitted: NDArray[np.bool_], on_all: bool) -> int:
    return len(rows) if on_all else int(fitted[rows].sum())


def _refuse_infinite(
    values: NDArray[np.floating], feature: int | np.integer, name: str, *, centre: float = 0.0
) -> None:
    n_infinite = int(np.isinf(values).sum())
    if n_infinite or np.isinf(centre):
        raise InputRejectedError(
            f"finite or missing values are expected, but feature {feature} of {name} is infinite in "
            f"{n_infinite or 'most'} rows; leave it out, or set these values to missing"
        )


def _check(profiles: NDArray[np.floating], groups: RowGroups, fitted: NDArray[np.bool_], *, method: str) -> None:
    if method not in METHODS:
        raise UsageError(f"the method {method!r} is not known; choose one of {', '.join(METHODS)}")
    if profiles.ndim != 2 or not profiles.size or len(groups.order) != len(profiles) or len(fitted) != len(profiles):
        raise InputRejectedError(
            f"a matrix with one row a well is expected, but its shape is {profiles.shape}, with metadata of "
            f"{len(groups.order)} rows and a choice among {len(fitted)}"
        )
    if profiles.dtype not in (np.float32, np.float64):
        raise InputRejectedError(f"float32 or float64 is expected, but the profiles are {profiles.dtype}")


def _check_scale(method: str, *, epsilon: float | None, shrinks: bool) -> None:
    if epsilon is not None and (method != "mad_robustize" or not 0.0 <= epsilon < np.inf):
        raise UsageError(
            f"an epsilon of 0 or more belongs to mad_robustize, but {epsilon:g} came for {method}; leave it out"
        )
    if shrinks and method == "inverse_normal":
        raise UsageError(
            "inverse_normal has no scale that could be shrunk; shrink with another method, or do not shrink"
        )


def _check_out(profiles: NDArray[np.floating], out: NDArray[np.floating] | None) -> None:
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


def _check_groups(
    groups: RowGroups, n_fitted: NDArray[np.intp], on_all: NDArray[np.bool_], *, lacking: Literal["refuse", "all"]
) -> None:
    if lacking == "refuse" and on_all.any():
        names = [groups.name(int(group)) for group in np.flatnonzero(on_all)]
        raise InputRejectedError(
            f"rows to fit on are expected in every group, but {len(names)} have none: {', '.join(names[:5])}; leave "
            "these out, or fit them on all of their rows"
        )
    if (n_fitted < 2).any():
        group = int(np.argmin(n_fitted))
        raise InputRejectedError(
            f"at least two rows to fit on are expected in every group, but {groups.name(group)} has "
            f"{n_fitted[group]}; one value has no spread"
        )
