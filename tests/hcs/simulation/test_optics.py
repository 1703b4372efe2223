from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hcs.simulation.library import CHANNELS
from hcs.simulation.optics import FULL_SCALE, Optics, blur, flat_field, mix_spectra, photograph

PLAIN = Optics(
    psf_sigma=np.full(5, 0.9),
    shift=np.zeros((5, 2)),
    defocus_sigma=0.0,
    crosstalk=0.0,
    vignetting=np.zeros((5, 4)),
    gain=np.ones(5),
    background=np.full(5, 50.0),
    dark=np.full(5, 200.0),
    read_noise=3.0,
)


def _light(seed: int = 0, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).random((5, side, side), dtype=np.float32)


def test_the_lens_is_a_narrow_and_a_wide_gaussian():
    light = ndimage.gaussian_filter(_light(), (0, 1.5, 1.5), mode="wrap")

    seen = blur(light, PLAIN)

    for channel in range(5):
        sharp = ndimage.gaussian_filter(light[channel].astype(float), 0.9, mode="wrap", truncate=8)
        haze = ndimage.gaussian_filter(sharp, 7.0, mode="wrap", truncate=8)
        np.testing.assert_allclose(seen[channel], 0.84 * sharp + 0.16 * haze, atol=2e-4)


@given(defocus=st.floats(0, 8), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_lens_loses_no_light(defocus: float, seed: int):
    light = _light(seed)

    seen = blur(light, replace(PLAIN, defocus_sigma=defocus))

    np.testing.assert_allclose(seen.sum(axis=(1, 2)), light.sum(axis=(1, 2)), rtol=1e-4)


def test_whole_shifts_move_pixels():
    shift = np.array([[0, 0], [1, 0], [0, 2], [-1, 1], [0, -3]], float)
    light = _light()

    moved, still = blur(light, replace(PLAIN, shift=shift)), blur(light, PLAIN)

    for channel, (y, x) in enumerate(shift.astype(int)):
        np.testing.assert_allclose(moved[channel], np.roll(still[channel], (y, x), (0, 1)), atol=1e-4)


def test_defocus_blurs():
    sharp, blurred = (blur(_light(), replace(PLAIN, defocus_sigma=sigma)) for sigma in (0.0, 4.0))

    assert blurred.std() < 0.4 * sharp.std()


def test_crosstalk_bleeds_between_neighbouring_dyes_only():
    light = np.zeros((5, 4, 4), np.float32)
    light[CHANNELS.index("ER")] = 1

    mixed = mix_spectra(light, 1.0)

    assert dict(zip(CHANNELS, mixed.mean(axis=(1, 2)).round(4).tolist(), strict=True)) == pytest.approx(
        {"DNA": 0, "RNA": 0.12, "ER": 1, "AGP": 0, "Mito": 0}
    )
    np.testing.assert_array_equal(mix_spectra(light, 0.0), light)


def test_noise_has_the_variance_of_photons_and_of_the_camera():
    light = np.full((5, 300, 300), 0.5, np.float32)

    pixels = photograph(light, PLAIN, np.random.default_rng(0), site_px=256)

    grey = 0.5 * FULL_SCALE + 50
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), grey + 200, rtol=2e-3)
    np.testing.assert_allclose(pixels.var(axis=(1, 2)), 1.6 * grey + 9 + 1 / 12, rtol=0.03)


def test_the_gain_of_a_stain_scales_light_but_not_background():
    light = np.full((5, 80, 80), 0.5, np.float32)
    gain = np.array([0.5, 1, 2, 1, 1])

    pixels = photograph(light, replace(PLAIN, gain=gain), np.random.default_rng(0), site_px=64)

    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), 0.5 * FULL_SCALE * gain + 250, rtol=5e-3)


def test_light_beyond_the_camera_saturates():
    light = np.full((5, 80, 80), 100, np.float32)

    pixels = photograph(light, PLAIN, np.random.default_rng(0), site_px=64)

    assert pixels.dtype == np.uint16
    assert np.all(pixels == 65535)


def test_vignetting_darkens_the_corners():
    optics = replace(PLAIN, vignetting=np.tile([0.3, 0.1, 0.0, 0.0], (5, 1)))

    field = flat_field(optics, site_px=65)

    assert field[0, 32, 32] == pytest.approx(1)
    assert field[0, 0, 0] == pytest.approx(0.6)
    assert field[0, 0, 32] == pytest.approx(1 - 0.3 * 0.5 - 0.1 * 0.25)


def test_the_site_is_the_middle_of_the_frame():
    light = np.zeros((5, 70, 70), np.float32)
    light[:, 3:67, 3:67] = 1

    pixels = photograph(light, replace(PLAIN, psf_sigma=np.full(5, 0.1)), np.random.default_rng(0), site_px=64)

    assert pixels.shape == (5, 64, 64)
    assert pixels[0, [0, 0, -1, -1], [0, -1, 0, -1]].min() > 0.75 * FULL_SCALE[0]
