from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import ChannelMismatchError
from hcs.imaging.composite import (
    BACKGROUND,
    COLOURS_OF_STAINS,
    MARK,
    OTHER_COLOURS,
    PLACE,
    WHITE,
    compose,
    contact_sheet,
    default_colours,
    in_rows,
    percentile_ranges,
    shrink,
)
from hcs.imaging.scaling import IntensityRange

CELL_PAINTING = ("DNA", "ER", "RNA", "AGP", "Mito")
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
DTYPES = [np.uint8, np.uint16, np.int16, np.uint32, np.float32, np.float64]


def planes_of(seed, *, channels=3, height=5, width=7, dtype=np.uint16):
    return np.random.default_rng(seed).integers(0, 200, (channels, height, width)).astype(dtype)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999),
    order=st.permutations(range(4)),
    colours=st.lists(COLOURS, min_size=4, max_size=4),
    dtype=st.sampled_from(DTYPES),
)
def test_the_order_of_the_channels_changes_nothing(seed, order, colours, dtype):
    planes = planes_of(seed, channels=4, dtype=dtype)
    ranges = percentile_ranges([planes])

    picture = compose(planes, ranges=ranges, colours=colours)

    shuffled = compose(planes[order], ranges=[ranges[i] for i in order], colours=[colours[i] for i in order])
    assert (picture.dtype, picture.shape) == (np.uint8, (5, 7, 3))
    np.testing.assert_array_equal(picture, shuffled)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999), low=st.floats(-50, 100), width=st.floats(1, 300), colours=st.lists(COLOURS, max_size=4)
)
def test_a_picture_is_the_clipped_sum_of_its_channels_in_colour(seed, low, width, colours):
    planes = planes_of(seed, channels=len(colours), dtype=np.float64)
    limits = IntensityRange(low=low, high=low + width)

    picture = compose(planes, ranges=[limits] * len(colours), colours=colours)

    grey = np.clip((planes - low) / width, 0, 1)
    exact = np.einsum("cyx,ck->yxk", grey, np.array(colours, dtype=float).reshape(-1, 3))
    np.testing.assert_allclose(picture, np.minimum(exact, 255), atol=len(colours) + 0.01)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), factor=st.floats(0.01, 100), shift=st.floats(0, 1000))
def test_another_gain_of_the_camera_gives_the_same_picture(seed, factor, shift):
    planes = planes_of(seed, dtype=np.float64)
    colours = default_colours(["DNA", "ER", "AGP"])

    picture = compose(planes, ranges=percentile_ranges([planes]), colours=colours)

    scaled = planes * factor + shift
    again = compose(scaled, ranges=percentile_ranges([scaled]), colours=colours)
    np.testing.assert_allclose(picture.astype(int), again, atol=3)  # one step of rounding a channel


def test_what_is_below_is_black_and_what_is_above_is_full_colour():
    planes = np.array([[[-np.inf, 0, 10, 15, 20, 1e9, np.inf, np.nan]]])

    picture = compose(planes, ranges=[IntensityRange(low=10, high=20)], colours=[(200, 100, 0)])

    assert picture[0, :, 0].tolist() == [0, 0, 0, 100, 200, 200, 200, 0]
    assert picture[0, :, 1].tolist() == [0, 0, 0, 50, 100, 100, 100, 0]
    assert not picture[..., 2].any()


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999),
    low=st.floats(0, 49),
    high=st.floats(51, 100),
    shapes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4),
)
def test_ranges_are_percentiles_of_all_sites_together(seed, low, high, shapes):
    rng = np.random.default_rng(seed)
    sites = [rng.uniform(0, 100, (2, *shape)) for shape in shapes]

    ranges = percentile_ranges(sites, low=low, high=high)

    for channel, found in enumerate(ranges):
        together = np.concatenate([site[channel].ravel() for site in sites])
        if together.size > 1:
            assert (found.low, found.high) == pytest.approx(tuple(np.percentile(together, [low, high])))


def test_the_order_of_the_sites_changes_no_range():
    sites = [planes_of(seed) for seed in range(4)]

    assert percentile_ranges(sites) == percentile_ranges(sites[::-1])


@pytest.mark.parametrize("value", [0, 7, 1e300, -1e300, np.nan, np.inf])
def test_a_constant_channel_and_one_without_numbers_are_black(value):
    planes = np.full((1, 2, 3), value)

    (found,) = percentile_ranges([planes])
    picture = compose(planes if np.isfinite(value) else np.full_like(planes, np.nan), ranges=[found], colours=[WHITE])

    assert found.high > found.low
    assert not picture.any()


def test_values_that_are_not_finite_do_not_move_the_range():
    planes = planes_of(1, dtype=np.float64)
    broken = np.concatenate([planes, np.full((3, 5, 2), np.nan), np.full((3, 5, 1), np.inf)], axis=2)

    assert percentile_ranges([broken]) == percentile_ranges([planes])


@pytest.mark.parametrize(("low", "high"), [(5, 5), (9, 1), (-1, 50), (0, 101)])
def test_percentiles_that_make_no_range_are_refused(low, high):
    with pytest.raises(ValueError, match="percentiles"):
        percentile_ranges([planes_of(0)], low=low, high=high)


