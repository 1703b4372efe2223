from dataclasses import replace

import numpy as np
import pytest

from hcs.simulation.conditions import plate_stain, site_conditions
from hcs.simulation.design import TechnicalEffects, demo_design
from hcs.simulation.plan import ScreenPlan, lay_out_screen

DEMO = lay_out_screen(demo_design(), 1)
IDEAL = lay_out_screen(replace(demo_design(), effects=TechnicalEffects.none()), 1)


def _all(plan: ScreenPlan, plate: int = 0):
    contents = plan.plates[plate]
    return [site_conditions(plan, contents, well, 1) for well in contents.wells]


def _only(**effects: float) -> ScreenPlan:
    return lay_out_screen(replace(demo_design(), effects=replace(TechnicalEffects.none(), **effects)), 1)


def test_without_effects_wells_differ_by_their_treatment_alone():
    for well, conditions in zip(IDEAL.plates[0].wells, _all(IDEAL), strict=True):
        np.testing.assert_array_equal(conditions.response, well.treatment.push)
        assert not conditions.surroundings.any()
        assert conditions.expected_cells == pytest.approx(48 * well.treatment.viability)
        np.testing.assert_array_equal(conditions.optics.gain, 1)
        assert not conditions.optics.vignetting.any()
        assert (conditions.is_out_of_focus, conditions.n_debris, conditions.optics.defocus_sigma) == (False, 0, 0)


def test_everything_but_the_response_and_the_count_is_independent_of_the_treatment():
    plate = DEMO.plates[0]
    dmso = next(w.treatment for w in plate.wells if w.treatment.compound.control_type == "negcon")
    for well in plate.wells:
        as_planned = site_conditions(DEMO, plate, well, 1)
        as_control = site_conditions(DEMO, plate, replace(well, treatment=dmso), 1)

        np.testing.assert_array_equal(as_planned.surroundings, as_control.surroundings)
        np.testing.assert_array_equal(as_planned.optics.gain, as_control.optics.gain)
        np.testing.assert_array_equal(as_planned.optics.background, as_control.optics.background)
        assert as_planned.expected_cells == pytest.approx(as_control.expected_cells * well.treatment.viability)


def test_wells_of_a_plate_differ_by_their_own_noise():
    surroundings = np.array([conditions.surroundings for conditions in _all(_only(well_phenotype_sd=0.15))])

    assert surroundings.std() == pytest.approx(0.15, rel=0.1)


def test_plates_of_a_batch_share_its_effect():
    plan = _only(batch_stain_sd=0.2, batch_phenotype_sd=0.1)
    gains = [plate_stain(plan, plate) for plate in plan.plates]
    shifts = [_all(plan, plate)[0].surroundings for plate in range(10)]

    for values in (gains, shifts):
        np.testing.assert_array_equal(values[0], values[1])
        np.testing.assert_array_equal(values[5], values[9])
        assert not np.allclose(values[0], values[5])


def test_positions_share_their_effect_over_all_plates():
    plan = _only(position_phenotype_sd=0.1)

    first, second = (
        {well.position: c.surroundings for well, c in zip(plan.plates[plate].wells, _all(plan, plate), strict=True)}
        for plate in (0, 4)
    )

    for position, shift in first.items():
        np.testing.assert_array_equal(shift, second[position])


def test_the_edge_of_a_plate_loses_cells():
    plan = _only(edge_loss=0.3)

    for well, conditions in zip(plan.plates[0].wells, _all(plan), strict=True):
        is_edge = well.row in {0, 7} or well.column in {0, 11}
        assert (conditions.edge_factor < 1) == is_edge
        assert conditions.edge_factor >= 0.7


def test_stain_and_count_follow_a_gradient_over_the_plate():
    plan = _only(gradient=0.2)
    plate, conditions = plan.plates[0], _all(plan)
    rows, columns = np.array([(well.row, well.column) for well in plate.wells]).T
    gains = np.array([item.optics.gain[0] for item in conditions])

    design = np.stack([np.ones(96), rows, columns], axis=1)
    fitted = design @ np.linalg.lstsq(design, gains, rcond=None)[0]

    np.testing.assert_allclose(fitted, gains, atol=1e-9)
    assert 0 < np.ptp(gains) <= 0.3
    viability = np.array([well.treatment.viability for well in plate.wells])
    np.testing.assert_allclose([item.expected_cells for item in conditions], 48 * viability * gains)


def test_dyes_bleach_while_the_plate_is_imaged():
    gains = np.array([conditions.optics.gain for conditions in _all(_only(bleaching=0.2))])

    assert np.all(np.diff(gains, axis=0) < 0)
    assert gains[-1].min() == pytest.approx(0.8, abs=0.01)


def test_batches_alternate_between_two_scanners():
    plan = lay_out_screen(replace(demo_design(), n_batches=3), 1)
    fields = [_all(plan, 5 * batch)[0].optics.vignetting for batch in range(3)]

    np.testing.assert_array_equal(fields[0], fields[2])
    assert not np.allclose(fields[0], fields[1])


def test_artefacts_are_as_frequent_as_asked_for():
    plan = lay_out_screen(
        replace(
            demo_design(), n_sites=6, effects=replace(TechnicalEffects.none(), out_of_focus_share=0.2, debris_share=0.1)
        ),
        1,
    )
    plate = plan.plates[0]

    conditions = [site_conditions(plan, plate, well, site) for well in plate.wells for site in range(1, 7)]

    assert np.mean([item.is_out_of_focus for item in conditions]) == pytest.approx(0.2, abs=0.05)
    assert np.mean([item.n_debris > 0 for item in conditions]) == pytest.approx(0.1, abs=0.04)
    assert all((item.optics.defocus_sigma >= 3) == item.is_out_of_focus for item in conditions)


def test_sites_of_a_well_share_its_conditions():
    plate = DEMO.plates[2]
    first, second = (site_conditions(DEMO, plate, plate.wells[5], site) for site in (1, 2))

    np.testing.assert_array_equal(first.surroundings, second.surroundings)
    assert first.expected_cells == second.expected_cells
