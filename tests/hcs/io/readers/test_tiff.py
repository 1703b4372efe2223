from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from hcs.errors import ImplausibleImageError, UnreadableImageError
from hcs.io.pixels import decode_bytes
from hcs.io.readers import Header, reader_of

PLANE = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def decode(data: bytes) -> tuple[Header, NDArray[Any]]:
    return decode_bytes(data, name="a.tif")


@settings(deadline=None, max_examples=80)
@given(
    pixels=npst.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.uint32, np.float32, np.float64]),
        npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
        elements=st.integers(0, 255),
    ),
    compression=st.sampled_from([None, "lzw", "deflate", "zstd", "packbits"]),
    byteorder=st.sampled_from(["<", ">"]),
    rows=st.integers(1, 40),
    is_tiled=st.booleans(),
)
def test_every_way_to_store_a_plane_reads_the_same(
    *, pixels: NDArray[Any], compression: str | None, byteorder: str, rows: int, is_tiled: bool
) -> None:
    kind = {"tile": (16, 16)} if is_tiled else {"rowsperstrip": rows}

    header, decoded = decode(tiff(pixels, compression=compression, byteorder=byteorder, **kind))

    assert decoded.dtype == pixels.dtype
    assert decoded.dtype.isnative
    np.testing.assert_array_equal(decoded, pixels[np.newaxis, np.newaxis])
    assert (header.height, header.width, header.n_planes, header.n_channels) == (*pixels.shape, 1, 1)


@settings(deadline=None, max_examples=60)
@given(compression=st.sampled_from([None, "lzw", "deflate", "zstd"]), share=st.floats(0, 0.999))
def test_a_file_cut_short_anywhere_is_refused(compression: str | None, share: float) -> None:
    data = tiff(PLANE, compression=compression, rowsperstrip=5)

    with pytest.raises(UnreadableImageError, match=r"a\.tif"):
        decode(data[: int(len(data) * share)])


@settings(deadline=None, max_examples=60)
@given(compression=st.sampled_from([None, "lzw", "deflate", "zstd"]), n_lost=st.integers(1, 400))
def test_the_header_alone_tells_a_file_that_was_cut_short(compression: str | None, n_lost: int) -> None:
    data = tiff(PLANE, compression=compression, rowsperstrip=5)[:-n_lost]

    with (
        pytest.raises(UnreadableImageError, match=r"a\.tif"),
        reader_of("a.tif").open(io.BytesIO(data), name="a.tif", size_bytes=len(data)),
    ):
        pass


@settings(deadline=None, max_examples=150)
@given(
    position=st.integers(0, 10_000),
    value=st.integers(0, 255),
    compression=st.sampled_from([None, "lzw", "deflate", "zstd", "jpeg"]),
)
def test_a_changed_byte_gives_pixels_of_the_promised_shape_or_one_clear_error(
    position: int, value: int, compression: str | None
) -> None:
    data = bytearray(tiff(PLANE.astype(np.uint8), compression=compression, rowsperstrip=8))
    data[position % len(data)] = value

    with suppress(UnreadableImageError):
        header, decoded = decode(bytes(data))

        assert decoded.shape == (header.n_channels, header.n_planes, header.height, header.width)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b""]))
def test_nonsense_is_refused(junk: bytes, magic: bytes) -> None:
    with pytest.raises(UnreadableImageError, match=r"a\.tif"):
        decode(magic + junk)


def test_an_empty_file_is_no_tiff() -> None:
    with pytest.raises(UnreadableImageError, match="not a TIFF: its 0 bytes begin with nothing"):
        decode(b"")


@pytest.mark.parametrize("header", [b"II*\0\x08\0\0\0", b"II*\0\0\0\0\0", b"MM\0*\0\0\0\x08\0\0"])
def test_a_header_alone_is_refused(header: bytes) -> None:
    with pytest.raises(UnreadableImageError, match=r"a\.tif"):
        decode(header)


