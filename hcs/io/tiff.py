"""TIFF files of one plane, as instruments write them."""

from __future__ import annotations

import io

import numpy as np
import tifffile
from numpy.typing import NDArray

_MICROMETRES_PER_CENTIMETRE = 10_000.0


def tiff_bytes(plane: NDArray[np.uint16], *, pixel_size_um: float) -> bytes:
    """Return a plane as an uncompressed 16-bit grey TIFF; the same bytes for the same pixels, whoever writes it when.

    Args:
        plane: (Y, X), uint16.
        pixel_size_um: Stands in the file's resolution tags.

    Raises:
        ValueError: If the plane is not (Y, X) uint16.
    """
    if plane.dtype.newbyteorder("=") != np.uint16 or plane.ndim != 2:
        raise ValueError(f"a plane (Y, X) of uint16 was expected, got {plane.shape} of {plane.dtype}")
    buffer = io.BytesIO()
    resolution = _MICROMETRES_PER_CENTIMETRE / pixel_size_um
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(plane, dtype="<u2"),
        byteorder="<",
        photometric="minisblack",
        resolution=(resolution, resolution),
        resolutionunit="CENTIMETER",
        metadata=None,
        software=False,
    )
    return buffer.getvalue()
