"""How wells become treatments and controls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.treatments import screen_wells


def test_a_treatment_is_a_perturbation_at_one_dose_and_nine_digits_tell_doses_apart(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 0.0], n_plates=2)
    doses = [0.3, 0.1 + 0.2, None, 3.0, *[None] * (wells.height - 4)]
    wells = wells.with_columns(
        perturbation=pl.Series(["a"] * 4 + wells["perturbation"].to_list()[4:]),
        concentration_micromolar=pl.Series(doses, dtype=pl.Float64),
        control_type=pl.Series(["treatment"] * 4 + wells["control_type"].to_list()[4:]),
    )

    treatments = screen_wells(profiles, wells).treatments

    mine = [(t.concentration_micromolar, len(t.wells)) for t in treatments if t.perturbation == "a"]
    assert mine == [(None, 1), (0.3, 2), (3.0, 1)]


def test_empty_wells_take_no_part_and_controls_are_no_treatment(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0], n_plates=1, n_controls=3, poscon=1.0)
    wells = wells.with_columns(
        control_type=pl.Series(["empty", *wells["control_type"].to_list()[1:]]),
        perturbation=pl.Series([None, *wells["perturbation"].to_list()[1:]]),
    )

    screen = screen_wells(profiles, wells)

    assert len(screen.profiles) == wells.height - 1
    assert [(t.control_type, t.perturbation) for t in screen.treatments] == [("poscon", "positive")]
    assert screen.is_negcon.sum() == 3


def test_wells_stand_in_an_order_of_their_content(make_screen: Callable) -> None:
    profiles, wells = make_screen()
    order = np.random.default_rng(0).permutation(wells.height)

    first, second = screen_wells(profiles, wells), screen_wells(profiles[order], wells[order])

    np.testing.assert_array_equal(first.profiles, second.profiles)
    np.testing.assert_array_equal(first.plates, second.plates)
    for one, other in zip(first.treatments, second.treatments, strict=True):
        np.testing.assert_array_equal(one.wells, other.wells)


def test_wells_without_a_batch_share_one_and_without_a_count_have_none(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0], n_plates=2)
    wells = wells.with_columns(batch=pl.lit(None, dtype=pl.String), cell_count=pl.lit(None, dtype=pl.Int32))

    screen = screen_wells(profiles, wells)

    assert set(screen.batches.tolist()) == {0}
    assert np.isnan(screen.cell_counts).all()


def test_a_profile_that_is_not_finite_is_refused_with_its_well(make_screen: Callable) -> None:
    profiles, wells = make_screen()
    profiles[5, 2] = np.nan

    with pytest.raises(InputRejectedError, match=f"well {wells['well'][5]} of plate P0"):
        screen_wells(profiles, wells)


def test_a_well_that_comes_twice_is_refused(make_screen: Callable) -> None:
    profiles, wells = make_screen()
    wells = wells.with_columns(well=pl.Series([wells["well"][1], *wells["well"].to_list()[1:]]))

    with pytest.raises(InputRejectedError, match="comes more than once"):
        screen_wells(profiles, wells)


def test_a_well_without_its_perturbation_is_refused(make_screen: Callable) -> None:
    profiles, wells = make_screen()
    wells = wells.with_columns(perturbation=pl.Series([None, *wells["perturbation"].to_list()[1:]]))

    with pytest.raises(InputRejectedError, match="has no perturbation but is not empty"):
        screen_wells(profiles, wells)


def test_profiles_and_wells_that_do_not_fit_are_refused(make_screen: Callable) -> None:
    profiles, wells = make_screen()

    with pytest.raises(InputRejectedError, match="one profile a well"):
        screen_wells(profiles[1:], wells)
    with pytest.raises(InputRejectedError, match="lacks"):
        screen_wells(profiles, wells.drop("batch"))
