"""Which features stay, and why the others go.

The steps, their rules and their cutoffs are those of pycytominer's `feature_select`. They are taken in the order in
which they are asked for, each on what the ones before have left.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.blocklist import CELLPROFILER_BLOCKLIST
from hcs.profiling.groups import group_rows
from hcs.statistics.correlation import Correlations, redundant_features
from hcs.statistics.frequency import surely_varied, value_frequencies
from hcs.statistics.scales import centre_and_scale
from hcs.statistics.stacks import reduce_groups

Step = Literal["variance", "frequency", "correlation", "drop_na", "drop_outliers", "noise_removal", "blocklist"]
STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True)
class Cutoffs:
    """What a feature is held against; the defaults are pycytominer's."""

    variance: float = 1e-6
    """A feature stays if it varies more."""
    frequency_ratio: float = 0.05
    """A feature goes if its second commonest value comes less often than this share of the commonest."""
    distinct: float = 0.01
    """A feature goes if it has fewer distinct values a row."""
    correlation: float = 0.9
    """Of two features that correlate more, one goes."""
    missing: float = 0.05
    """A feature goes if a larger share of its values is missing."""
    outlier: float = 500.0
    """A feature goes if a value is larger in size."""
    noise: float = 0.8
    """A feature goes if its standard deviation among replicates is larger, on the mean over perturbations."""
    blocklist: Collection[str] = CELLPROFILER_BLOCKLIST
    """Names of features that go."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a share."""
        for name in ("frequency_ratio", "distinct", "correlation", "missing"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"the cutoff {name} is a share from 0 to 1, but {getattr(self, name)} came")


@dataclass(frozen=True)
class Selection:
    """What became of D features."""

    kept: NDArray[np.bool_]
    """(D,)."""
    report: pl.DataFrame
    """`feature, is_kept, step, reason`, in the order of the features; the step that it went by, or null."""


@dataclass(frozen=True)
class _Rows:
    values: NDArray[np.floating]
    names: Sequence[str]
    perturbations: Sequence[str | None] | None


def select_features(
    profiles: NDArray[np.floating],
    names: Sequence[str],
    *,
    steps: Sequence[Step],
    cutoffs: Cutoffs | None = None,
    is_fitted: NDArray[np.bool_] | None = None,
    perturbations: Sequence[str | None] | None = None,
) -> Selection:
    """Return which features stay after these steps.

    Args:
        profiles: (W, D), float32 or float64. Missing values are left out, by `correlation` pair by pair.
        names: (D,), of the features.
        steps: In the order in which they are taken.
        cutoffs: Default those of pycytominer.
        is_fitted: (W,), the rows that are looked at; default all.
        perturbations: (W,), what was done to each well, for `noise_removal`; a null is in no group.

    Returns:
        The same features for any number of threads. The result does not depend on the order of the rows, but for
        a value that hits a cutoff to its last bits.

    Raises:
        UsageError: If a step is not known, or `noise_removal` is asked for without perturbations.
        InputRejectedError: If shapes do not fit or there is no row to look at.
    """
    _check(profiles, names, steps, is_fitted, perturbations)
    rows = _Rows(profiles, names, perturbations)
    if is_fitted is not None and not is_fitted.all():
        chosen = [name for name, fits in zip(perturbations or (), is_fitted, strict=False) if fits]
        rows = _Rows(profiles[is_fitted], names, chosen if perturbations is not None else None)
    cutoffs = cutoffs or Cutoffs()
    left = np.arange(len(names))
    went: dict[int, tuple[str, str]] = {}
    for step in steps:
        if not len(left):
            break
        reasons = _STEPS[step](rows, left, cutoffs)
        went |= {feature: (step, reason) for feature, reason in reasons.items()}
        left = np.array([feature for feature in left if feature not in reasons], dtype=np.intp)
    kept = np.zeros(len(names), dtype=np.bool_)
    kept[left] = True
    columns = {
        "feature": list(names),
        "is_kept": kept,
        "step": [went.get(feature, (None, None))[0] for feature in range(len(names))],
        "reason": [went.get(feature, (None, None))[1] for feature in range(len(names))],
    }
    return Selection(kept, pl.DataFrame(columns, schema_overrides={"step": pl.String, "reason": pl.String}))


def _variance(rows: _Rows, features: NDArray[np.intp], cutoffs: Cutoffs) -> dict[int, str]:
    variance = centre_and_scale(rows.values, scaling="standardize")[1][features] ** 2
    return {
        int(feature): f"its variance {value:.3g} is not above {cutoffs.variance:g}"
        for feature, value in zip(features, variance, strict=True)
        if not value > cutoffs.variance  # NaN, where nothing is measured, goes too
    }


def _frequency(rows: _Rows, features: NDArray[np.intp], cutoffs: Cutoffs) -> dict[int, str]:
    is_varied = surely_varied(rows.values, features, ratio=cutoffs.frequency_ratio, distinct=cutoffs.distinct)
    features = features[~is_varied]
    found = value_frequencies(rows.values, features)
    reasons: dict[int, str] = {}
    for feature, ratio, n_distinct in zip(features, found.ratio, found.n_distinct, strict=True):
        if ratio < cutoffs.frequency_ratio:
            reasons[int(feature)] = (
                f"its second commonest value comes {ratio:.3g} times as often as the commonest, below "
                f"{cutoffs.frequency_ratio:g}"
            )
        elif n_distinct / len(rows.values) < cutoffs.distinct:
            reasons[int(feature)] = (
                f"it has {n_distinct} distinct values in {len(rows.values)} rows, a share below {cutoffs.distinct:g}"
            )
    return reasons


