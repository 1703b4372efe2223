from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hcs.imaging.features import FEATURE_NAMES, named_features


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 99), height=st.integers(9, 30), width=st.integers(9, 30))
def test_the_features_are_those_of_a_naive_loop(seed, height, width):
    plane = np.random.default_rng(seed).gamma(2, 100, (height, width)).astype(np.float32)

    mean, sd, percentile, texture = named_features(plane[None])[0]

    def roughness(lag):
        differences = [
            (plane[y, x] - plane[y + dy, x + dx]) ** 2
            for dy, dx in ((lag, 0), (0, lag))
            for y in range(height - dy)
            for x in range(width - dx)
        ]
        return np.mean(differences, dtype=float)

    values = plane.astype(float)
    assert mean == pytest.approx(values.mean(), rel=1e-6)
    assert sd == pytest.approx(values.std(), rel=1e-5)
    assert percentile == np.float32(np.percentile(plane, 99, method="inverted_cdf"))
    assert texture == pytest.approx(np.log2(roughness(2) / roughness(8)), abs=1e-4)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), exponent=st.integers(-3, 3))
def test_gain_scales_the_intensities_and_leaves_the_texture(seed, exponent):
    plane = np.random.default_rng(seed).gamma(2, 100, (1, 24, 24)).astype(np.float32)
    gain = 2.0**exponent

    once, scaled = named_features(plane)[0], named_features(plane * np.float32(gain))[0]

    np.testing.assert_array_equal(scaled[:3], once[:3] * np.float32(gain))
    assert scaled[3] == once[3]


def test_permuting_channels_permutes_the_features(field):
    site = np.stack([field(seed).pixels for seed in range(3)]).astype(np.float32)

    np.testing.assert_array_equal(named_features(site[[1, 2, 0]]), named_features(site)[[1, 2, 0]])


def test_transposing_and_turning_changes_only_last_digits(field):
    site = field(1).pixels[None].astype(np.float32)

    for other in (site.swapaxes(1, 2), site[:, ::-1], np.rot90(site, axes=(1, 2))):
        np.testing.assert_allclose(named_features(other), named_features(site), rtol=1e-5)


def test_a_blurrier_image_has_a_lower_texture(field):
    plane = field(1).pixels.astype(np.float32)

    textures = [named_features(ndimage.gaussian_filter(plane, sigma)[None])[0, 3] for sigma in (0, 1, 2, 4)]

    assert textures == sorted(textures, reverse=True)


def test_noise_has_a_texture_of_zero():
    noise = np.random.default_rng(0).normal(500, 20, (1, 256, 256)).astype(np.float32)

    assert named_features(noise)[0, 3] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("shape", [(5, 256, 256), (2, 4, 300), (1, 1, 1)])
def test_constant_and_tiny_sites_have_finite_features(shape):
    features = named_features(np.full(shape, 7, np.float32))

    assert features.dtype == np.float32
    assert features.shape == (shape[0], len(FEATURE_NAMES))
    np.testing.assert_array_equal(features, [[7, 0, 7, 0]] * shape[0])
