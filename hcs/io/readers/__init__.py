"""Readers of image files behind one protocol; a file's ending says which one reads it."""

from __future__ import annotations

from hcs.errors import UnreadableImageError
from hcs.io.readers.base import Header, OpenImage, Reader
from hcs.io.readers.microscopy import MicroscopyReader
from hcs.io.readers.pictures import PictureReader
from hcs.io.readers.tiff import TiffReader

READERS: tuple[Reader, ...] = (TiffReader(), PictureReader(), MicroscopyReader())
IMAGE_ENDINGS: frozenset[str] = frozenset().union(*(reader.endings for reader in READERS))

__all__ = [
    "IMAGE_ENDINGS",
    "READERS",
    "Header",
    "OpenImage",
    "Reader",
    "is_image_name",
    "reader_of",
]


def _ending(name: str) -> str:
    return "." + name.rpartition("/")[2].rpartition(".")[2].casefold()


def is_image_name(name: str) -> bool:
    """Return whether a file's ending is one that a reader knows; hidden files (`._A01.tif`) are none."""
    return _ending(name) in IMAGE_ENDINGS and not name.rpartition("/")[2].startswith(".")


def reader_of(name: str) -> Reader:
    """Return the reader for a file by its ending.

    Raises:
        UnreadableImageError: If no reader knows the ending.
    """
    ending = _ending(name)
    for reader in READERS:
        if ending in reader.endings:
            return reader
    raise UnreadableImageError(f"{name}: expected an image ending in {', '.join(sorted(IMAGE_ENDINGS))}")
