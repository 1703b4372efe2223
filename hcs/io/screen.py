"""SCREEN.yaml: the one file that a person writes about a screen."""

from __future__ import annotations

import os
from pathlib import Path

from hcs.errors import ScreenFileError, StorageError
from hcs.io.storage import is_remote, read_bytes
from hcs.screenfile import parse_screen, with_places
from schemas.screen import ScreenConfig


def load_screen(path: str) -> ScreenConfig:
    """Return the screen of a SCREEN.yaml, its relative paths made absolute, starting at the file.

    Raises:
        ScreenFileError: If it cannot be read or does not say what it must; names file, field, expected and got.
    """
    try:
        data = read_bytes(path)
    except StorageError as error:
        raise ScreenFileError(f"expected a SCREEN.yaml; {error}") from error
    base = os.path.dirname(path) if is_remote(path) else str(Path(path).absolute().parent)

    def absolute(place: str) -> str:
        if is_remote(place) or place.startswith("file://") or os.path.isabs(place):
            return place
        return f"{base}/{place}" if is_remote(base) else os.path.abspath(os.path.join(base, place))

    return with_places(parse_screen(data, name=path), absolute)
