import numpy as np
import pytest

from hcs.simulation.textures import SIDE, Textures, textures


@pytest.mark.parametrize("name", Textures._fields)
def test_a_texture_is_a_periodic_map_of_single_precision(name: str):
    texture = getattr(textures(), name)

    assert texture.shape == (SIDE, SIDE)
    assert texture.dtype == np.float32
    seam = np.abs(texture[:, 0] - texture[:, -1]).mean()
    inside = np.abs(np.diff(texture, axis=1)).mean()
    assert seam < 2 * inside


@pytest.mark.parametrize("name", ["chromatin", "seeding"])
def test_fields_have_mean_zero_and_standard_deviation_one(name: str):
    texture = getattr(textures(), name)

    assert texture.mean() == pytest.approx(0, abs=1e-4)
    assert texture.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["reticulum", "grain", "fibres", "tubules", "granules"])
def test_patterns_are_positive_with_mean_one(name: str):
    texture = getattr(textures(), name)

    assert texture.min() >= 0
    assert texture.mean() == pytest.approx(1, abs=1e-4)


def test_fibres_are_longer_along_the_cell_than_across():
    fibres = textures().fibres

    across, along = (np.abs(np.diff(fibres, axis=axis)).mean() for axis in (0, 1))

    assert across > 2 * along


def test_textures_do_not_depend_on_who_makes_them_when():
    first = [texture.copy() for texture in textures()]
    textures.cache_clear()

    for before, after in zip(first, textures(), strict=True):
        np.testing.assert_array_equal(before, after)
