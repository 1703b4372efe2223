"""Pictures for people as files: PNG without loss, WebP a tenth as large."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hcs.errors import UsageError
from hcs.io.storage import write_atomically

WEBP_QUALITY = 90
LONGEST_WEBP_SIDE = 16_383

_FORMATS = {".png": "PNG", ".webp": "WEBP"}


def picture_format(uri: str) -> str:
    """Return what a file is written as by its ending: PNG or WEBP.

    Raises:
        UsageError: If it has another ending.
    """
    for ending, name in _FORMATS.items():
        if uri.casefold().endswith(ending):
            return name
    raise UsageError(f"{uri}: expected a picture that ends in {' or '.join(_FORMATS)}; rename it")


def picture_bytes(picture: NDArray[np.uint8], *, form: str) -> bytes:
    """Return a picture as the content of a file; the same bytes for the same pixels, whoever writes it when.

    Args:
        picture: (Y, X, 3), uint8.
        form: PNG or WEBP.

    Raises:
        UsageError: If it is larger than WebP can be.
    """
    height, width = picture.shape[:2]
    if form == "WEBP" and max(height, width) > LONGEST_WEBP_SIDE:
        raise UsageError(
            f"a WebP picture was expected to have sides of at most {LONGEST_WEBP_SIDE:,} pixels, but {width:,} x "
            f"{height:,} came; make it smaller (--size), or write a .png"
        )
    buffer = io.BytesIO()
    options = {"quality": WEBP_QUALITY, "method": 4} if form == "WEBP" else {"compress_level": 6}
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format=form, **options)
    return buffer.getvalue()


def write_picture(picture: NDArray[np.uint8], uri: str) -> None:
    """Write a picture (Y, X, 3), uint8, as its ending says, all of it or nothing.

    Raises:
        UsageError: If the ending is none that is written, or the picture is larger than WebP can be.
        StorageError: If it cannot be written.
    """
    write_atomically(uri, picture_bytes(picture, form=picture_format(uri)))
