from dataclasses import replace

import pytest

from hcs.errors import UsageError
from hcs.simulation.design import (
    MECHANISM_SETS,
    PLATE_SHAPES,
    ScreenDesign,
    TechnicalEffects,
    demo_design,
    small_design,
)


def test_the_demo_fills_its_plates():
    design = demo_design()

    assert (design.n_batches, design.n_plates, design.n_wells, design.n_sites) == (2, 5, 96, 1)
    assert (design.n_treatments, design.n_inactive, design.n_negcon, design.n_poscon) == (76, 44, 16, 4)
    assert design.n_treatments + design.n_negcon + design.n_poscon == 96
    assert design.n_imaged_sites == 960


def test_a_small_screen_is_two_plates_of_the_demo():
    assert small_design() == replace(demo_design(), n_batches=1, n_plates=2)


@pytest.mark.parametrize("mechanism_set", MECHANISM_SETS)
@pytest.mark.parametrize("wells", PLATE_SHAPES)
def test_small_designs_of_every_plate_fit_it(wells: int, mechanism_set: str):
    design = small_design(wells=wells, mechanism_set=mechanism_set)

    assert design.n_treatments + design.n_negcon + design.n_poscon <= wells
    assert design.n_negcon == wells // 6
    assert len(design.mechanisms) * design.compounds_per_mechanism + design.n_inactive == 76 * wells // 96


@pytest.mark.parametrize(("wells", "doses"), [(96, 2), (96, 4), (384, 8)])
def test_doses_take_the_place_of_compounds(wells: int, doses: int):
    design = small_design(wells=wells, doses=doses)

    assert design.n_compounds == 76 * wells // 96 // doses
    assert design.n_treatments + design.n_negcon + design.n_poscon <= wells
    assert len(design.concentrations_micromolar()) == doses


def test_doses_ascend_to_the_top_in_equal_factors():
    concentrations = small_design(doses=4).concentrations_micromolar()

    assert concentrations == (0.3162, 1.0, 3.162, 10.0)


def test_a_plate_without_room_is_refused_with_the_numbers():
    with pytest.raises(UsageError, match=r"76 compounds at 2 dose\(s\).*need 172 wells, but a plate has 96"):
        ScreenDesign(n_doses=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_wells": 100}, "a plate of 24, 48, 96, 384, 1536 wells was expected, got 100"),
        ({"n_plates": 0}, "n_plates of at least 1"),
        ({"n_sites": 0}, "n_sites of at least 1"),
        ({"n_doses": 0}, "n_doses of at least 1"),
        ({"n_inactive": -1}, "n_inactive of at least 0"),
        ({"site_px": 8}, "site_px of at least 64"),
        ({"n_poscon_perturbations": 5}, "1 to 4 perturbations were expected for 4 positive control wells, got 5"),
        ({"n_poscon_perturbations": 0}, "1 to 4 perturbations were expected"),
        ({"mechanisms": ("magic",)}, "'magic' is none of them"),
        ({"well_layout": "snake"}, "shuffled or fixed was expected as the layout of the wells, got snake"),
        ({"strengths": ()}, "at least one strength and one viability were expected"),
        ({"annotated_share": 1.5}, "annotated_share between 0 and 1 was expected, got 1.5"),
        ({"cells_per_site": -1.0}, "cells_per_site of at least 0"),
    ],
)
def test_an_impossible_design_is_refused(change: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        replace(demo_design(), **change)


def test_without_positive_controls_their_number_of_perturbations_does_not_matter():
    assert ScreenDesign(n_poscon=0, n_poscon_perturbations=2).n_poscon == 0


def test_no_effects_are_all_zero():
    assert set(vars(TechnicalEffects.none()).values()) == {0.0}