def test_a_picture_needs_a_range_and_a_colour_for_every_channel():
    planes = planes_of(0)

    with pytest.raises(ChannelMismatchError, match=r"2 ranges and 3 colours"):
        compose(planes, ranges=percentile_ranges([planes])[:2], colours=[WHITE] * 3)
    with pytest.raises(ChannelMismatchError, match="channel x row x column"):
        compose(planes[0], ranges=[], colours=[])


@given(st.permutations(CELL_PAINTING))
def test_every_stain_has_its_own_colour_wherever_it_stands(channels):
    colours = dict(zip(channels, default_colours(channels), strict=True))

    assert colours == {name: COLOURS_OF_STAINS[name.casefold()] for name in CELL_PAINTING}
    assert len(set(colours.values())) == 5


def test_spellings_of_a_stain_have_one_colour_and_unknown_channels_take_what_is_free():
    dna, hoechst = default_colours(["DNA", "x"])[0], default_colours(["Hoechst 33342", "x"])[0]

    assert dna == hoechst
    assert default_colours(["Texas Red", "Cy5", "y"])[:2] == (COLOURS_OF_STAINS["texasred"], COLOURS_OF_STAINS["cy5"])
    assert default_colours(["DNA", "b", "a"])[1:] == (OTHER_COLOURS[1], OTHER_COLOURS[0])
    assert len(default_colours([f"c{number}" for number in range(20)])) == 20


def test_a_channel_by_itself_is_grey():
    assert default_colours(["DNA"]) == (WHITE,)


def area_means(plane, height, width):
    """The mean of every new pixel's area, one pixel after the other."""
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            top, bottom = y * plane.shape[0] / height, (y + 1) * plane.shape[0] / height
            left, right = x * plane.shape[1] / width, (x + 1) * plane.shape[1] / width
            total = weight = 0.0
            for row in range(plane.shape[0]):
                for column in range(plane.shape[1]):
                    share = max(0, min(bottom, row + 1) - max(top, row)) * max(
                        0, min(right, column + 1) - max(left, column)
                    )
                    if share > 1e-9 and np.isfinite(plane[row, column]):
                        total += share * plane[row, column]
                        weight += share
            result[y, x] = total / weight if weight else np.nan
    return result


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    side=st.integers(1, 9),
    share=st.sampled_from([0, 0.3]),
)
def test_a_shrunk_pixel_is_the_mean_of_its_area(seed, height, width, side, share):
    rng = np.random.default_rng(seed)
    plane = np.where(rng.random((height, width)) < share, np.nan, rng.uniform(0, 1000, (height, width)))

    shrunk = shrink(plane[None], longest_side=side)

    if side >= max(height, width):
        np.testing.assert_array_equal(shrunk[0], plane)
    else:
        assert max(shrunk.shape[1:]) == side
        np.testing.assert_allclose(shrunk[0], area_means(plane, *shrunk.shape[1:]), rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), dtype=st.sampled_from(DTYPES), side=st.integers(1, 40))
def test_shrinking_keeps_the_mean_of_every_channel(seed, dtype, side):
    planes = planes_of(seed, height=31, width=17, dtype=dtype)

    shrunk = shrink(planes, longest_side=side)

    np.testing.assert_allclose(shrunk.mean(axis=(1, 2)), planes.mean(axis=(1, 2)), rtol=1e-4)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999),
    cells=st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=3).filter(
        lambda rows: any(any(row) for row in rows)
    ),
    margin=st.integers(0, 5),
)
def test_every_picture_lies_at_its_place_and_a_missing_one_is_marked(seed, cells, margin):
    rng = np.random.default_rng(seed)
    rows = [[rng.integers(0, 255, (6, 8, 3)).astype(np.uint8) if there else None for there in row] for row in cells]

    sheet = contact_sheet(rows, margin=margin)

    n_columns = max(map(len, cells))
    assert sheet.shape == (len(rows) * (6 + margin) + margin, n_columns * (8 + margin) + margin, 3)
    left_over = np.ones(sheet.shape[:2], dtype=bool)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            place = np.s_[
                margin + y * (6 + margin) : margin + y * (6 + margin) + 6,
                margin + x * (8 + margin) : margin + x * (8 + margin) + 8,
            ]
            left_over[place] = False
            if picture is None:
                assert set(np.unique(sheet[place])) == {PLACE, MARK}
            else:
                np.testing.assert_array_equal(sheet[place], picture)
    assert (sheet[left_over] == BACKGROUND).all()


def test_a_smaller_picture_lies_at_the_top_left_of_its_place():
    small, large = np.full((2, 2, 3), 9, np.uint8), np.full((4, 5, 3), 200, np.uint8)

    sheet = contact_sheet([[small, large]], margin=1)

    np.testing.assert_array_equal(sheet[1:3, 1:3], small)
    assert (sheet[3:5, 1:6] == BACKGROUND).all()


def test_a_sheet_without_any_picture_is_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([[None]])


@given(st.integers(0, 60))
def test_rows_hold_every_item_in_order_and_are_about_as_many_as_columns(count):
    rows = in_rows(range(count))

    assert [item for row in rows for item in row] == list(range(count))
    assert all(len(row) == len(rows[0]) for row in rows[:-1])
    assert not rows or 0 <= len(rows[0]) - len(rows) <= 1
