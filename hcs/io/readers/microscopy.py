"""Vendors' formats (.czi, .nd2, .lif, ...) through bioio or aicsimageio, whichever is installed.

Both are extras with the same reading interface; they are imported when the first such file is met, and not before.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hcs.errors import UnreadableImageError
from hcs.io.readers.base import Header, check_plausible, read_error

_LIBRARIES = (("bioio", "BioImage"), ("aicsimageio", "AICSImage"))


class MicroscopyReader:
    """Reads what bioio, or its predecessor aicsimageio, reads.

    Args:
        endings: Which files to read through them.
        library: `bioio` or `aicsimageio`; None takes the first that is installed.
    """

    def __init__(
        self,
        endings: frozenset[str] = frozenset({".czi", ".nd2", ".lif", ".dv", ".ims", ".oib", ".oif", ".vsi", ".lsm"}),
        *,
        library: str | None = None,
    ) -> None:
        self.endings = endings
        self._library = library

    @contextmanager
    def open(self, stream: BinaryIO, *, name: str, size_bytes: int) -> Iterator[MicroscopyImage]:
        """Yield the file with its header read; the libraries need it as a file, so a copy lies in a temporary folder.

        Raises:
            UnreadableImageError: If no library is installed, the file holds several sites or time points, or it is
                broken.
            ImplausibleImageError: If it declares far more than it can hold.
        """
        image_class = self._image_class(name)
        with tempfile.NamedTemporaryFile(suffix=PurePosixPath(name).suffix) as copy:
            with read_error(name):
                shutil.copyfileobj(stream, copy)
                copy.flush()
                image = MicroscopyImage(image_class(copy.name), name=name)
            check_plausible(image.header, name=name, size_bytes=size_bytes)
            yield image

    def _image_class(self, name: str) -> Any:
        for library, class_name in _LIBRARIES:
            if self._library in (None, library):
                try:
                    return getattr(importlib.import_module(library), class_name)
                except ImportError:
                    continue
        extras = [self._library] if self._library else [library for library, _ in _LIBRARIES]
        raise UnreadableImageError(
            f"{name}: this format is read through {' or '.join(extras)}, which is not installed; "
            f"pip install 'hcs[{extras[0]}]' and its plugin for the format, or export TIFF"
        )


class MicroscopyImage:
    """An opened file of a vendor's format."""

    def __init__(self, image: Any, *, name: str) -> None:
        self._image = image
        self._name = name
        sizes = {axis: int(getattr(image.dims, axis)) for axis in "TCZYX"}
        if len(image.scenes) > 1 or sizes["T"] > 1:
            raise UnreadableImageError(
                f"{name}: expected one site at one time point, the file holds {len(image.scenes)} scenes and "
                f"{sizes['T']} time points; export one file a site"
            )
        n_colours = int(getattr(image.dims, "S", 1)) if "S" in image.dims.order else 1
        if n_colours > 1:
            raise UnreadableImageError(f"{name}: expected one stain a channel, got a colour image; export its stains")
        self.header = Header(
            n_channels=sizes["C"],
            n_planes=sizes["Z"],
            height=sizes["Y"],
            width=sizes["X"],
            n_colours=1,
            dtype=np.dtype(image.dtype),
            channel_names=tuple(str(channel) for channel in image.channel_names or ()),
        )

    def decode(self) -> NDArray[Any]:
        """Return (C, Z, Y, X), native byte order.

        Raises:
            UnreadableImageError: If it cannot be decoded.
        """
        with read_error(self._name):
            pixels = np.asarray(self._image.get_image_data("CZYX"))
            return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
