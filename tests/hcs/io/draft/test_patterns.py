from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.io.draft.patterns import CONVENTIONS, matched_places, propose_pattern
from hcs.io.template import PlanePlace
from hcs.io.wells import row_and_column

WELLS = st.lists(st.sampled_from([f"{row}{column:02d}" for row in "ABCP" for column in (1, 2, 10, 24)]), min_size=2,
                 max_size=5, unique=True)  # fmt: skip
CHANNELS = st.sampled_from([("1", "2"), ("01", "02", "03"), ("DNA", "ER", "Mito"), ("Hoechst 33342", "Alexa 488")])


def paths_of(pattern, wells, sites, channels):
    """Every image of a delivery, named after a template."""
    return [
        pattern.format(
            well=well, row=well[0], column=well[1:], site=site, channel=channel, z="01", timepoint="0001",
            _="x7", plate="P1",
        )
        for well, site, channel in itertools.product(wells, sites, channels)
    ]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    pattern=st.sampled_from(
        [
            "{well}_s{site}_w{channel}.tif",
            "{well}_{site}_{channel}.png",
            "{well}/{site}-{channel}.png",
            "{well}/s{site}/{channel}.jpg",
            "plate_{well}_f{site}_ch{channel}.tiff",
            "Well {well}, Field {site}, Channel {channel}.tif",
            "{channel}/{row}-{column}-{site}.tif",
        ]
    ),
    wells=WELLS,
    n_sites=st.integers(2, 4),
    channels=CHANNELS,
)
def test_a_template_that_is_found_gives_every_image_its_place(pattern, wells, n_sites, channels):
    if pattern.startswith("{channel}/"):
        pattern = pattern.replace("{channel}", "ch{channel}")  # a folder of any other name is a plate's
    if "w{channel}" in pattern or "ch{channel}" in pattern:
        channels = ("1", "2")  # letters would be one word with the letters before them
    sites = range(1, n_sites + 1)
    paths = paths_of(pattern, wells, sites, channels)

    found = propose_pattern(paths)

    assert found is not None
    assert set(matched_places(found, paths)) == {
        PlanePlace(None, well, site, channel, 1, 1) for well, site, channel in itertools.product(wells, sites, channels)
    }


@settings(deadline=None, max_examples=30)
@given(pattern=st.sampled_from(CONVENTIONS), wells=WELLS, n_sites=st.integers(1, 3), order=st.randoms())
def test_what_instruments_write_is_known_even_of_one_well_and_in_any_order(pattern, wells, n_sites, order):
    sites = range(1, n_sites + 1) if "{site}" in pattern else (1,)
    channels = ("1", "2") if "{channel}" in pattern else ("1",)
    with_numbers = pattern.startswith("r{row}")
    for chosen in (wells, wells[:1]):
        paths = [
            pattern.format(
                well=well,
                row=f"{row_and_column(well)[0]:02d}" if with_numbers else well[0],
                column=well[1:],
                site=site,
                channel=channel,
                z="01",
                timepoint="0001",
                _="x7",
            )
            + ".tif"
            for well, site, channel in itertools.product(chosen, sites, channels)
        ]
        order.shuffle(paths)

        found = propose_pattern(paths)

        assert found is not None
        expected = set(itertools.product(chosen, sites, channels if "{channel}" in pattern else (None,)))
        assert {(place.well, place.site, place.channel) for place in matched_places(found, paths)} == expected


def test_folders_are_plates_time_points_and_z_planes():
    parts = itertools.product("12", "12", "01", ("B02", "C11"), "12", "12")
    paths = [f"P{p}/TimePoint_{t}/ZStep_{z}/9987_{well}_s{s}_w{c}.TIF" for p, t, z, well, s, c in parts]

    found = propose_pattern(paths)

    assert found == "{plate}/TimePoint_{timepoint}/ZStep_{z}/{_}_{well}_s{site}_w{channel}.TIF"


def test_a_number_that_counts_the_wells_means_nothing():
    wells = [f"{row}-{column:02d}" for row in "AB" for column in range(1, 13)]
    paths = [f"Channel{key}-{number:02d}-{well}.tif" for key in (1, 2) for number, well in enumerate(wells, start=1)]

    assert propose_pattern(paths) == "Channel{channel}-{_}-{row}-{column}.tif"


def test_a_few_other_images_do_not_matter():
    paths = [f"{row}{column:02d}_s1_w{key}.tif" for row in "ABC" for column in range(1, 9) for key in (1, 2)]

    assert propose_pattern([*paths, "overview.tif", "thumbs/shading.png"]) == "{well}_s1_w{channel}.tif"


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["cat 1.jpg", "dog 2.jpg"],
        ["x.tif", "y.tif"],
        ["A01.tif", "B02.png"],
        ["{well}.tif", "{}.tif"],
        ["a/b.tif"],
    ],
)
def test_names_without_wells_have_no_template(paths):
    assert propose_pattern(paths) is None
