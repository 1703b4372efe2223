from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hcs.imaging.scaling import BINS, count_intensities, histogram_axis, range_of


def measured(pixels):
    axis = histogram_axis(float(pixels.min()), float(pixels.max()), dimmest=1.0, brightest=1.0)
    return range_of(count_intensities(pixels.astype(np.float32), axis), axis)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), offset=st.sampled_from([0.0, -500.0, 30_000.0]), spread=st.sampled_from([1.0, 900.0]))
def test_the_range_is_that_of_numpys_percentiles_to_a_bin(seed, offset, spread):
    pixels = np.random.default_rng(seed).gamma(2, spread, 40_000).astype(np.float32) + np.float32(offset)

    got = measured(pixels)

    one_bin = float(pixels.max() - pixels.min()) / BINS
    for value, percentile in ((got.low, 0.1), (got.high, 99.9)):
        # Between the pixels that are next to it in rank: 1 of 40,000 is 0.0025 %.
        below, above = np.percentile(pixels, [percentile - 0.005, percentile + 0.005])
        assert below - one_bin <= value <= above + one_bin


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
@example([0.0, 1.401298464324817e-45])
def test_high_is_always_above_low(values):
    got = measured(np.array(values, dtype=np.float32))

    assert np.float32(got.high) > np.float32(got.low)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), exponent=st.integers(-8, 8))
def test_scaling_by_a_power_of_two_scales_the_range_exactly(seed, exponent):
    pixels = np.random.default_rng(seed).integers(0, 60_000, 5_000).astype(np.float32)

    once, scaled = measured(pixels), measured(pixels * np.float32(2.0**exponent))

    assert (scaled.low, scaled.high) == (once.low * 2.0**exponent, once.high * 2.0**exponent)


def test_the_axis_holds_every_corrected_pixel():
    rng = np.random.default_rng(0)
    illumination = rng.uniform(0.5, 3, 10_000).astype(np.float32)
    pixels = rng.normal(0, 100, 10_000).astype(np.float32)

    axis = histogram_axis(
        float(pixels.min()), float(pixels.max()), dimmest=float(illumination.min()), brightest=float(illumination.max())
    )
    corrected = pixels / illumination

    assert axis.start <= corrected.min()
    assert axis.stop >= corrected.max()


def test_rare_bright_pixels_end_the_range_where_the_percentiles_fall_together():
    pixels = np.full(100_000, 100.0)
    pixels[:3] = 5000

    got = measured(pixels)

    assert got.low == pytest.approx(100, abs=0.1)
    assert got.high == pytest.approx(5000)


@pytest.mark.parametrize("value", [0.0, 65535.0, -3.0, 2.0**30])
def test_a_constant_channel_has_a_range_above_its_value(value):
    got = measured(np.full(100, value))

    assert got.low == value
    assert got.high > value
