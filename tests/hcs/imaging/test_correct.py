from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import ChannelMismatchError, PixelsError
from hcs.imaging.correct import correct_site, scale_site

DTYPES = [np.uint8, np.uint16, np.int16, np.uint32, np.float32, np.float64]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), dtype=st.sampled_from(DTYPES), height=st.integers(1, 20), width=st.integers(1, 20))
def test_correcting_by_a_flat_field_is_the_identity(flat_survey, seed, dtype, height, width):
    pixels = np.random.default_rng(seed).integers(0, 200, (2, height, width)).astype(dtype)

    corrected = correct_site(pixels, flat_survey(2, height, width))

    assert corrected.dtype == np.float32
    np.testing.assert_array_equal(corrected, pixels.astype(np.float32))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), low=st.floats(0, 500), width=st.floats(1, 5000))
def test_scaling_is_linear_between_the_range_and_clipped_outside(flat_survey, seed, low, width):
    survey = flat_survey(3, 6, 7, low=low, high=low + width)
    corrected = np.random.default_rng(seed).uniform(-100, 6000, (3, 6, 7)).astype(np.float32)

    scaled = scale_site(corrected, survey)

    assert scaled.dtype == np.float32
    span = float(survey.high[0]) - float(survey.low[0])
    expected = np.clip((corrected.astype(float) - float(survey.low[0])) / span, 0, 1)
    np.testing.assert_allclose(scaled, expected, atol=1e-5)


def test_a_site_is_divided_by_its_channels_illumination(flat_survey):
    survey = flat_survey(2, 2, 2)
    survey.illumination[1] = [[1, 2], [4, 8]]

    corrected = correct_site(np.full((2, 2, 2), 8, np.uint16), survey)

    assert corrected.tolist() == [[[8, 8], [8, 8]], [[8, 4], [2, 1]]]


def test_every_channel_is_scaled_by_its_own_range(flat_survey):
    survey = flat_survey(2, 1, 3)
    survey.low[:] = [10, 100]
    survey.high[:] = [20, 300]

    scaled = scale_site(np.array([[[10, 15, 20]], [[100, 200, 400]]], dtype=np.float32), survey)

    np.testing.assert_allclose(scaled, [[[0, 0.5, 1]], [[0, 0.5, 1]]])


def test_neither_changes_what_it_is_given(flat_survey):
    pixels = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    before = pixels.copy()
    survey = flat_survey(1, 3, 4, low=2, high=5)

    scale_site(correct_site(pixels, survey), survey)

    np.testing.assert_array_equal(pixels, before)


def test_a_site_of_another_shape_is_refused(flat_survey):
    with pytest.raises(PixelsError, match=r"expected with 4 x 5 pixels .* 5 x 4 came"):
        correct_site(np.zeros((1, 5, 4)), flat_survey(1, 4, 5))


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 4, 5), (4, 5)])
def test_a_site_with_other_channels_is_refused(flat_survey, shape):
    with pytest.raises(ChannelMismatchError, match="surveyed channels A, B"):
        correct_site(np.zeros(shape), flat_survey(2, 4, 5))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_refused(flat_survey, value):
    pixels = np.zeros((1, 4, 5))
    pixels[0, 1, 1] = value

    with pytest.raises(PixelsError, match="finite"):
        correct_site(pixels, flat_survey(1, 4, 5))
