"""From sites, or cells, to wells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.groups import RowGroups
from hcs.statistics import stacks

Operation = Literal["mean", "median", "trimmed"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)

TRIMMED_SHARE = 0.1
"""Of the rows of a group, or of their weight, that `trimmed` cuts off at either end."""


@dataclass(frozen=True)
class Aggregated:
    """One profile for each of G groups."""

    groups: pl.DataFrame
    """The groups' keys, `n_rows`, and `is_fitted`: whether a fit may look at the group. `n_cells` where cells were
    counted."""
    values: NDArray[np.floating]
    """(G, D), in the dtype of what came in."""


def aggregate_sites(sites: pl.DataFrame, embedding: NDArray[np.float32]) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Return the mean vector of every well over its sites.

    Each site counts once, whatever its number of tiles. Sums run in float64 over the sites of a well in the order of
    their numbers, so that the result is the same bits for any order of the rows.

    Args:
        sites: `plate, well, site`, one row a site; other columns are not looked at.
        embedding: (S, D), one row a site in the order of `sites`.

    Returns:
        The wells, `plate, well, n_sites`, sorted by plate and well, and their profiles, (W, D), float64, in this order.

    Raises:
        InputRejectedError: If the two do not fit, or a site comes twice.
    """
    _check(sites, embedding)
    keys = sites.select("plate", "well", "site").with_row_index("row").sort("plate", "well", "site")
    wells = keys.group_by("plate", "well", maintain_order=True).agg(n_sites=pl.len().cast(pl.Int32))
    if wells.is_empty():
        return wells, np.zeros((0, embedding.shape[1]))
    n_sites = wells["n_sites"].to_numpy().astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(n_sites)[:-1]])
    sums = np.add.reduceat(_in_order(embedding, keys["row"].to_numpy()), starts, axis=0, dtype=np.float64)
    return wells, sums / n_sites[:, None]


def aggregate_groups(
    profiles: NDArray[np.floating],
    groups: RowGroups,
    *,
    operation: Operation = "median",
    n_cells: NDArray[np.floating] | NDArray[np.integer] | None = None,
    is_weighted: bool = False,
    minimum_cells: int = 0,
    n_threads: int | None = None,
) -> Aggregated:
    """Return one profile a group, such as that of a well from its sites or its cells.

    Args:
        profiles: (W, D), float32 or float64. Missing values are left out; a feature that is missing in all rows of
            a group is missing in the result.
        groups: Usually the wells of plates.
        operation: `mean`, `median`, or `trimmed`, the mean without the lowest and the highest tenth.
        n_cells: (W,), how many cells each row was made of; default one a row.
        is_weighted: Whether a row counts as often as it has cells.
        minimum_cells: A group with fewer cells keeps its row, but `is_fitted` is false: a fit should not look at it.
        n_threads: None is one for every core. The result is the same bits for any number.

    Raises:
        UsageError: If the operation is not known, or rows shall be weighted without counts.
        InputRejectedError: If shapes do not fit, a count is negative or missing, or a group that shall be weighted has
            no cell.
    """
    cells = np.ones(len(profiles)) if n_cells is None else np.asarray(n_cells, dtype=np.float64)
    _check_cells(profiles, groups, cells, operation=operation, is_weighted=is_weighted and n_cells is None)
    in_group = np.add.reduceat(cells[groups.order], groups.starts[:-1])
    if is_weighted and (in_group == 0).any():
        raise InputRejectedError(
            f"rows that shall count as often as they have cells need some, but {groups.name(int(in_group.argmin()))} "
            "has none; leave it out, or do not weight"
        )
    reduction = _weighted(operation, cells) if is_weighted else _UNWEIGHTED[operation]
    values = stacks.reduce_groups(profiles, groups.order, groups.starts, reduction=reduction, n_threads=n_threads)
    counted = [] if n_cells is None else [pl.Series("n_cells", in_group).cast(pl.Int64)]
    table = groups.keys.with_columns(
        pl.Series("n_rows", groups.sizes), *counted, pl.Series("is_fitted", in_group >= minimum_cells)
    )
    return Aggregated(table, values)


def _trimmed(stack: NDArray[np.floating], rows: NDArray[np.intp]) -> NDArray[np.floating]:
    return stacks.weighted_mean_within(stack, np.ones(rows.shape), cut=TRIMMED_SHARE)


_UNWEIGHTED: dict[Operation, stacks.Reduction] = {
    "mean": stacks.mean,
    "median": stacks.median,
    "trimmed": _trimmed,
}


def _weighted(operation: Operation, cells: NDArray[np.float64]) -> stacks.Reduction:
    if operation == "median":
        return lambda stack, rows: stacks.weighted_median(stack, cells[rows])
    within = partial(stacks.weighted_mean_within, cut=TRIMMED_SHARE if operation == "trimmed" else 0.0)
    return lambda stack, rows: within(stack, cells[rows])


def _check_cells(
    profiles: NDArray[np.floating],
    groups: RowGroups,
    cells: NDArray[np.float64],
    *,
    operation: str,
    is_weighted: bool,
) -> None:
    if operation not in OPERATIONS:
        raise UsageError(f"the operation {operation!r} is not known; choose one of {', '.join(OPERATIONS)}")
    if is_weighted:
        raise UsageError("rows shall count as often as they have cells, but no counts of cells came")
    if profiles.ndim != 2 or len(profiles) != len(groups.order) or len(cells) != len(profiles):
        raise InputRejectedError(
            f"one row and one count of cells for each of {len(groups.order)} rows are expected, but the matrix has "
            f"shape {profiles.shape}, and {len(cells)} counts came"
        )
    bad = np.flatnonzero(~(np.isfinite(cells) & (cells >= 0)))
    if len(bad):
        raise InputRejectedError(
            f"counts of cells of 0 or more are expected, but row {bad[0]} has {cells[bad[0]]} ({len(bad)} rows like it)"
        )


def _in_order(embedding: NDArray[np.float32], rows: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the rows in this order, without a copy where they stand in it already."""
    return embedding if np.array_equal(rows, np.arange(len(rows))) else embedding[rows]


def _check(sites: pl.DataFrame, embedding: NDArray[np.float32]) -> None:
    if embedding.ndim != 2 or len(embedding) != sites.height:
        raise InputRejectedError(
            f"one vector a site is expected, {sites.height} in all, but the matrix has shape {embedding.shape}"
        )
    repeated = sites.filter(pl.struct("plate", "well", "site").is_duplicated())
    if repeated.height:
        plate, well, site = repeated.select("plate", "well", "site").row(0)
        raise InputRejectedError(
            f"every site has one vector, but site {site} of well {well} on plate {plate} comes more than once "
            f"({repeated.height} rows like it); give the vectors of one encoder at a time"
        )
