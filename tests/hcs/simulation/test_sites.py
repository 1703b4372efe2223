import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hcs.errors import NotFoundError
from hcs.simulation.design import TechnicalEffects, demo_design
from hcs.simulation.library import CHANNELS
from hcs.simulation.plan import ScreenPlan, lay_out_screen
from hcs.simulation.sites import find_well, render_site

SMALL = replace(demo_design(), site_px=96, n_sites=2)


def _digest(plan: ScreenPlan, plate: int, well: int, site: int) -> str:
    contents = plan.plates[plate]
    return hashlib.sha256(render_site(plan, contents, contents.wells[well], site).pixels.tobytes()).hexdigest()


@given(
    seed=st.integers(0, 1000),
    places=st.permutations([(plate, well, site) for plate in (0, 4) for well in (0, 50) for site in (1, 2)]),
)
@settings(max_examples=6, deadline=None)
def test_a_site_alone_equals_the_same_site_in_a_screen(seed: int, places: list[tuple[int, int, int]]):
    in_order = {place: _digest(lay_out_screen(SMALL, seed), *place) for place in sorted(places)}

    for place in places[:3]:
        lay_out_screen.cache_clear()
        assert _digest(lay_out_screen(SMALL, seed), *place) == in_order[place]

    assert len(set(in_order.values())) == len(in_order)


def test_a_site_is_the_same_in_another_process_with_other_threads():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from test_sites import SMALL, _digest; from hcs.simulation.plan import lay_out_screen;"
        "print(_digest(lay_out_screen(SMALL, 7), 1, 2, 2))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, os.path.dirname(__file__)],
            env=os.environ | {"OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for threads in ("1", "2")
    }

    assert digests == {_digest(lay_out_screen(SMALL, 7), 1, 2, 2)}


def test_more_plates_or_sites_leave_a_site_as_it_was():
    larger = replace(SMALL, n_batches=3, n_sites=5)

    assert _digest(lay_out_screen(larger, 3), 1, 7, 2) == _digest(lay_out_screen(SMALL, 3), 1, 7, 2)


def test_an_inactive_compound_gives_the_pixels_that_the_negative_control_would_give():
    plan = lay_out_screen(SMALL, 0)
    plate = plan.plates[0]
    dmso = next(w.treatment for w in plate.wells if w.treatment.compound.control_type == "negcon")
    inactive = [w for w in plate.wells if w.treatment.is_null and w.treatment is not dmso][:5]

    for well in inactive:
        as_control = render_site(plan, plate, replace(well, treatment=dmso), 1)
        np.testing.assert_array_equal(render_site(plan, plate, well, 1).pixels, as_control.pixels)


def test_an_active_compound_does_not():
    plan = lay_out_screen(SMALL, 0)
    plate = plan.plates[0]
    dmso = next(w.treatment for w in plate.wells if w.treatment.compound.control_type == "negcon")
    well = next(w for w in plate.wells if w.treatment.effect_size > 2)

    as_control = render_site(plan, plate, replace(well, treatment=dmso), 1)

    assert not np.array_equal(render_site(plan, plate, well, 1).pixels, as_control.pixels)


def test_a_site_is_five_planes_of_sixteen_bits_in_a_plausible_range():
    plan = lay_out_screen(demo_design(), 0)
    plate = plan.plates[0]
    well = next(w for w in plate.wells if w.treatment.compound.control_type == "negcon")

    pixels = render_site(plan, plate, well, 1).pixels

    assert pixels.shape == (len(CHANNELS), 256, 256)
    assert pixels.dtype == np.uint16
    for plane in pixels:
        assert 80 < np.percentile(plane, 1) < 450
        assert 1500 < np.percentile(plane, 99.5) < 30000
        assert np.mean(plane == 65535) == 0


def test_the_nuclei_that_one_sees_are_the_cells_that_are_recorded():
    design = replace(demo_design(), effects=TechnicalEffects.none(), mechanisms=(), n_inactive=76, cells_per_site=25)
    plan = lay_out_screen(design, 0)
    plate = plan.plates[0]
    seen, recorded = [], []
    for well in plate.wells[:12]:
        site = render_site(plan, plate, well, 1)
        smooth = ndimage.gaussian_filter(site.pixels[0].astype(float), 1)
        recorded.append(len(site.cells.centres))
        seen.append(ndimage.label(smooth > 1500)[1])
        y, x = np.clip(np.rint(site.cells.centres).astype(int), 0, 255).T
        assert np.mean(ndimage.maximum_filter(smooth, 5)[y, x] > 1500) > 0.9

    assert np.corrcoef(seen, recorded)[0, 1] > 0.85
    assert sum(seen) == pytest.approx(sum(recorded), rel=0.15)


def test_generic_cytotoxicity_leaves_fewer_cells():
    plan = lay_out_screen(demo_design(), 0)
    plate = plan.plates[0]
    counts = {
        viability: render_site(plan, plate, well, 1).cells.centres.shape[0]
        for well in plate.wells
        if well.treatment.compound.mechanism == "generic cytotoxicity"
        for viability in [well.treatment.viability]
    }

    assert counts[0.35] < 0.7 * 48


def test_a_well_without_cells_is_background_alone():
    plan = lay_out_screen(replace(SMALL, cells_per_site=0.0), 0)

    site = render_site(plan, plan.plates[0], plan.plates[0].wells[0], 1)

    assert len(site.cells.centres) == 0
    assert site.pixels[0].std() < 40


def test_debris_is_bright_and_blur_is_blurred():
    effects = TechnicalEffects.none()
    pixels = {}
    for name, changed in {
        "clean": effects,
        "debris": replace(effects, debris_share=1.0),
        "blur": replace(effects, out_of_focus_share=1.0),
    }.items():
        plan = lay_out_screen(replace(SMALL, effects=changed), 0)
        pixels[name] = render_site(plan, plan.plates[0], plan.plates[0].wells[3], 1).pixels.astype(float)

    assert pixels["debris"].mean() > pixels["clean"].mean()
    assert np.abs(np.diff(pixels["blur"][0])).mean() < 0.7 * np.abs(np.diff(pixels["clean"][0])).mean()


def test_a_well_is_found_by_its_names():
    plan = lay_out_screen(SMALL, 4)

    plate, well = find_well(plan, plate="SIM00004002", well="B07")

    assert (plate, well.well) == (plan.plates[1], "B07")


@pytest.mark.parametrize(
    ("plate", "well", "message"),
    [
        ("SIM00004011", "A01", "a plate of the simulated screen was expected .*SIM00004001.*, got SIM00004011"),
        ("SIM00004001", "P24", "P24 is empty or not one of its wells"),
    ],
)
def test_a_place_that_the_screen_does_not_have_is_refused(plate: str, well: str, message: str):
    with pytest.raises(NotFoundError, match=message):
        find_well(lay_out_screen(SMALL, 4), plate=plate, well=well)
