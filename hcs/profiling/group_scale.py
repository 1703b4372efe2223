"""One group's rows normalized on its fitted ones, written where they belong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.normalize import VANISHING
from hcs.statistics.inverse_normal import inverse_normal
from hcs.statistics.scales import Scaling, centre_and_scale

_ROWS_AT_ONCE = 64


def scale_group(
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
    where = as_slice(rows)
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


def rank_group(
    rows: NDArray[np.intp],
    *,
    is_fitted: NDArray[np.bool_] | None,
    name: str,
    profiles: NDArray[np.floating],
    out: NDArray[np.floating],
    keeps: bool,
) -> NDArray[np.bool_]:
    """Write one group's normal scores, and return which features can be used, (D,)."""
    where = as_slice(rows)
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


def as_slice(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Return rows that stand together as a slice, which needs no copy."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _refuse_infinite(
    values: NDArray[np.floating], feature: int | np.integer, name: str, *, centre: float = 0.0
) -> None:
    n_infinite = int(np.isinf(values).sum())
    if n_infinite or np.isinf(centre):
        raise InputRejectedError(
            f"finite or missing values are expected, but feature {feature} of {name} is infinite in "
            f"{n_infinite or 'most'} rows; leave it out, or set these values to missing"
        )