def _correlation(rows: _Rows, features: NDArray[np.intp], cutoffs: Cutoffs) -> dict[int, str]:
    correlations = Correlations(rows.values, features=features)
    partner = redundant_features(correlations, threshold=cutoffs.correlation)
    return {
        int(features[place]): (
            f"it correlates {correlations.matrix[place, other]:.3f} with {rows.names[features[other]]}, above "
            f"{cutoffs.correlation:g}, and more than that one with all features"
        )
        for place, other in enumerate(partner)
        if other >= 0
    }


def _drop_na(rows: _Rows, features: NDArray[np.intp], cutoffs: Cutoffs) -> dict[int, str]:
    missing = np.isnan(rows.values).mean(axis=0)[features]
    return {
        int(feature): f"{share:.1%} of its values are missing, more than {cutoffs.missing:.1%}"
        for feature, share in zip(features, missing, strict=True)
        if share > cutoffs.missing
    }


def _drop_outliers(rows: _Rows, features: NDArray[np.intp], cutoffs: Cutoffs) -> dict[int, str]:
    highest, lowest = np.fmax.reduce(rows.values, axis=0), np.fmin.reduce(rows.values, axis=0)
    largest = np.maximum(np.abs(highest), np.abs(lowest))[features]
    return {
        int(feature): f"a value is {value:.4g} in size, above {cutoffs.outlier:g}"
        for feature, value in zip(features, largest, strict=True)
        if value > cutoffs.outlier
    }


def _noise_removal(rows: _Rows, features: NDArray[np.intp], cutoffs: Cutoffs) -> dict[int, str]:
    noise = _mean_deviation_of_replicates(rows)[features]
    return {
        int(feature): f"replicates of a perturbation differ by {value:.3g} on the mean, above {cutoffs.noise:g}"
        for feature, value in zip(features, noise, strict=True)
        if value > cutoffs.noise
    }


def _blocklist(rows: _Rows, features: NDArray[np.intp], cutoffs: Cutoffs) -> dict[int, str]:
    return {int(feature): "it is on the blocklist" for feature in features if rows.names[feature] in cutoffs.blocklist}


def _mean_deviation_of_replicates(rows: _Rows) -> NDArray[np.float64]:
    """Return the mean over perturbations of the standard deviation among their wells, (D,)."""
    named = pl.DataFrame({"perturbation": pl.Series(rows.perturbations, dtype=pl.String)}).with_row_index("row")
    named = named.drop_nulls("perturbation")
    if named.is_empty():
        raise InputRejectedError("noise_removal needs wells whose perturbation is known, but none is")
    groups = group_rows(named, ["perturbation"])
    chosen = named["row"].to_numpy().astype(np.intp)
    deviations = reduce_groups(rows.values, chosen[groups.order], groups.starts, reduction=_deviation, dtype=np.float64)
    is_there = ~np.isnan(deviations)
    total = np.where(is_there, deviations, 0.0).sum(axis=0)
    noise: NDArray[np.float64] = total / np.maximum(is_there.sum(axis=0), 1)
    return noise


def _deviation(stack: NDArray[np.floating], _: NDArray[np.intp]) -> NDArray[np.floating]:
    """Return the standard deviation within every group, (G, D); NaN where all values are missing."""
    values = stack.astype(np.float64)
    is_there = ~np.isnan(values)
    n = is_there.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = np.where(is_there, values, 0.0).sum(axis=1) / n
        centred = np.where(is_there, values - mean[:, None], 0.0)
        deviation: NDArray[np.float64] = np.sqrt((centred**2).sum(axis=1) / n)
    return deviation


_STEPS = {
    "variance": _variance,
    "frequency": _frequency,
    "correlation": _correlation,
    "drop_na": _drop_na,
    "drop_outliers": _drop_outliers,
    "noise_removal": _noise_removal,
    "blocklist": _blocklist,
}


def _check(
    profiles: NDArray[np.floating],
    names: Sequence[str],
    steps: Sequence[str],
    is_fitted: NDArray[np.bool_] | None,
    perturbations: Sequence[str | None] | None,
) -> None:
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise UsageError(f"the step {unknown[0]!r} is not known; choose of {', '.join(STEPS)}")
    if "noise_removal" in steps and perturbations is None:
        raise UsageError("noise_removal compares replicates: say what was done to each well, or leave the step out")
    n_rows = len(profiles) if is_fitted is None else int(is_fitted.sum())
    lengths = {len(profiles), *([len(is_fitted)] if is_fitted is not None else [])}
    lengths |= {len(perturbations)} if perturbations is not None else set()
    if profiles.ndim != 2 or profiles.shape[1] != len(names) or len(lengths) > 1 or not n_rows:
        raise InputRejectedError(
            f"a matrix of one row a well and one column a feature is expected, but its shape is {profiles.shape}, with "
            f"{len(names)} names and {n_rows} rows to look at"
        )
