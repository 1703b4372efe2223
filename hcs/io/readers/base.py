"""What every reader promises: a header before any pixel is decoded, then (C, Z, Y, X)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from hcs.errors import HcsError, ImplausibleImageError, UnreadableImageError

MAX_DECLARED_BYTES = 2 << 30
MAX_DECLARED_RATIO = 10_000
"""A file that promises more than this, absolutely or for each byte stored, is refused before it is decoded."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself before it is decoded.

    `top` is the highest value that the file says its pixels can take, where it says so (12 bits in a 16-bit file).
    """

    n_channels: int
    n_planes: int
    height: int
    width: int
    n_colours: int
    dtype: np.dtype[Any]
    channel_names: tuple[str, ...] = ()
    top: int | None = None

    @property
    def declared_bytes(self) -> int:
        """How much memory the decoded file takes."""
        n_values = self.n_channels * self.n_planes * self.height * self.width * self.n_colours
        return n_values * self.dtype.itemsize


class OpenImage(Protocol):
    """A file whose header has been read."""

    @property
    def header(self) -> Header:
        """What the file says of itself."""
        ...

    def decode(self) -> NDArray[Any]:
        """Return (C, Z, Y, X) in the file's own dtype, native byte order."""
        ...


class Reader(Protocol):
    """Reads the files of some endings."""

    @property
    def endings(self) -> frozenset[str]:
        """With their dot, in lower case."""
        ...

    def open(self, stream: BinaryIO, *, name: str, size_bytes: int) -> AbstractContextManager[OpenImage]:
        """Return the file with its header read and checked; pixels are not touched.

        Every reader calls `check_plausible`, and looks whether the file is as long as it must be.

        Raises:
            UnreadableImageError: Naming the file and the cause.
            ImplausibleImageError: If it declares far more than it can hold.
        """
        ...


def check_plausible(header: Header, *, name: str, size_bytes: int) -> None:
    """Refuse a file that promises nothing, or far more than it can hold, before anything is decoded.

    Raises:
        UnreadableImageError: If a side is zero or the pixels are not real numbers.
        ImplausibleImageError: If it declares more than 2 GiB, or more than 10,000 times its own size.
    """
    shape = f"{header.width} x {header.height}"
    declared = header.declared_bytes
    if declared == 0:
        raise UnreadableImageError(f"{name}: expected an image, got one of {shape} pixels; export it again")
    if header.dtype.kind not in "uif":
        raise UnreadableImageError(f"{name}: expected whole or real numbers as pixels, got {header.dtype}")
    if declared > MAX_DECLARED_BYTES or declared > MAX_DECLARED_RATIO * size_bytes:
        planes = header.n_channels * header.n_planes
        raise ImplausibleImageError(
            f"{name}: expected at most {MAX_DECLARED_BYTES >> 30} GiB and {MAX_DECLARED_RATIO:,} times the stored "
            f"size, the file of {size_bytes:,} bytes declares {planes} x {shape} pixels ({declared:,} bytes); "
            "it was not decoded"
        )


def flatten_colours(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (Y, X) of a picture (Y, X) or (Y, X, S): the highest of its colours at every pixel.

    A grey picture stored in colour, and one that uses a single colour, come out unchanged. For others the maximum is
    taken: a sum would change the range, and luminance weighs colours by the human eye, which means nothing for stains.
    A fourth channel, and the second of two, are transparency and are dropped.
    """
    if pixels.ndim == 2:
        return pixels
    n_colours = pixels.shape[-1]
    opaque = pixels[..., : n_colours - 1] if n_colours in (2, 4) else pixels
    highest: NDArray[Any] = opaque.max(axis=-1)
    return highest


@contextmanager
def read_error(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into an UnreadableImageError that names the file.

    A lack of memory passes through: it says nothing about the file.

    Raises:
        UnreadableImageError: Naming the file and the cause.
    """
    try:
        yield
    except (HcsError, MemoryError):
        raise
    except Exception as error:  # decoders raise classes of their own, and tifffile nearly every builtin one
        cause = " ".join(str(error).split())[:300] or "no reason given"
        raise UnreadableImageError(
            f"{name}: cannot be decoded ({type(error).__name__}: {cause}); copy or export it again"
        ) from error
