from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError
from hcs.profiling.aggregate import aggregate_sites


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
