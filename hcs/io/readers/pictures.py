"""PNG, JPEG, JPEG 2000 and BMP through imagecodecs; their sizes are read from the first bytes, before decoding."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from hcs.errors import UnreadableImageError
from hcs.io.readers.base import Header, check_plausible, flatten_colours, read_error

_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 1 << 12
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class PictureShape:
    """What the first bytes of a picture say: its sides, colours and bits a colour."""

    height: int
    width: int
    n_colours: int
    n_bits: int


def _png_shape(head: bytes) -> PictureShape | None:
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        return None
    width, height, n_bits, colour_type = struct.unpack(">IIBB", head[16:26])
    n_colours = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}.get(colour_type, 4)
    return PictureShape(height, width, n_colours, n_bits)


def _jpeg_shape(head: bytes) -> PictureShape | None:
    """Walk the segments of a JPEG up to its frame header."""
    if head[:2] != b"\xff\xd8":
        return None
    position = 2
    while position + 9 < len(head):
        if head[position] != 0xFF:
            return None
        marker = head[position + 1]
        if marker in _JPEG_FRAMES:
            n_bits, height, width, n_colours = struct.unpack(">BHHB", head[position + 4 : position + 10])
            return PictureShape(height, width, n_colours, n_bits)
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _JPEG_ALONE:
            position += 2
        else:
            position += 2 + int.from_bytes(head[position + 2 : position + 4], "big")
    return None


def _jpeg2000_shape(head: bytes) -> PictureShape | None:
    """Read the SIZ segment, which begins the codestream, bare or inside a JP2 box."""
    start = head.find(b"\xff\x4f\xff\x51", 0, 1 << 16)
    if start < 0 or not (start == 0 or head[4:8] == b"jP  ") or len(head) < start + 43:
        return None
    right, bottom, left, top = struct.unpack(">IIII", head[start + 8 : start + 24])
    n_colours, precision = struct.unpack(">HB", head[start + 40 : start + 43])
    return PictureShape(bottom - top, right - left, n_colours, (precision & 0x7F) + 1)


def _bmp_shape(head: bytes) -> PictureShape | None:
    if head[:2] != b"BM" or len(head) < 30:
        return None
    width, height, _, n_bits = struct.unpack("<iiHH", head[18:30])
    return PictureShape(abs(height), abs(width), max(1, n_bits // 8), 8)


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    endings: tuple[str, ...]
    shape: Callable[[bytes], PictureShape | None]
    decode: Callable[[bytes], NDArray[Any]]
    end_mark: bytes


_FORMATS = (
    _Format("PNG", (".png",), _png_shape, imagecodecs.png_decode, b"IEND\xaeB`\x82"),
    _Format("JPEG", (".jpg", ".jpeg"), _jpeg_shape, imagecodecs.jpeg_decode, b"\xff\xd9"),
    _Format("JPEG 2000", (".jp2", ".j2k"), _jpeg2000_shape, imagecodecs.jpeg2k_decode, b"\xff\xd9"),
    _Format("BMP", (".bmp",), _bmp_shape, imagecodecs.bmp_decode, b""),
)


def jpeg_inside_shape(data: bytes) -> PictureShape | None:
    """Return the shape of a JPEG or JPEG 2000 stream inside another file; None where it has none."""
    return _jpeg_shape(data) or _jpeg2000_shape(data)


class PictureReader:
    """Reads the picture formats of cameras and the web, of which some instruments export one a plane."""

    endings = frozenset(ending for form in _FORMATS for ending in form.endings)

    @contextmanager
    def open(self, stream: BinaryIO, *, name: str, size_bytes: int) -> Iterator[Picture]:
        """Yield the file with its header read; the mark that ends the format must be there.

        Libjpeg fills what is missing of a truncated file with grey and raises nothing, hence the mark.

        Raises:
            UnreadableImageError: If it is not of the format that its ending names, or is cut short.
            ImplausibleImageError: If it declares far more than it can hold.
        """
        ending = "." + name.rpartition(".")[2].casefold()
        form = next(form for form in _FORMATS if ending in form.endings)
        with read_error(name):
            head = stream.read(_HEAD_BYTES)
            shape = form.shape(head)
            stream.seek(max(0, size_bytes - _TAIL_BYTES))
            tail = stream.read(_TAIL_BYTES)
        if shape is None:
            raise UnreadableImageError(
                f"{name}: expected a {form.name} file, its {size_bytes:,} bytes begin with "
                f"{head[:8].hex(' ') or 'nothing'}; copy or export it again"
            )
        if form.end_mark not in tail:
            raise UnreadableImageError(
                f"{name}: expected the mark that ends a {form.name} file, its {size_bytes:,} bytes stop before it: "
                "the file is cut short; copy it again"
            )
        picture = Picture(stream, form, shape, name)
        check_plausible(picture.header, name=name, size_bytes=size_bytes)
        yield picture


class Picture:
    """An opened picture."""

    def __init__(self, stream: BinaryIO, form: _Format, shape: PictureShape, name: str) -> None:
        self._stream = stream
        self._form = form
        self._name = name
        self.header = Header(
            n_channels=1,
            n_planes=1,
            height=shape.height,
            width=shape.width,
            n_colours=shape.n_colours,
            dtype=np.dtype(np.uint8 if shape.n_bits <= 8 else np.uint16),
            top=2**shape.n_bits - 1 if 8 < shape.n_bits < 16 else None,
        )

    def decode(self) -> NDArray[Any]:
        """Return (1, 1, Y, X), the highest of the colours at every pixel.

        Raises:
            UnreadableImageError: If it cannot be decoded.
        """
        with read_error(self._name):
            self._stream.seek(0)
            plane = flatten_colours(self._form.decode(self._stream.read()))
        if plane.shape != (self.header.height, self.header.width):
            raise UnreadableImageError(
                f"{self._name}: expected {self.header.height} x {self.header.width} pixels, got {plane.shape}"
            )
        return plane[np.newaxis, np.newaxis]
