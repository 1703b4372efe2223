"""Sphering: a linear map after which the rows that it was fitted on have a covariance of 1.

The four forms are those of Kessy, Lewin and Strimmer (2018, American Statistician 72:309) with the conventions of
pycytominer: on centred features (`ZCA`, `PCA`) or standardized ones (`ZCA-cor`, `PCA-cor`); a small epsilon is added
to the singular values; directions that fewer rows than features cannot fill are divided as the last one that they do.

Rows that a map was fitted on lie nearer to the origin than rows like them that were not: whoever compares treated wells
with controls must not fit on those controls (docs/explanations/profiles.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr, svd

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.finite import refuse_missing
from hcs.statistics.scales import centre_and_scale

Form = Literal["ZCA-cor", "ZCA", "PCA-cor", "PCA"]
FORMS: tuple[Form, ...] = get_args(Form)

EPSILON = 1e-6
"""Of pycytominer, on the scale of singular values, that is next to nothing."""

_ILL_CONDITIONED = 1e-8
"""Squared singular values below this share of the largest lose half of their digits in a matrix of products."""

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Sphering:
    """A fitted map from D features to D; apply it with `sphere`."""

    form: Form
    centre: NDArray[np.float64]
    """(D,), subtracted first."""
    scale: NDArray[np.float64]
    """(D,), divided by next; 1 unless the form ends in `-cor`."""
    weights: NDArray[np.float64]
    """(D, D), multiplied from the right. Columns of the PCA forms are in falling order of variance, the largest entry
    of each, in size, positive."""
    n_fitted: int
    """Rows."""
    rank: int
    """Directions that these rows fill."""


def fit_sphering(
    controls: NDArray[np.floating], *, form: Form = "ZCA-cor", epsilon: float = EPSILON, centres: bool = True
) -> Sphering:
    """Return the map that gives these rows unit covariance, if there are more of them than features.

    Args:
        controls: (N, D), finite, N at least 2. With fewer rows than features only the directions that they fill get
            variance 1.
        form: `ZCA` forms stay as close to the features as can be, `PCA` forms are components.
        epsilon: Added to every singular value of the centred (standardized) controls. 0 is exact.
        centres: Whether the mean of the controls is subtracted; the `-cor` forms need it.

    Raises:
        UsageError: If the form is not known, epsilon is negative, or a `-cor` form shall not centre.
        InputRejectedError: If a value is not finite, a feature is constant, or features depend on one another.
    """
    _check(controls, form, epsilon, centres)
    n, d = controls.shape
    mean, deviation = centre_and_scale(controls, scaling="standardize")
    centre = mean if centres else np.zeros(d)
    scale = _scale(deviation) if form.endswith("-cor") else np.ones(d)
    standardized = np.subtract(controls, centre, dtype=np.float64)
    standardized /= scale
    singular, directions = _singular_pairs(standardized)
    rank = len(singular)
    if rank not in (d, n - int(centres)):
        raise InputRejectedError(
            f"{n} control rows of {d} features are expected to fill {min(d, n - int(centres))} directions, but fill "
            f"{rank}: some features are sums of others, or rows copies; take them away, features as by the selection "
            "step `correlation`"
        )
    factor = np.sqrt(n - 1) / (singular + epsilon)
    weights = _rotated_back(directions, factor) if form.startswith("ZCA") else _components(directions, factor)
    return Sphering(form, centre, scale, weights, n, rank)


def sphere(
    profiles: NDArray[np.floating], fitted: Sphering, *, out: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """Return the profiles after the map, (W, D), in their own dtype.

    Args:
        profiles: (W, D), finite.
        fitted: From `fit_sphering`.
        out: Where the result goes; may be `profiles` itself, which then saves the memory of a second matrix.

    Raises:
        InputRejectedError: If there is another number of features, or a value is NaN or infinite.
    """
    if profiles.ndim != 2 or profiles.shape[1] != len(fitted.centre):
        raise InputRejectedError(
            f"profiles with the {len(fitted.centre)} features of the fit are expected, but their shape is "
            f"{profiles.shape}"
        )
    refuse_missing(profiles)
    weights = fitted.weights.astype(profiles.dtype)
    result = np.empty_like(profiles, order="C") if out is None else out
    # What the centre loses in the profiles' dtype is subtracted after it, so that an offset costs no digits.
    centre = fitted.centre.astype(profiles.dtype)
    rest = (fitted.centre - centre).astype(profiles.dtype)
    scale = fitted.scale.astype(profiles.dtype)
    part = np.empty((min(_ROWS_AT_ONCE, len(profiles)), profiles.shape[1]), dtype=profiles.dtype)
    for start in range(0, len(profiles), _ROWS_AT_ONCE):
        rows = profiles[start : start + _ROWS_AT_ONCE]
        centred = np.subtract(rows, centre, out=part[: len(rows)])
        centred -= rest
        centred /= scale
        np.matmul(centred, weights, out=result[start : start + _ROWS_AT_ONCE])
    return result


def _singular_pairs(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the singular values that are not rounding, falling, (r,), and their directions, (D, r).

    From the smaller matrix of products where that is accurate enough, which is many times cheaper.
    """
    n, d = z.shape
    squares, vectors = eigh(z @ z.T if n <= d else z.T @ z)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    # Centring takes one direction from rows that are no more than the features.
    last = min(n - 1, d) - 1 if squares[-1] <= _rounding(n, d) * squares[0] else min(n, d) - 1
    if squares[last] > _ILL_CONDITIONED * squares[0]:
        squares, vectors = squares[: last + 1], vectors[:, : last + 1]
        singular = np.sqrt(squares)
        return singular, z.T @ (vectors / singular) if n <= d else vectors
    _, singular, transposed = svd(z, full_matrices=False)
    rank = int((singular > singular[0] * max(n, d) * np.finfo(np.float64).eps).sum())
    return singular[:rank], transposed[:rank].T


