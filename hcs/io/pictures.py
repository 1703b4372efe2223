"""Pictures for people as files: PNG without loss, WebP a tenth as large."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hcs.errors import UsageError
from hcs.io.storage import write_atomically

WEBP_QUALITY, WEBP_METHOD = 90, 2
"""The method says how long is looked for a smaller file: with 4, cells take twice as long and no byte less."""

LONGEST_WEBP_SIDE = 16_383
BACKGROUND, INK = (24, 24, 24), (230, 230, 230)

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
    options = {"quality": WEBP_QUALITY, "method": WEBP_METHOD} if form == "WEBP" else {"compress_level": 6}
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format=form, **options)
    return buffer.getvalue()


def with_axes(picture: NDArray[np.uint8], *, rows: Sequence[str], columns: Sequence[str]) -> NDArray[np.uint8]:
    """Return a sheet with names of its rows at the left and of its columns above, (Y + M, X + M, 3), M the margin.

    Args:
        picture: (Y, X, 3), uint8, a grid of equal places.
        rows: Names from top to bottom, as A, B, C.
        columns: From left to right, as 1, 2, 3.
    """
    height, width = picture.shape[:2]
    size = max(9, min(28, height // len(rows) // 3, width // len(columns) // 3))
    margin = 2 * size
    sheet = Image.new("RGB", (width + margin, height + margin), BACKGROUND)
    sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), (margin, margin))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size)
    for index, name in enumerate(rows):
        place = (margin / 2, margin + (index + 0.5) * height / len(rows))
        draw.text(place, name, font=font, fill=INK, anchor="mm")
    for index, name in enumerate(columns):
        place = (margin + (index + 0.5) * width / len(columns), margin / 2)
        draw.text(place, name, font=font, fill=INK, anchor="mm")
    return np.asarray(sheet)


def write_picture(picture: NDArray[np.uint8], uri: str) -> None:
    """Write a picture (Y, X, 3), uint8, as its ending says, all of it or nothing.

    Raises:
        UsageError: If the ending is none that is written, or the picture is larger than WebP can be.
        StorageError: If it cannot be written.
    """
    write_atomically(uri, picture_bytes(picture, form=picture_format(uri)))
