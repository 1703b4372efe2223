from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hcs.errors import PixelsError
from hcs.imaging.quality import measure_channel, power_loglog_slope


def naive_slope(image):
    """CellProfiler's definition, pixel by pixel over the whole plane of the Fourier transform."""
    image = image.astype(float)
    height, width = image.shape
    spectrum = np.abs(np.fft.fft2(image / np.median(np.abs(image - image.mean())) - image.mean())) ** 2
    spectrum[0, 0] = 0
    last = int(min(height, width) / 8)
    power = np.zeros(last)
    for row in range(height):
        for column in range(width):
            folded = min(row, height - 1 - row), min(column, width - 1 - column)
            ring = int(np.hypot(*folded)) + 1
            if 2 <= ring < last:
                power[ring] += spectrum[row, column]
    radii = np.arange(2, last)
    return np.polyfit(np.log(radii), np.log(power[2:]), 1)[0]


@pytest.fixture(scope="module")
def plane(field):
    return field(3).pixels


@settings(deadline=None, max_examples=12)
@given(height=st.integers(32, 75), width=st.integers(32, 75), seed=st.integers(0, 99), blur=st.sampled_from([0, 1, 3]))
def test_the_slope_is_cellprofilers(height, width, seed, blur):
    noise = np.random.default_rng(seed).gamma(2, 500, (height, width))
    image = (ndimage.gaussian_filter(noise, blur) if blur else noise).astype(np.uint16)

    assert power_loglog_slope(image) == pytest.approx(naive_slope(image), abs=2e-4)


def test_the_slope_of_a_field_is_cellprofilers(plane):
    assert measure_channel(plane, top_of_range=65535).power_loglog_slope == pytest.approx(naive_slope(plane), abs=2e-4)


def test_a_blurrier_image_has_a_more_negative_slope(plane):
    slopes = [power_loglog_slope(ndimage.gaussian_filter(plane.astype(float), sigma)) for sigma in (0, 1, 2, 4, 8)]

    assert slopes == sorted(slopes, reverse=True)
    assert slopes[-1] < slopes[0] - 0.5


@pytest.mark.parametrize("factor", [2, 8])
def test_scaling_by_a_power_of_two_leaves_the_slope_and_scales_the_rest(plane, factor):
    once = measure_channel(plane, top_of_range=65535)
    scaled = measure_channel(plane * np.uint16(factor), top_of_range=65535 * factor)

    assert scaled.power_loglog_slope == once.power_loglog_slope
    assert scaled.mean == factor * once.mean
    assert scaled.sd == factor * once.sd
    assert scaled.percentile_99 == factor * once.percentile_99


def test_transposing_changes_nothing_but_the_last_digits_of_the_slope(plane):
    once, transposed = (measure_channel(image, top_of_range=65535) for image in (plane[:200], plane[:200].T))

    assert transposed.power_loglog_slope == pytest.approx(once.power_loglog_slope, rel=1e-6)
    assert (transposed.mean, transposed.sd, transposed.percentile_1, transposed.percentile_99) == (
        once.mean,
        once.sd,
        once.percentile_1,
        once.percentile_99,
    )


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 999),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int16, np.uint32, np.float32]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
def test_the_intensities_are_numpys(seed, dtype, height, width):
    image = np.random.default_rng(seed).integers(0, 250, (height, width)).astype(dtype)

    measures = measure_channel(image, top_of_range=249)

    values = image.astype(float)
    assert measures.mean == pytest.approx(values.mean(), rel=1e-12)
    assert measures.sd == pytest.approx(values.std(), rel=1e-9, abs=1e-12)
    assert measures.percentile_1 == np.percentile(values, 1, method="inverted_cdf")
    assert measures.percentile_99 == np.percentile(values, 99, method="inverted_cdf")
    assert measures.saturation_fraction == pytest.approx((values >= 249).mean())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32, np.bool_])
@pytest.mark.parametrize("value", [0, 1])
def test_a_constant_image_has_no_slope_and_no_spread(dtype, value):
    measures = measure_channel(np.full((64, 64), value, dtype), top_of_range=255)

    assert measures.power_loglog_slope is None
    assert (measures.mean, measures.sd, measures.percentile_1, measures.percentile_99) == (value, 0, value, value)


def test_a_constant_fraction_has_no_slope_and_no_spread():
    measures = measure_channel(np.full((64, 64), 0.1), top_of_range=1.0)

    assert measures.power_loglog_slope is None
    assert measures.sd == 0


def test_a_small_image_has_no_slope():
    image = np.random.default_rng(0).integers(0, 99, (31, 500)).astype(np.uint16)

    assert measure_channel(image, top_of_range=65535).power_loglog_slope is None
    assert power_loglog_slope(image.repeat(2, axis=0)) is not None


def test_an_image_of_which_most_pixels_are_equal_has_a_slope():
    image = np.zeros((64, 64), np.uint16)
    image[20:24, 30:35] = 900

    assert np.isfinite(measure_channel(image, top_of_range=65535).power_loglog_slope)


@pytest.mark.parametrize(
    ("top", "n_at_top", "n_below", "expected"),
    [
        (65535, 9, 0, 9),
        (4095, 9, 2, 9),
        (1023, 9, 2, 9),
        (16383, 9, 2, 9),
        (4095, 3, 0, 0),
        (4095, 9, 9, 0),
        (4000, 9, 2, 0),
    ],
)
def test_saturated_is_the_top_of_the_file_or_of_a_cameras_bits(top, n_at_top, n_below, expected):
    image = np.arange(900, dtype=np.uint16).reshape(30, 30)
    image.ravel()[:n_at_top] = top
    image.ravel()[n_at_top : n_at_top + n_below] = top - 1

    assert measure_channel(image, top_of_range=65535).saturation_fraction == pytest.approx(expected / 900)


def test_saturation_of_eight_bits_is_at_255():
    image = np.full((10, 10), 12, np.uint8)
    image[0] = 255

    assert measure_channel(image, top_of_range=255).saturation_fraction == 0.1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    image = np.ones((8, 8))
    image[2, 2] = value

    with pytest.raises(PixelsError, match="finite"):
        measure_channel(image, top_of_range=1.0)