def _claiming(width: int, height: int, *, count: int) -> bytes:
    """A TIFF of 8 bits a pixel that says it is this large and holds 10 bytes."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, count)]
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0\0\0\0"
    return (b"II*\0\x08\0\0\0" + body).ljust(200, b"\0") + b"x" * 10


@pytest.mark.parametrize("count", [10, 4_000_000_000])
def test_a_file_that_claims_200_000_x_200_000_is_refused_before_it_is_decoded(count: int) -> None:
    with pytest.raises(ImplausibleImageError, match="200000 x 200000"):
        decode(_claiming(200_000, 200_000, count=count))


def test_a_small_file_that_unpacks_to_a_flood_is_refused_before_it_is_decoded() -> None:
    bomb = tiff(np.zeros((8000, 8000), np.uint8), compression="zstd", rowsperstrip=8000)
    assert len(bomb) < 6400

    with pytest.raises(ImplausibleImageError, match="it was not decoded"):
        decode(bomb)


def test_a_strip_never_unpacks_to_more_than_it_declares() -> None:
    large = tiff(np.zeros((4000, 4000), np.uint8), compression="deflate", rowsperstrip=4000)
    small = bytearray(large)
    with tifffile.TiffFile(io.BytesIO(large)) as opened:
        for tag in (256, 257, 278):  # width, height, rows of a strip
            offset = opened.pages[0].tags[tag].valueoffset
            small[offset : offset + 2] = struct.pack("<H", 100)

    try:
        _, pixels = decode(bytes(small))
    except UnreadableImageError:
        return
    assert pixels.nbytes == 10_000


def test_a_picture_inside_a_strip_must_fit_the_tiff_around_it() -> None:
    import imagecodecs

    data = bytearray(tiff(np.zeros((64, 64), np.uint8), compression="jpeg", rowsperstrip=64))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as opened:
        page = opened.pages[0]
        start, count = page.dataoffsets[0], page.databytecounts[0]
    huge = imagecodecs.jpeg_encode(np.zeros((3000, 3000), np.uint8))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as opened:
        for tag, value in ((273, len(data)), (279, len(huge))):
            offset = opened.pages[0].tags[tag].valueoffset
            size = opened.pages[0].tags[tag].valuebytecount
            data[offset : offset + size] = value.to_bytes(size, "little")

    assert decode(tiff(np.zeros((64, 64), np.uint8), compression="jpeg"))[1].shape == (1, 1, 64, 64)
    assert start + count <= len(data)
    with pytest.raises(UnreadableImageError, match="JPEG inside does not fit"):
        decode(bytes(data) + huge)


def test_pages_are_z_planes() -> None:
    stack = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)

    for data in (
        tiff(stack, photometric="minisblack"),
        tiff(stack, photometric="minisblack", metadata={"axes": "ZYX"}, ome=True),
        tiff(stack, photometric="minisblack", metadata={"axes": "ZYX"}, imagej=True),
        tiff(stack, photometric="minisblack", metadata=None),
    ):
        header, pixels = decode(data)

        assert (header.n_channels, header.n_planes) == (1, 3)
        np.testing.assert_array_equal(pixels[0], stack)


def test_a_stack_behind_one_page_is_seen() -> None:
    stack = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)

    header, pixels = decode(tiff(stack, photometric="minisblack", metadata={}, truncate=True))

    assert header.n_planes == 3
    np.testing.assert_array_equal(pixels[0], stack)


@pytest.mark.parametrize("axes", ["CYX", "CZYX", "ZCYX"])
def test_channels_inside_a_file_are_told_from_z_planes(axes: str) -> None:
    shape = {"C": 2, "Z": 3, "Y": 8, "X": 9}
    stack = np.arange(np.prod([shape[axis] for axis in axes]), dtype=np.uint16).reshape([shape[axis] for axis in axes])

    header, pixels = decode(tiff(stack, photometric="minisblack", metadata={"axes": axes}, ome=True))

    expected = stack[:, np.newaxis] if axes == "CYX" else stack if axes == "CZYX" else stack.swapaxes(0, 1)
    assert (header.n_channels, header.n_planes) == expected.shape[:2]
    np.testing.assert_array_equal(pixels, expected)


def test_samples_that_are_no_colours_are_channels() -> None:
    planes = np.arange(5 * 8 * 9, dtype=np.uint16).reshape(5, 8, 9)

    header, pixels = decode(tiff(planes, photometric="minisblack", planarconfig="separate", extrasamples=[0] * 4))

    assert header.n_channels == 5
    np.testing.assert_array_equal(pixels[:, 0], planes)


def test_colours_become_their_highest() -> None:
    colours = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)

    separate = np.moveaxis(colours, -1, 0)

    for data in (tiff(colours, photometric="rgb"), tiff(separate, photometric="rgb", planarconfig="separate")):
        np.testing.assert_array_equal(decode(data)[1][0, 0], colours.max(axis=-1))


def test_time_points_in_one_file_are_refused() -> None:
    movie = tiff(np.zeros((4, 8, 9), np.uint16), photometric="minisblack", metadata={"axes": "TYX"}, ome=True)

    with pytest.raises(UnreadableImageError, match="got the axes T: 4, Y: 8, X: 9; export one file a time point"):
        decode(movie)


def test_a_reduced_copy_beside_the_image_is_ignored() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(PLANE, metadata=None)
        writer.write(PLANE[::4, ::4], subfiletype=1, metadata=None)

    header, pixels = decode(stream.getvalue())

    assert header.n_planes == 1
    np.testing.assert_array_equal(pixels[0, 0], PLANE)


def test_pages_of_different_sizes_are_refused() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(PLANE, metadata=None)
        writer.write(PLANE[:10], metadata=None)

    with pytest.raises(UnreadableImageError, match="2 different or incomplete stacks"):
        decode(stream.getvalue())


@pytest.mark.parametrize(("value", "top"), [(4095, 4095), (1023, 1023), (3977, None), (65535, None)])
def test_the_range_is_known_where_the_file_says_it(value: int, top: int | None) -> None:
    assert decode(tiff(PLANE, extratags=[(281, 3, 1, value, True)]))[0].top == top


def test_the_highest_pixel_of_an_image_is_not_its_range(real_data: Path) -> None:
    path = real_data / "opera_phenix_jump/harmony_v5/images/r01c01f01p01-ch1sk1fk1fl1.tiff"

    assert decode_bytes(path.read_bytes(), name=str(path))[0].top is None


def test_complex_pixels_are_refused() -> None:
    with pytest.raises(UnreadableImageError, match="complex64"):
        decode(tiff(np.zeros((8, 9), np.complex64)))


def test_a_compression_that_is_not_read_says_what_to_do() -> None:
    with pytest.raises(UnreadableImageError, match="export it uncompressed"):
        decode(tiff(PLANE.astype(np.uint8), compression="jpegxr"))


@pytest.mark.parametrize("folder", ["sbs_foxo_plate", "opera_phenix_jump", "cellvoyager", "imagexpress", "operetta"])
def test_real_files_read_as_tifffile_reads_them(real_data: Path, folder: str) -> None:
    paths = [path for path in sorted((real_data / folder).rglob("*")) if path.suffix.lower() in (".tif", ".tiff")][:6]
    assert paths

    for path in paths:
        decoded = decode_bytes(path.read_bytes(), name=str(path))[1]

        np.testing.assert_array_equal(decoded[0, 0], tifffile.imread(path))
