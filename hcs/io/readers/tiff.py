"""TIFF through tifffile: single planes, and stacks of pages as z planes or channels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from hcs.errors import UnreadableImageError
from hcs.io.readers.base import Header, check_plausible, flatten_colours, read_error
from hcs.io.readers.pictures import jpeg_inside_shape

_COMPRESSIONS = frozenset({1, 5, 7, 8, 32773, 32946, 33003, 33005, 34712, 34925, 50000})
"""None, LZW, JPEG, deflate, PackBits, JPEG 2000, LZMA, zstd. Their decoders stop at the declared size of a strip, or
their own header is looked at first: nothing here unpacks to more than what the file declares."""

_PICTURES_INSIDE = frozenset({7, 33003, 33005, 34712})
_COLOURED = frozenset({2, 5, 6, 8})
_TRANSPARENCY = frozenset({1, 2})
_PLANE_AXES = "ZIQ"
_RANGE_TOPS = frozenset(2**bits - 1 for bits in range(9, 16))
_MAX_SAMPLE_VALUE = 281
_MAX_PAGES = 10_000
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class TiffReader:
    """Reads `.tif` and `.tiff`."""

    endings = frozenset({".tif", ".tiff"})

    @contextmanager
    def open(self, stream: BinaryIO, *, name: str, size_bytes: int) -> Iterator[TiffImage]:
        """Yield the file with its header read: every strip must lie inside the file.

        Raises:
            UnreadableImageError: If it is no TIFF, holds no image, is cut short, or is of a kind that is not read.
            ImplausibleImageError: If it declares far more than it can hold.
        """
        magic = stream.read(4)
        if magic not in _MAGIC:
            raise UnreadableImageError(
                f"{name}: not a TIFF: its {size_bytes:,} bytes begin with {magic.hex(' ') or 'nothing'}; "
                "copy or export it again"
            )
        stream.seek(0)
        with read_error(name):
            tiff = tifffile.TiffFile(stream, name=name)
        with tiff:
            with read_error(name):
                image = TiffImage(tiff, name=name, size_bytes=size_bytes)
            yield image


class TiffImage:
    """An opened TIFF: one page, or a series of pages of one kind."""

    def __init__(self, tiff: tifffile.TiffFile, *, name: str, size_bytes: int) -> None:
        if len(tiff.pages) == 0:
            raise UnreadableImageError(
                f"{name}: expected an image, the TIFF of {size_bytes:,} bytes is a header alone; copy it again"
            )
        self._tiff = tiff
        self._name = name
        self._page: Any = tiff.pages[0]
        self._series = _stack_of(tiff, name) if _holds_several(tiff) else None
        self.header = _header_of(self._page, None if self._series is None else _sizes_of(self._series, name), name)
        check_plausible(self.header, name=name, size_bytes=size_bytes)
        for page in [self._page] if self._series is None else self._series.pages:
            _check_strips(page, self._page, name=name, size_bytes=size_bytes)

    def decode(self) -> NDArray[Any]:
        """Return (C, Z, Y, X), native byte order; bits come out as 0 and 1.

        Raises:
            UnreadableImageError: If it cannot be decoded, or other pixels come out than the header promises.
        """
        with read_error(self._name):
            if self._page.compression in _PICTURES_INSIDE:
                _check_pictures_inside(self._tiff, self._series, self._page, self._name)
            source = self._page if self._series is None else self._series
            pixels = _in_order(source.asarray(maxworkers=1), source.axes, is_coloured=self.header.n_colours > 1)
        expected = (self.header.n_channels, self.header.n_planes, self.header.height, self.header.width)
        if pixels.shape != expected:
            raise UnreadableImageError(f"{self._name}: expected pixels of shape {expected}, got {pixels.shape}")
        dtype = np.dtype(np.uint8) if pixels.dtype == bool else pixels.dtype.newbyteorder("=")
        return pixels.astype(dtype, copy=False)


def _holds_several(tiff: tifffile.TiffFile) -> bool:
    """Return whether a file holds more than its first page shows: more pages, or a stack behind one page."""
    page: Any = tiff.pages[0]
    return len(tiff.pages) > 1 or bool(page.is_imagej) or (page.is_shaped and '"truncated": true' in page.description)


def _stack_of(tiff: tifffile.TiffFile, name: str) -> Any:
    """Return the one series of a file with several pages; reduced copies beside it do not count."""
    if len(tiff.pages) > _MAX_PAGES:
        raise UnreadableImageError(f"{name}: expected at most {_MAX_PAGES:,} pages, got {len(tiff.pages):,}")
    series = [item for item in tiff.series if not item.keyframe.is_reduced]
    if len(series) != 1 or any(page is None for page in series[0].pages):
        raise UnreadableImageError(
            f"{name}: expected one image or one stack of pages of one size, got {len(tiff.pages)} pages that are "
            f"{len(series)} different or incomplete stacks; export one file a plane"
        )
    return series[0]


def _sizes_of(series: Any, name: str) -> tuple[int, int]:
    """Return (channels, planes) of a series."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    planes = [axis for axis in sizes if axis in _PLANE_AXES and sizes[axis] > 1]
    others = [axis for axis in sizes if axis not in "CSYX" + _PLANE_AXES and sizes[axis] > 1]
    if others or len(planes) > 1:
        described = ", ".join(f"{axis}: {size}" for axis, size in sizes.items())
        raise UnreadableImageError(
            f"{name}: expected a stack of z planes or channels, got the axes {described}; export one file a time point"
        )
    return sizes.get("C", 1), math.prod(sizes[axis] for axis in planes)


