"""SCREEN.yaml: the one file that a person writes about a screen."""

from __future__ import annotations

import os
from pathlib import Path

from hcs.errors import ScreenFileError, StorageError, StoreUnavailableError
from hcs.io.storage import beside, is_remote, read_bytes
from hcs.screenfile import parse_screen, with_places
from schemas.screen import ScreenConfig


def load_screen(path: str) -> ScreenConfig:
    """Return the screen of a SCREEN.yaml, its relative paths made absolute, starting at the file.

    Raises:
        ScreenFileError: If it cannot be read or does not say what it must; names file, field, expected and got.
        StoreUnavailableError: If the store that it lies in does not answer.
    """
    try:
        data = read_bytes(path)
    except StoreUnavailableError:
        raise
    except StorageError as error:
        raise ScreenFileError(f"expected a SCREEN.yaml; {error}") from error

    def absolute(place: str) -> str:
        if is_remote(place) or place.startswith("file://") or os.path.isabs(place):
            return place
        if is_remote(path):
            return beside(path, place)
        return os.path.abspath(os.path.join(Path(path).absolute().parent, place))

    return with_places(parse_screen(data, name=path), absolute)
