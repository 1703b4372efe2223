"""From sites to wells."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError


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
