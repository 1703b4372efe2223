import pickle
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.simulation.design import demo_design, small_design
from hcs.simulation.plan import lay_out_screen

SEEDS = st.integers(0, 2**40)


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_every_plate_holds_every_treatment_once(seed: int):
    plan = lay_out_screen(demo_design(), seed)

    for plate in plan.plates:
        copies = Counter(well.treatment for well in plate.wells)
        by_type = Counter(treatment.compound.control_type for treatment in copies.elements())
        assert by_type == {"treatment": 76, "negcon": 16, "poscon": 4}
        assert {n for item, n in copies.items() if item.compound.control_type == "treatment"} == {1}
        assert {n for item, n in copies.items() if item.compound.control_type == "poscon"} == {2}
        assert len({well.well for well in plate.wells}) == 96


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_a_shuffled_layout_differs_between_replicates(seed: int):
    plan = lay_out_screen(demo_design(), seed)

    layouts = {tuple(well.treatment for well in plate.wells) for plate in plan.plates}

    assert len(layouts) == 10
    assert len({plate.platemap for plate in plan.plates}) == 10


def test_a_fixed_layout_is_the_same_on_all_plates():
    plan = lay_out_screen(replace(demo_design(), well_layout="fixed"), 3)

    assert len({plate.wells for plate in plan.plates}) == 1
    assert len({plate.platemap for plate in plan.plates}) == 1


def test_negative_controls_are_scattered_over_the_plate():
    plan = lay_out_screen(demo_design(), 0)

    for plate in plan.plates:
        controls = [well for well in plate.wells if well.treatment.compound.control_type == "negcon"]
        assert len({well.row for well in controls}) >= 5
        assert len({well.column for well in controls}) >= 6


@given(seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_laying_out_is_the_same_in_another_process(seed: int):
    design = demo_design()

    first = lay_out_screen(design, seed)
    lay_out_screen.cache_clear()

    assert lay_out_screen(pickle.loads(pickle.dumps(design)), seed) == first  # noqa: S301
    assert pickle.loads(pickle.dumps(first)) == first  # noqa: S301


def test_more_plates_leave_the_first_ones_as_they_were():
    few = lay_out_screen(small_design(batches=1, plates=2), 7)
    many = lay_out_screen(small_design(batches=3, plates=2), 7)

    assert many.plates[:2] == few.plates
    assert many.treatments == few.treatments


def test_batches_are_named_by_their_day():
    plan = lay_out_screen(small_design(batches=6, plates=1), 0)

    assert [plate.batch for plate in plan.plates][:2] == ["2024_01_08_Batch1", "2024_01_15_Batch2"]
    assert len({plate.batch for plate in plan.plates}) == 6


@pytest.mark.parametrize(("wells", "first", "last"), [(24, "A01", "D06"), (384, "A01", "P24"), (1536, "A01", "AF48")])
def test_wells_are_named_as_on_a_plate(wells: int, first: str, last: str):
    plate = lay_out_screen(small_design(wells=wells, plates=1), 0).plates[0]

    assert (plate.wells[0].well, plate.wells[-1].well) == (first, last)


def test_with_doses_every_plate_holds_every_dose_of_every_compound():
    design = small_design(doses=4, plates=1)

    plan = lay_out_screen(design, 0)

    tested = [w.treatment for w in plan.plates[0].wells if w.treatment.compound.control_type == "treatment"]
    doses = Counter(treatment.compound.perturbation for treatment in tested)
    assert len(doses) == design.n_compounds
    assert set(doses.values()) == {4}
    assert {treatment.concentration_micromolar for treatment in tested} == {0.3162, 1.0, 3.162, 10.0}


def test_wells_without_a_treatment_stay_empty():
    plan = lay_out_screen(replace(demo_design(), n_inactive=4), 0)

    assert {len(plate.wells) for plate in plan.plates} == {56}


def test_a_screen_without_controls_can_be_laid_out():
    plan = lay_out_screen(replace(demo_design(), n_negcon=0, n_poscon=0), 0)

    assert {treatment.compound.control_type for treatment in plan.treatments} == {"treatment"}