def _rounding(n: int, d: int) -> float:
    return max(n, d) * float(np.finfo(np.float64).eps)


def _rotated_back(directions: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return V diag(f) V' with the last factor in all directions beside V, without making those."""
    d, rank = directions.shape
    if rank == d:
        rooted = directions * np.sqrt(factor)
        square: NDArray[np.float64] = rooted @ rooted.T
        return square
    rooted = directions * np.sqrt(factor[-1] - factor)  # factors rise; a matrix times itself takes half of the products
    weights: NDArray[np.float64] = -(rooted @ rooted.T)
    weights[np.diag_indices(d)] += factor[-1]
    return weights


def _components(directions: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return V diag(f), V completed to all D directions, each with its largest entry positive."""
    d, rank = directions.shape
    if rank < d:
        beside = qr(directions)[0][:, rank:]
        directions = np.hstack([directions, beside])
        factor = np.concatenate([factor, np.repeat(factor[-1], d - rank)])
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(d)]
    components: NDArray[np.float64] = directions * np.where(largest < 0, -factor, factor)
    return components


def _scale(deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    constant = np.flatnonzero(deviation == 0)
    if len(constant):
        raise InputRejectedError(
            f"features that vary among the control rows are expected, but {len(constant)} do not, the first is feature "
            f"{constant[0]}; take them away first, as by the selection step `variance` on these rows"
        )
    return deviation


def _check(controls: NDArray[np.floating], form: str, epsilon: float, centres: bool) -> None:
    if form not in FORMS:
        raise UsageError(f"the form {form!r} is not known; choose one of {', '.join(FORMS)}")
    if epsilon < 0 or (form.endswith("-cor") and not centres):
        raise UsageError(
            f"an epsilon of 0 or more and, for {form}, centring are expected, but epsilon is {epsilon:g} and centring "
            f"is {'on' if centres else 'off'}"
        )
    if controls.ndim != 2 or len(controls) < 2 or not controls.shape[1]:
        raise InputRejectedError(f"at least two control rows are expected, but the matrix has shape {controls.shape}")
    refuse_missing(controls)
