"""The table of neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from hcs.mechanisms.neighbours import treatment_neighbours
from schemas.results import TreatmentNeighbours


def test_the_nearest_are_those_with_the_same_phenotype_and_never_oneself(make_wells: Callable) -> None:
    near = treatment_neighbours(*make_wells(), profile_name="combined", top=2)

    TreatmentNeighbours.validate(near)
    a1 = near.filter(pl.col("treatment") == "a1@1")
    assert set(a1["neighbour"]) == {"a2@1", "a3@1"}
    assert a1["rank"].to_list() == [1, 2]
    assert a1["similarity"].is_sorted(descending=True)
    assert (near["treatment"] != near["neighbour"]).all()


def test_another_dose_of_the_same_perturbation_is_no_neighbour_and_another_compound_comes_once(
    make_wells: Callable,
) -> None:
    profiles, wells = make_wells()
    dosed = wells.with_columns(
        perturbation=pl.col("perturbation").replace({"a1": "a", "a2": "a", "b1": "b", "b2": "b"}),
        dose_step=pl.col("perturbation").str.extract("[ab]([12])").cast(pl.Float64),
    )

    near = treatment_neighbours(profiles, dosed, profile_name="combined", top=10)

    a = near.filter(pl.col("treatment") == "a@1#1")
    assert a["neighbour"][0] == "a3@1#3" or a["neighbour"][0] == "a3@1"
    assert not a["neighbour"].str.starts_with("a@").any()
    assert a["neighbour"].str.starts_with("b@").sum() == 1


def test_order_of_wells_and_a_common_factor_change_nothing(make_wells: Callable) -> None:
    profiles, wells = make_wells()
    order = np.random.default_rng(3).permutation(wells.height)
    expected = treatment_neighbours(profiles, wells, profile_name="p")

    assert_frame_equal(
        treatment_neighbours(profiles[order] * 3.7, wells[order], profile_name="p"), expected, check_exact=True
    )


def test_a_single_perturbation_has_no_neighbour(make_wells: Callable) -> None:
    profiles, wells = make_wells()
    rows = wells.with_row_index().filter(pl.col("perturbation").is_in(["a1", "DMSO"]))["index"].to_numpy()

    near = treatment_neighbours(profiles[rows], wells[rows], profile_name="p")

    assert near.height == 0
    TreatmentNeighbours.validate(near)
