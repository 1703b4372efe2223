import io

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hcs.io.tiff import tiff_bytes


@given(plane=arrays(np.uint16, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_plane_comes_back_as_it_was(plane: np.ndarray):
    content = tiff_bytes(plane, pixel_size_um=0.6)

    back = tifffile.imread(io.BytesIO(content))

    np.testing.assert_array_equal(back.reshape(plane.shape), plane)
    assert back.dtype == np.uint16


def test_the_same_plane_gives_the_same_bytes_whatever_its_layout_in_memory():
    plane = np.arange(600, dtype=np.uint16).reshape(20, 30)

    contents = {tiff_bytes(array, pixel_size_um=1.2) for array in (plane, plane.copy(order="F"), plane.astype(">u2"))}

    assert len(contents) == 1


def test_a_file_says_neither_who_wrote_it_nor_when():
    page = tifffile.TiffFile(io.BytesIO(tiff_bytes(np.zeros((4, 4), np.uint16), pixel_size_um=1.0))).pages[0]

    assert not {"DateTime", "Software", "ImageDescription", "HostComputer"} & {tag.name for tag in page.tags}


def test_the_pixel_size_stands_in_the_resolution():
    page = tifffile.TiffFile(io.BytesIO(tiff_bytes(np.zeros((4, 4), np.uint16), pixel_size_um=1.25))).pages[0]

    numerator, denominator = page.tags["XResolution"].value
    assert 10_000 / (numerator / denominator) == pytest.approx(1.25)
    assert page.tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER


@pytest.mark.parametrize("plane", [np.zeros((4, 4), np.uint8), np.zeros((2, 4, 4), np.uint16)])
def test_what_is_not_a_plane_of_sixteen_bits_is_refused(plane: np.ndarray):
    with pytest.raises(ValueError, match=r"a plane \(Y, X\) of uint16 was expected"):
        tiff_bytes(plane, pixel_size_um=1.0)