def _header_of(page: Any, sizes: tuple[int, int] | None, name: str) -> Header:
    if page.dtype is None or page.compression not in _COMPRESSIONS:
        raise UnreadableImageError(
            f"{name}: TIFF with {page.bitspersample} bits a sample and compression {int(page.compression)} is not "
            "read; export it uncompressed, or with LZW, deflate or zstd"
        )
    n_samples = int(page.samplesperpixel)
    is_coloured = int(page.photometric) in _COLOURED or bool(_TRANSPARENCY & set(page.extrasamples))
    n_channels, n_planes = sizes or (1, 1)
    n_planes *= int(page.imagedepth) if sizes is None else 1
    return Header(
        n_channels=n_channels if is_coloured else n_channels * n_samples,
        n_planes=n_planes,
        height=int(page.imagelength),
        width=int(page.imagewidth),
        n_colours=n_samples if is_coloured else 1,
        dtype=np.dtype(np.uint8 if page.dtype == bool else page.dtype),
        top=_declared_top(page),
    )


def _declared_top(page: Any) -> int | None:
    """Return the top of the range where the file says it: packed bits, or a MaxSampleValue that is all ones.

    SMaxSampleValue is not asked: instruments write the highest pixel of the image there.
    """
    bits = page.bitspersample
    if isinstance(bits, int) and (bits < 8 or 8 < bits < 16):
        return int(2**bits - 1)
    tag = page.tags.get(_MAX_SAMPLE_VALUE)
    return int(tag.value) if tag is not None and tag.value in _RANGE_TOPS and page.dtype == np.uint16 else None


def _check_strips(page: Any, keyframe: Any, *, name: str, size_bytes: int) -> None:
    """Refuse a file whose strips are not all there; tifffile would fill some of them with zeros."""
    expected = math.prod(keyframe.chunked)
    offsets, counts = page.dataoffsets, page.databytecounts
    if len(offsets) != expected or len(counts) != expected or min(counts, default=0) <= 0:
        raise UnreadableImageError(
            f"{name}: expected {expected} strips or tiles of pixels, got {sum(count > 0 for count in counts)} "
            f"in {size_bytes:,} bytes; copy or export it again"
        )
    end = max(offset + count for offset, count in zip(offsets, counts, strict=True))
    if end > size_bytes:
        raise UnreadableImageError(
            f"{name}: the file is cut short: its pixels reach to byte {end:,}, it has {size_bytes:,}; copy it again"
        )
    if keyframe.compression == 1 and sum(counts) * 8 < math.prod(keyframe.shape) * keyframe.bitspersample:
        raise UnreadableImageError(
            f"{name}: expected {math.prod(keyframe.shape) * keyframe.bitspersample // 8:,} bytes of pixels, "
            f"the file holds {sum(counts):,}; export it again"
        )


def _check_pictures_inside(tiff: tifffile.TiffFile, series: Any, keyframe: Any, name: str) -> None:
    """Refuse a JPEG inside a strip or tile that is larger than the image around it."""
    height = max(keyframe.imagelength, keyframe.tilelength)
    width = max(keyframe.imagewidth, keyframe.tilewidth)
    for page in [keyframe] if series is None else series.pages:
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            tiff.filehandle.seek(offset)
            shape = jpeg_inside_shape(tiff.filehandle.read(min(count, 1 << 16)))
            if shape is None or shape.height > height or shape.width > width:
                raise UnreadableImageError(f"{name}: the JPEG inside does not fit the TIFF around it; export it again")


def _in_order(pixels: NDArray[Any], axes: str, *, is_coloured: bool) -> NDArray[Any]:
    """Return (C, Z, Y, X) of pixels with the axes that tifffile names."""
    squeezed = [axis for axis, size in zip(axes, pixels.shape, strict=True) if size > 1 or axis in "YX"]
    pixels = pixels.reshape([size for axis, size in zip(axes, pixels.shape, strict=True) if size > 1 or axis in "YX"])
    planes = [axis for axis in squeezed if axis in _PLANE_AXES]
    wanted = [*("C" if "C" in squeezed else ""), *planes, "Y", "X", *("S" if "S" in squeezed else "")]
    ordered = pixels.transpose([squeezed.index(axis) for axis in wanted])
    if "C" not in squeezed:
        ordered = ordered[np.newaxis]
    if not planes:
        ordered = ordered[:, np.newaxis]
    if "S" not in squeezed:
        return ordered
    if is_coloured:
        return flatten_colours(ordered)
    return np.moveaxis(ordered, -1, 1).reshape(-1, *ordered.shape[1:-1])
