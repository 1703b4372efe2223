from __future__ import annotations

import numpy as np
import pytest

from hcs.imaging.nuclear_scale import estimate_scale


def centred(pixels):
    return (pixels - pixels.mean()).astype(np.float32)


@pytest.mark.parametrize(
    ("side", "diameter", "n_nuclei"),
    [(256, 10, 60), (256, 14, 40), (256, 25, 18), (256, 40, 8), (640, 20, 150), (1080, 40, 100), (1080, 60, 50)],
)
def test_the_radius_is_that_of_the_nuclei_to_a_fifth(field, side, diameter, n_nuclei):
    scale = estimate_scale(centred(field(2, side=side, diameter=diameter, n_nuclei=n_nuclei).pixels))

    assert scale.radius == pytest.approx(diameter / 2, rel=0.22)


@pytest.mark.parametrize("seed", range(4))
def test_noise_does_not_hide_the_scale_of_dim_nuclei(field, seed):
    assert estimate_scale(centred(field(seed, contrast=30).pixels)).radius == pytest.approx(7, rel=0.22)


def test_nuclei_too_large_for_a_block_are_measured_in_the_whole_image(field):
    assert estimate_scale(centred(field(0, diameter=50, n_nuclei=6).pixels)).radius == pytest.approx(25, rel=0.22)


def test_debris_in_one_corner_does_not_set_the_scale(field):
    pixels = field(4).pixels.astype(float)
    place = np.arange(256)
    pixels += 30_000 * np.exp(-((place[:, None] - 40) ** 2 + (place[None] - 50) ** 2) / (2 * 12**2))

    assert estimate_scale(centred(pixels)).radius == pytest.approx(7, rel=0.25)


@pytest.mark.parametrize("sd", [3.0, 40.0])
def test_the_noise_is_that_of_the_pixels(sd):
    noise = np.random.default_rng(0).normal(500, sd, (256, 256))

    assert estimate_scale(centred(noise)).noise_sd == pytest.approx(sd, rel=0.05)


def test_brightness_does_not_matter(field):
    pixels = field(5).pixels

    assert estimate_scale(centred(pixels * 8.0)).radius == estimate_scale(centred(pixels)).radius


def test_a_gradient_has_no_scale():
    gradient = np.linspace(0, 500, 256)[None] + np.zeros((256, 1))

    assert estimate_scale(centred(gradient)).radius is None
