from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from hcs.errors import ImplausibleImageError, UnreadableImageError
from hcs.io.pixels import decode_bytes

ENCODE = {
    "a.png": imagecodecs.png_encode,
    "a.jpg": lambda pixels: imagecodecs.jpeg_encode(pixels, level=95),
    "a.jp2": lambda pixels: imagecodecs.jpeg2k_encode(pixels, reversible=True),
    "a.j2k": lambda pixels: imagecodecs.jpeg2k_encode(pixels, reversible=True, codecformat="j2k"),
    "a.bmp": imagecodecs.bmp_encode,
}
LOSSLESS = [name for name in ENCODE if name != "a.jpg"]
GREY = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)


def decode(data: bytes, name: str) -> NDArray[Any]:
    return decode_bytes(data, name=name)[1]


@pytest.mark.parametrize("name", LOSSLESS)
@settings(deadline=None, max_examples=15)
@given(pixels=npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30)))
def test_grey_pictures_come_back(name: str, pixels: NDArray[Any]) -> None:
    np.testing.assert_array_equal(decode(ENCODE[name](pixels), name), pixels[np.newaxis, np.newaxis])


@pytest.mark.parametrize("name", ["a.png", "a.jp2"])
def test_sixteen_bits_come_back(name: str) -> None:
    pixels = GREY.astype(np.uint16) * 257

    decoded = decode(ENCODE[name](pixels), name)

    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded[0, 0], pixels)


def test_a_jpeg_reads_as_imagecodecs_reads_it() -> None:
    data = ENCODE["a.jpg"](GREY)

    np.testing.assert_array_equal(decode(data, "A.JPEG")[0, 0], imagecodecs.jpeg_decode(data))


@settings(deadline=None, max_examples=30)
@given(
    pixels=npst.arrays(np.uint8, (6, 7)),
    colour=st.integers(0, 2),
    is_grey=st.booleans(),
)
def test_a_grey_or_single_coloured_picture_comes_out_unchanged(
    pixels: NDArray[Any], colour: int, is_grey: bool
) -> None:
    picture = np.stack([pixels if is_grey or index == colour else np.zeros_like(pixels) for index in range(3)], axis=-1)

    np.testing.assert_array_equal(decode(imagecodecs.png_encode(picture), "a.png")[0, 0], pixels)


def test_of_several_colours_the_highest_counts_and_transparency_does_not() -> None:
    colours = np.random.default_rng(1).integers(0, 200, (6, 7, 4), dtype=np.uint8)
    colours[..., 3] = 255

    decoded = decode(imagecodecs.png_encode(colours), "a.png")

    np.testing.assert_array_equal(decoded[0, 0], colours[..., :3].max(axis=-1))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jp2"])
@settings(deadline=None, max_examples=25)
@given(share=st.floats(0, 0.999))
def test_a_picture_cut_short_anywhere_is_refused(name: str, share: float) -> None:
    data = ENCODE[name](GREY)

    with pytest.raises(UnreadableImageError, match=r"a\."):
        decode(data[: int(len(data) * share)], name)


@pytest.mark.parametrize("name", list(ENCODE))
@settings(deadline=None, max_examples=40)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_gives_a_picture_or_one_clear_error(name: str, position: int, value: int) -> None:
    data = bytearray(ENCODE[name](GREY))
    data[position % len(data)] = value

    with suppress(UnreadableImageError):
        assert decode(bytes(data), name).ndim == 4


@pytest.mark.parametrize("name", list(ENCODE))
def test_another_format_under_a_pictures_name_is_refused(name: str) -> None:
    with pytest.raises(UnreadableImageError, match="begin with"):
        decode(b"nothing of the kind", name)


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded() -> None:
    data = bytearray(imagecodecs.png_encode(GREY))
    data[16:24] = (200_000).to_bytes(4, "big") * 2

    with pytest.raises(ImplausibleImageError, match="200000 x 200000"):
        decode(bytes(data), "a.png")


def test_real_jpegs_are_read(real_data: Path) -> None:
    paths = sorted((real_data / "imagehts_sirna").rglob("*.jpeg"))[:6]
    assert paths

    for path in paths:
        assert decode(path.read_bytes(), str(path)).shape == (1, 1, 510, 1024)
