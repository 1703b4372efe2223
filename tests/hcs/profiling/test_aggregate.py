from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.aggregate import OPERATIONS, aggregate_groups, aggregate_sites
from hcs.profiling.groups import group_rows


def make_sites(rng: np.random.Generator, n_features: int = 3) -> tuple[pl.DataFrame, np.ndarray]:
    rows = [
        (plate, well, site, 9)
        for plate in ("p1", "p2")
        for well in ("A01", "A02", "B11")
        for site in range(1, int(rng.integers(1, 5)) + 1)
    ]
    sites = pl.DataFrame(rows, schema=["plate", "well", "site", "n_tiles"], orient="row")
    return sites, rng.normal(1e3, 1, (len(rows), n_features)).astype(np.float32)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_the_order_of_the_sites_does_not_change_a_bit(seed):
    rng = np.random.default_rng(seed)
    sites, embedding = make_sites(rng)
    order = rng.permutation(len(embedding))

    wells, profiles = aggregate_sites(sites, embedding)
    other_wells, other = aggregate_sites(sites[order], embedding[order])

    assert wells.equals(other_wells)
    assert profiles.tobytes() == other.tobytes()


def test_a_well_is_the_mean_of_its_sites():
    rng = np.random.default_rng(0)
    sites, embedding = make_sites(rng)

    wells, profiles = aggregate_sites(sites, embedding)

    assert wells.columns == ["plate", "well", "n_sites"]
    assert wells.rows() == sorted(wells.rows())
    for (plate, well, n_sites), profile in zip(wells.iter_rows(), profiles, strict=True):
        members = ((sites["plate"] == plate) & (sites["well"] == well)).to_numpy()
        assert n_sites == members.sum()
        np.testing.assert_allclose(profile, embedding[members].astype(np.float64).mean(axis=0), rtol=1e-14)


def test_sums_are_not_made_in_single_precision():
    sites = pl.DataFrame({"plate": ["p"] * 3, "well": ["A01"] * 3, "site": [1, 2, 3]})
    embedding = np.array([[2.0**24], [1.0], [1.0]], dtype=np.float32)

    _, profiles = aggregate_sites(sites, embedding)

    assert profiles[0, 0] == (2.0**24 + 2) / 3


def test_no_site_gives_no_well():
    sites = pl.DataFrame(schema={"plate": pl.String, "well": pl.String, "site": pl.Int32})

    wells, profiles = aggregate_sites(sites, np.zeros((0, 5), dtype=np.float32))

    assert wells.is_empty()
    assert profiles.shape == (0, 5)


def test_a_site_that_comes_twice_is_refused():
    sites = pl.DataFrame({"plate": ["p", "p"], "well": ["A01", "A01"], "site": [1, 1]})

    with pytest.raises(InputRejectedError, match="site 1 of well A01 on plate p"):
        aggregate_sites(sites, np.zeros((2, 4), dtype=np.float32))


def test_a_matrix_with_other_rows_than_sites_is_refused():
    sites = pl.DataFrame({"plate": ["p"], "well": ["A01"], "site": [1]})

    with pytest.raises(InputRejectedError, match="one vector a site"):
        aggregate_sites(sites, np.zeros((2, 4), dtype=np.float32))


@pytest.mark.parametrize("operation", OPERATIONS)
@given(seed=st.integers(0, 2**32 - 1), weighted=st.booleans())
@settings(deadline=None, max_examples=15)
def test_shifting_scaling_and_reordering_rows_does_the_same_to_what_they_become(operation, seed, weighted):
    rng = np.random.default_rng(seed)
    sites, embedding = make_sites(rng)
    cells, order = rng.integers(1, 50, len(embedding)), rng.permutation(len(embedding))
    embedding = embedding.astype(np.float64)

    def made(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        groups = group_rows(sites[rows], ["plate", "well"])
        return aggregate_groups(
            values[rows], groups, operation=operation, n_cells=cells[rows], is_weighted=weighted
        ).values

    plain = made(np.arange(len(embedding)), embedding)

    np.testing.assert_allclose(made(order, embedding * 3.0 + 7.0), plain * 3.0 + 7.0, rtol=1e-12)


def test_a_mean_of_rows_weighted_by_cells_is_the_mean_over_cells():
    wells = pl.DataFrame({"well": ["A01", "B01", "A01"]})
    values = np.array([[1.0], [5.0], [4.0]], dtype=np.float32)

    made = aggregate_groups(
        values, group_rows(wells, ["well"]), operation="mean", n_cells=np.array([30, 7, 10]), is_weighted=True
    )

    assert made.values.tolist() == [[1.75], [5.0]]
    assert made.values.dtype == np.float32
    assert made.groups.to_dicts() == [
        {"well": "A01", "n_rows": 2, "n_cells": 40, "is_fitted": True},
        {"well": "B01", "n_rows": 1, "n_cells": 7, "is_fitted": True},
    ]


def test_a_well_with_few_cells_keeps_its_row_and_is_marked():
    wells = pl.DataFrame({"well": ["A01", "B01", "A01"]})

    made = aggregate_groups(
        np.ones((3, 2)), group_rows(wells, ["well"]), n_cells=np.array([30, 7, 10]), minimum_cells=40
    )

    assert made.groups["is_fitted"].to_list() == [True, False]
    assert len(made.values) == 2


def test_counts_and_operations_that_cannot_be_meant_are_refused():
    groups = group_rows(pl.DataFrame({"well": ["A01", "B01"]}), ["well"])
    values = np.ones((2, 3))

    with pytest.raises(UsageError, match="'mode' is not known"):
        aggregate_groups(values, groups, operation="mode")
    with pytest.raises(UsageError, match="no counts of cells came"):
        aggregate_groups(values, groups, is_weighted=True)
    with pytest.raises(InputRejectedError, match="row 1 has nan"):
        aggregate_groups(values, groups, n_cells=np.array([1.0, np.nan]))
    with pytest.raises(InputRejectedError, match="well B01 has none"):
        aggregate_groups(values, groups, n_cells=np.array([1, 0]), is_weighted=True)
    with pytest.raises(InputRejectedError, match="2 rows are expected"):
        aggregate_groups(values[:1], groups)
