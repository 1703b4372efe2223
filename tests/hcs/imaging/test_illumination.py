from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import PixelsError
from hcs.imaging.illumination import MIN_FIELDS, estimate_illumination, grid_means, is_flat


def relative_error(estimate, truth):
    ratio = estimate / truth
    return float((ratio / ratio.mean()).std())


@pytest.fixture(scope="module")
def lit_fields(field, vignette):
    return [field(seed, n_nuclei=55, illumination=vignette(256)).pixels for seed in range(32)]


def test_the_order_of_the_fields_does_not_matter(lit_fields):
    shuffled = [lit_fields[index] for index in np.random.default_rng(0).permutation(len(lit_fields))]

    assert estimate_illumination(shuffled).tobytes() == estimate_illumination(lit_fields).tobytes()


@pytest.mark.parametrize("factor", [0.25, 4])
def test_scaling_all_fields_by_a_power_of_two_changes_nothing(lit_fields, factor):
    scaled = [field.astype(np.float64) * factor for field in lit_fields]

    assert estimate_illumination(scaled).tobytes() == estimate_illumination(lit_fields).tobytes()


def test_transposing_the_fields_transposes_the_function(lit_fields):
    transposed = estimate_illumination([field[:, :200].T for field in lit_fields])

    np.testing.assert_allclose(transposed, estimate_illumination([field[:, :200] for field in lit_fields]).T, rtol=1e-4)


def test_a_vignette_is_recovered_from_32_fields_of_nuclei(lit_fields, vignette):
    estimate = estimate_illumination(lit_fields)

    assert np.corrcoef(estimate.ravel(), vignette(256).ravel())[0, 1] >= 0.98
    assert relative_error(estimate, vignette(256)) <= 0.03


def test_evenly_lit_fields_give_a_nearly_flat_function(field):
    fields = [field(seed, n_nuclei=55).pixels for seed in range(48)]

    estimates = [estimate_illumination(fields[first : first + 16]) for first in (0, 16, 32)]

    assert np.mean([estimate.std() / estimate.mean() for estimate in estimates]) <= 0.01


def test_bright_debris_in_two_fields_changes_the_function_little(lit_fields, vignette):
    place = np.arange(256)
    debris = 40_000 * np.exp(-((place[:, None] - 60) ** 2 + (place[None] - 190) ** 2) / 300)
    soiled = [pixels + debris if index < 2 else pixels for index, pixels in enumerate(lit_fields)]

    assert relative_error(estimate_illumination(soiled), vignette(256)) <= 0.045


@pytest.mark.parametrize(("height", "width"), [(256, 256), (250, 333), (540, 540), (1080, 200), (40, 40)])
def test_a_smooth_field_without_cells_is_recovered_at_any_size(height, width):
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    light = 1000 * (1 - 0.2 * x - 0.3 * y**2 + 0.05 * x * y - 0.1 * x**4)

    estimate = estimate_illumination([level * light for level in (1, 2, 0.5, 1, 3, 1, 1.5, 1)])

    assert relative_error(estimate, light) < 0.005


def test_the_second_percentile_of_the_function_is_one(lit_fields):
    estimate = estimate_illumination(lit_fields)

    assert estimate.dtype == np.float32
    assert np.percentile(estimate, 2) == pytest.approx(1, abs=1e-3)
    assert estimate.min() >= 0.5


def test_fewer_fields_than_needed_give_a_flat_function(lit_fields):
    assert is_flat(estimate_illumination(lit_fields[: MIN_FIELDS - 1]))
    assert not is_flat(estimate_illumination(lit_fields[:MIN_FIELDS]))


def test_black_fields_do_not_count(lit_fields):
    black = [np.zeros_like(lit_fields[0])] * 5

    assert is_flat(estimate_illumination(lit_fields[: MIN_FIELDS - 1] + black))
    assert estimate_illumination(lit_fields + black).tobytes() == estimate_illumination(lit_fields).tobytes()


def test_constant_fields_give_a_flat_function():
    np.testing.assert_allclose(estimate_illumination([np.full((64, 64), 7, np.uint8)] * 9), 1, atol=1e-6)


def test_fields_of_two_shapes_are_refused():
    with pytest.raises(PixelsError, match="one shape"):
        estimate_illumination([np.ones((4, 4)), np.ones((4, 5))])


def test_no_fields_are_refused():
    with pytest.raises(PixelsError, match="no field"):
        estimate_illumination([])


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 70), width=st.integers(1, 70), cells=st.integers(1, 40), seed=st.integers(0, 9))
def test_grid_means_are_the_means_of_the_cells(height, width, cells, seed):
    pixels = np.random.default_rng(seed).integers(0, 65536, (2, height, width)).astype(np.uint16)

    means = grid_means(pixels, cells)

    rows, columns = min(cells, height), min(cells, width)
    assert means.shape == (2, rows, columns)
    for i in range(rows):
        for j in range(columns):
            cell = pixels[
                :,
                i * height // rows : (i + 1) * height // rows,
                j * width // columns : (j + 1) * width // columns,
            ]
            np.testing.assert_allclose(means[:, i, j], cell.mean(axis=(1, 2)), rtol=1e-12)


def test_real_fields_are_flattened(real_data):
    tifffile = pytest.importorskip("tifffile")
    fields = [tifffile.imread(path) for path in sorted((real_data / "vignetted_fields").glob("*.TIF"))]
    assert len(fields) == 9

    def unevenness(images):
        relative = np.mean([image / image.mean() for image in images], axis=0)
        return [float(grid_means(profile[None], 8).std()) for profile in (relative.mean(0), relative.mean(1))]

    before = unevenness(fields)
    corrected = [
        field / estimate_illumination(fields[:left_out] + fields[left_out + 1 :])
        for left_out, field in enumerate(fields)
    ]
    after = unevenness(corrected)

    assert min(before) > 0.15
    assert max(after) < 0.05


def test_fields_of_one_pixel_are_lit_evenly():
    fields = [np.array([[100 + index]], dtype=np.uint16) for index in range(MIN_FIELDS)]

    assert (estimate_illumination(fields) == 1).all()
