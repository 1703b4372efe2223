from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hcs.imaging.correct import correct_site, scale_site
from hcs.imaging.survey import survey_plate
from hcs.lab.fields import SITES_A_SCREEN, Fields, join_fields, render_fields, render_screen, training_plan
from hcs.lab.recipe import Recipe
from hcs.simulation.library import AXES, CHANNELS, DEMO_MECHANISMS, MECHANISMS, TRAINING_MECHANISMS
from hcs.simulation.sites import render_site

MakeRecipe = Callable[..., Recipe]

FIRST = 1_000_000
ARRAYS = ("planes", "first_cell", "centres", "phenotypes")
N_PLANS = 60


def bytes_of(fields: Fields) -> dict[str, bytes]:
    return {name: getattr(fields, name).tobytes() for name in ARRAYS}


@pytest.fixture(scope="module")
def pushes() -> np.ndarray:
    """What the wells of many plans are treated with, (W, 16)."""
    plans = [training_plan(FIRST + number, site_px=96) for number in range(N_PLANS)]
    return np.array([well.treatment.push for plan in plans for plate in plan.plates for well in plate.wells])


def test_the_number_of_workers_changes_no_byte_and_seeds_keep_their_order(fields: Fields) -> None:
    told: list[tuple[int, int]] = []

    by_two = render_fields([FIRST + 1, FIRST], site_px=96, workers=2, progress=lambda *done: told.append(done))

    by_one = join_fields([render_screen(FIRST + 1, 96), fields])
    assert bytes_of(by_two) == bytes_of(by_one)
    assert told == [(1, 2), (2, 2)]
    assert bytes_of(render_screen(FIRST, 96)) != bytes_of(render_screen(FIRST + 1, 96))


def test_every_cell_belongs_to_one_site_and_lies_in_it(fields: Fields) -> None:
    assert fields.n_sites == SITES_A_SCREEN
    assert fields.planes.shape == (SITES_A_SCREEN, len(CHANNELS), 96, 96)
    assert (fields.planes.dtype, fields.centres.dtype, fields.phenotypes.dtype) == ("uint8", "float32", "float32")
    rows = np.concatenate([np.arange(len(fields.centres))[fields.cells_of(site)] for site in range(fields.n_sites)])
    np.testing.assert_array_equal(rows, np.arange(len(fields.centres)))
    assert fields.phenotypes.shape == (len(fields.centres), len(AXES))
    assert np.isfinite(fields.phenotypes).all()
    assert ((fields.centres >= 0) & (fields.centres < 96)).all()


def test_joined_fields_keep_the_cells_of_every_site(fields: Fields) -> None:
    joined = join_fields([fields, fields, fields])

    for site in range(joined.n_sites):
        own = fields.cells_of(site % fields.n_sites)
        np.testing.assert_array_equal(joined.planes[site], fields.planes[site % fields.n_sites])
        np.testing.assert_array_equal(joined.centres[joined.cells_of(site)], fields.centres[own])
        np.testing.assert_array_equal(joined.phenotypes[joined.cells_of(site)], fields.phenotypes[own])


def test_planes_are_what_a_run_makes_of_the_same_pixels(fields: Fields) -> None:
    plan = training_plan(FIRST, site_px=96)
    (plate,) = plan.plates
    sites = [render_site(plan, plate, well, 1) for well in plate.wells]
    survey = survey_plate([site.pixels for site in sites], channels=CHANNELS)

    for number in (0, 11, 23):
        scaled = scale_site(correct_site(sites[number].pixels, survey), survey)
        np.testing.assert_array_equal(fields.planes[number], np.round(255 * scaled))
        np.testing.assert_array_equal(fields.centres[fields.cells_of(number)], sites[number].cells.centres)
    assert fields.planes.max() == 255


def test_nothing_that_is_learned_from_is_a_mechanism_of_the_demo(pushes: np.ndarray) -> None:
    demo = np.array([MECHANISMS[name].direction() for name in DEMO_MECHANISMS if not MECHANISMS[name].is_count_only])
    training = np.array([MECHANISMS[name].direction() for name in TRAINING_MECHANISMS])
    treated = pushes[np.any(pushes != 0, axis=1)]
    units = treated / np.linalg.norm(treated, axis=1, keepdims=True)

    is_a_mechanism = (units @ training.T).max(axis=1) > 0.9

    assert not set(DEMO_MECHANISMS) & set(TRAINING_MECHANISMS)
    assert 0.25 < is_a_mechanism.mean() < 0.40, "of the treated wells; of all wells a quarter"
    nearest_of_demo = (units @ demo.T).max(axis=1)
    assert (nearest_of_demo > 0.9).mean() < 0.01, "random directions are not the demo's, but by rare chance"


def test_pushes_are_finite_and_bounded_and_a_tenth_of_the_wells_is_untreated(pushes: np.ndarray) -> None:
    untreated = np.all(pushes == 0, axis=1).mean()

    assert np.isfinite(pushes).all()
    assert np.abs(pushes).max() <= 5
    # 1440 wells: four standard deviations, and some random directions that come to be empty
    assert 0.1 - 4 * np.sqrt(0.09 / len(pushes)) < untreated < 0.1 + 4 * np.sqrt(0.09 / len(pushes)) + 0.01
    assert (np.abs(pushes).max(axis=1) > 2).mean() > 0.3, "it is the strong that teaches"


def test_only_treated_wells_lose_cells() -> None:
    wells = [
        well.treatment
        for number in range(N_PLANS)
        for plate in training_plan(FIRST + number, site_px=96).plates
        for well in plate.wells
    ]
    treated = [treatment for treatment in wells if any(treatment.push)]

    assert all(treatment.viability == 1 for treatment in wells if not any(treatment.push))
    assert all(0.4 <= treatment.viability <= 1 for treatment in treated)
    assert np.mean([treatment.viability < 1 for treatment in treated]) == pytest.approx(0.3, abs=0.06)


def test_every_screen_has_a_density_of_its_own() -> None:
    densities = [training_plan(FIRST + number, site_px=96).design.cells_per_site for number in range(N_PLANS)]

    assert len(set(densities)) == N_PLANS
    assert 32 <= min(densities) < 40
    assert 62 < max(densities) <= 72
