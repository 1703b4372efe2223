"""Percent replicating and percent matching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.finite import refuse_missing, row_name
from hcs.statistics.group_correlation import CorrelatedRows, group_correlations


@dataclass(frozen=True)
class Replicating:
    """What `replicating` finds."""

    groups: pl.DataFrame
    """A row a group, sorted: its keys, `n_profiles, n_pairs, median_correlation, threshold, is_replicating`, the last
    null where the group has no pair or no random group of its make can be had."""
    share: float | None
    """Of the judged groups, those that replicate."""
    n_judged: int


def replicating(
    profiles: NDArray[np.floating],
    metadata: pl.DataFrame,
    *,
    by: Sequence[str],
    different: Sequence[str] = (),
    like_copairs: bool = False,
    seed: int = 0,
) -> Replicating:
    """Return which groups correlate more, in the median over pairs, than 95 % of random groups of the same make.

    By perturbation it is percent replicating, by mechanism among other perturbations percent matching, by perturbation
    among other wells percent replicating without what a position does.

    Args:
        profiles: (N, D), finite. A constant one correlates with nothing, and is left out of the medians.
        metadata: (N rows), with the columns that are named. Rows without a value in one of them take no part.
        by: Columns whose values rows of one group share.
        different: Columns in each of which the rows of a pair must differ.
        like_copairs: One threshold for all groups, from random pairs as `copairs.replicating` draws them.
        seed: Of the random groups.

    Raises:
        InputRejectedError: If a profile is not finite, or no two rows make a pair.
    """
    columns = list(dict.fromkeys([*by, *different]))
    content = [row.tobytes() for row in np.asarray(profiles, dtype=np.float64) + 0.0]
    by_content = sorted(range(len(content)), key=content.__getitem__)
    whole = metadata.select(columns).with_row_index("__row__")[by_content].drop_nulls()
    # In a group, rows stand in the order of their content, whatever the order of the table.
    whole = whole.sort(columns, maintain_order=True)
    rows = whole["__row__"].to_numpy().astype(np.intp)
    refuse_missing(profiles, rows, name=row_name)
    values = np.asarray(profiles[rows], dtype=np.float64)
    keys = whole.select(by).unique(maintain_order=True)
    numbers = whole.select(by).join(keys.with_row_index("__group__"), on=list(by), how="left", maintain_order="left")
    codes = [(whole[column].rank("dense") - 1).to_numpy().astype(np.intp) for column in different]
    correlated = CorrelatedRows(
        values,
        numbers["__group__"].to_numpy().astype(np.intp),
        np.column_stack(codes) if codes else np.empty((len(rows), 0), dtype=np.intp),
    )
    found = group_correlations(correlated, seed=seed, like_copairs=like_copairs)
    is_judged = np.isfinite(found.medians) & np.isfinite(found.thresholds)
    if not found.n_pairs.any():
        raise InputRejectedError(
            f"groups with two or more rows are expected, but none of {keys.height} groups by {', '.join(by)} has a pair"
            + (f" that differs in {', '.join(different)}" if different else "")
        )
    is_above = found.medians > found.thresholds
    verdict = [bool(is_so) if judged else None for is_so, judged in zip(is_above, is_judged, strict=True)]
    return Replicating(
        groups=keys.with_columns(
            n_profiles=pl.Series([len(members) for members in correlated.members], dtype=pl.Int64),
            n_pairs=pl.Series(found.n_pairs, dtype=pl.Int64),
            median_correlation=pl.Series(found.medians).fill_nan(None),
            threshold=pl.Series(found.thresholds).fill_nan(None),
            is_replicating=pl.Series(verdict, dtype=pl.Boolean),
        ),
        share=float(np.mean([one for one in verdict if one is not None])) if is_judged.any() else None,
        n_judged=int(is_judged.sum()),
    )
