"""Consistency: do profiles of one label, such as a mechanism, find one another among all others?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.finite import refuse_missing, row_name
from hcs.statistics.label_permutation import LabelTests, label_permutation_tests
from hcs.statistics.label_precision import LabelPrecisions, expected_precision, label_precisions
from hcs.statistics.multiple_testing import benjamini_hochberg
from hcs.statistics.rank_null import RankNull
from hcs.statistics.similarity import unit_rows

Null = Literal["labels", "copairs"]


@dataclass(frozen=True)
class Consistency:
    """What `consistency` finds."""

    labels: pl.DataFrame
    """A row a label, sorted: `label, n_profiles, n_perturbations, n_scored, mean_average_precision,
    mean_normalized_average_precision, p_value, smallest_possible_p, q_value, is_consistent`, the last null where there
    is no p-value."""
    profiles: pl.DataFrame
    """A row a profile and label: `row, label, n_positives, n_candidates, average_precision`; `row` counts from 0."""
    n_without_label: int
    """Profiles that took no part."""


def split_labels(labels: Sequence[str | None], *, between: str | None) -> list[tuple[str, ...]]:
    """Return the labels of every row, sorted; a cell without text has none.

    Args:
        labels: (N,).
        between: What stands between the labels of a row that has several; None: a cell is one label.
    """
    cells = [[label or ""] if between is None else (label or "").split(between) for label in labels]
    return [tuple(sorted({part.strip() for part in parts if part.strip()})) for parts in cells]


def consistency(
    profiles: NDArray[np.floating],
    labels: Sequence[tuple[str, ...]],
    *,
    perturbations: Sequence[str] | None = None,
    null: Null = "labels",
    q_max: float = 0.05,
    seed: int = 0,
) -> Consistency:
    """Return the mean average precision of every label, and how surprising it is.

    Each profile is ranked against all profiles that share no label with it, by cosine similarity. Profiles without a
    label take no part. `mean_average_precision` is copairs' in either case; nulls differ:

    - `labels`: labels are dealt anew over perturbations (over profiles, if none are named), and the mean similarity of
      a label's profiles, less that to all others, is compared. This is exact if a label has nothing to do with
      profiles.
    - `copairs`: ranks are drawn at random, one draw a configuration of positives and candidates.

    Args:
        profiles: (N, D), finite, such as one a treatment.
        labels: (N,), of `split_labels`.
        perturbations: (N,). Profiles of one perturbation, such as its doses, are not one another's positives.
        null: See above.
        q_max: Largest false discovery rate of a consistent label.
        seed: Of the draws. Neither the order of rows nor other labels change a p-value.

    Raises:
        InputRejectedError: If a profile is not finite, or fewer than two have a label.
    """
    kept = np.flatnonzero([bool(own) for own in labels])
    _check(profiles, kept)
    # In the order of their content, so that draws meet the same profiles whatever the order of the table.
    content = [row.tobytes() for row in profiles[kept] + 0.0]
    kept = kept[sorted(range(len(kept)), key=content.__getitem__)]
    values = np.asarray(profiles[kept], dtype=np.float64)
    own = [labels[row] for row in kept.tolist()]
    names = sorted({name for names in own for name in names})
    members = _members(own, names)
    numbers = None if perturbations is None else _numbers([perturbations[row] for row in kept.tolist()])
    found = label_precisions(values, members, perturbations=numbers)
    table = _scores(found, names, members, numbers)
    tests = _tests(values, members, numbers, seed=seed) if null == "labels" else _copairs_tests(found, table, seed=seed)
    return Consistency(
        labels=_with_calls(table, tests, q_max=q_max),
        profiles=_each(found, names, kept),
        n_without_label=len(labels) - len(kept),
    )


def _check(profiles: NDArray[np.floating], kept: NDArray[np.intp]) -> None:
    if len(kept) < 2:
        raise InputRejectedError(
            f"two or more profiles with a label are expected, but {len(kept)} of {len(profiles)} have one; name the "
            "column that holds the labels"
        )
    refuse_missing(profiles, kept, name=row_name)


def _members(labels: Sequence[tuple[str, ...]], names: Sequence[str]) -> list[NDArray[np.intp]]:
    rows: dict[str, list[int]] = {name: [] for name in names}
    for row, own in enumerate(labels):
        for name in own:
            rows[name].append(row)
    return [np.array(rows[name], dtype=np.intp) for name in names]


def _numbers(names: Sequence[str]) -> NDArray[np.intp]:
    return np.asarray(np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)[1], dtype=np.intp)


def _scores(
    found: LabelPrecisions,
    names: Sequence[str],
    members: Sequence[NDArray[np.intp]],
    perturbations: NDArray[np.integer] | None,
) -> pl.DataFrame:
    expected = expected_precision(np.maximum(found.n_positives, 1), np.maximum(found.n_candidates, 2))
    normalized = np.clip((found.precisions - expected) / (1 - expected), -1.0, 1.0)
    entries = pl.DataFrame({"label": found.labels, "precision": found.precisions, "normalized": normalized})
    precision, normalized_precision = (pl.col(name).fill_nan(None) for name in ("precision", "normalized"))
    of = np.arange(len(found.rows)) if perturbations is None else perturbations
    return (
        entries.group_by("label")
        .agg(
            pl.len().alias("n_profiles"),
            precision.count().alias("n_scored"),
            precision.mean().alias("mean_average_precision"),
            normalized_precision.mean().alias("mean_normalized_average_precision"),
        )
        .sort("label")
        .with_columns(
            label=pl.Series(names, dtype=pl.String),
            n_perturbations=pl.Series([len(np.unique(of[rows])) for rows in members], dtype=pl.Int64),
        )
    )


def _tests(
    values: NDArray[np.float64],
    members: Sequence[NDArray[np.intp]],
    perturbations: NDArray[np.integer] | None,
    *,
    seed: int,
) -> LabelTests:
    units, _ = unit_rows(values)
    if perturbations is None:
        return label_permutation_tests(units, members, seed=seed)
    # A perturbation is dealt as a whole: the mean of its directions, in the order of its first profile.
    firsts, inverse = np.unique(perturbations, return_index=True, return_inverse=True)[1:]
    place = np.empty(len(firsts), dtype=np.intp)
    place[np.argsort(firsts)] = np.arange(len(firsts))
    of = place[inverse]
    means = np.zeros((len(firsts), units.shape[1]))
    np.add.at(means, of, units)
    means /= np.bincount(of)[:, None]
    return label_permutation_tests(means, [np.unique(of[rows]) for rows in members], seed=seed)


def _copairs_tests(found: LabelPrecisions, table: pl.DataFrame, *, seed: int) -> LabelTests:
    null = RankNull(seed=seed)
    p_values, smallest = np.full((2, table.height), np.nan)
    for label, mean in enumerate(table["mean_average_precision"]):
        scored = (found.labels == label) & np.isfinite(found.precisions)
        if mean is not None:
            counts = (found.n_positives[scored], found.n_candidates[scored])
            p_values[label] = null.p_value(mean, *counts)
            smallest[label] = null.p_value(1.0, *counts)
    return LabelTests(p_values, smallest)


def _with_calls(table: pl.DataFrame, tests: LabelTests, *, q_max: float) -> pl.DataFrame:
    is_scored = table["mean_average_precision"].is_not_null().to_numpy()
    q_values = benjamini_hochberg(np.where(is_scored, tests.p_values, np.nan))
    return table.select(
        "label",
        "n_profiles",
        "n_perturbations",
        "n_scored",
        "mean_average_precision",
        "mean_normalized_average_precision",
        p_value=pl.Series(np.where(is_scored, tests.p_values, np.nan)).fill_nan(None),
        smallest_possible_p=pl.Series(np.where(is_scored, tests.smallest_possible, np.nan)).fill_nan(None),
        q_value=pl.Series(q_values).fill_nan(None),
        is_consistent=pl.Series(q_values).fill_nan(None) <= q_max,
    )


def _each(found: LabelPrecisions, names: Sequence[str], kept: NDArray[np.intp]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row": kept[found.rows],
            "label": [names[label] for label in found.labels],
            "n_positives": found.n_positives,
            "n_candidates": found.n_candidates,
            "average_precision": pl.Series(found.precisions).fill_nan(None),
        }
    ).sort("label", "row")
