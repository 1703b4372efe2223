"""What is sent when a screen is submitted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hcs.errors import ScreenFileError, UsageError
from hcs.screenfile import MAX_SCREEN_BYTES, parse_screen, with_places
from schemas.screen import ScreenConfig

Submitted = ScreenConfig | Mapping[str, Any] | str | os.PathLike[str]
"""A screen as a record, as the fields of a SCREEN.yaml, or the path of one on this machine."""


def body_of(screen: Submitted) -> dict[str, Any]:
    """Return the fields of a screen as the API takes them: what somebody said, and no default that nobody said.

    Relative places of a file start at the file, as for `hcs run`; those of a record or of fields stay as they are.

    Raises:
        ScreenFileError: If a file cannot be read or does not say what it must.
        UsageError: If it is no screen at all.
    """
    if isinstance(screen, Mapping):
        return dict(screen)
    if not isinstance(screen, (ScreenConfig, str, os.PathLike)):
        raise UsageError(
            "a screen is expected as the path of a SCREEN.yaml, as its fields or as a ScreenConfig, but a "
            f"{type(screen).__name__} came"
        )
    if isinstance(screen, str) and "://" in screen:
        raise ScreenFileError(
            f"expected the path of a SCREEN.yaml on this machine, but {screen[:120]!a} came: the client reads no "
            "stores. Give a copy of the file, in which places are written out (s3://...)."
        )
    config = screen if isinstance(screen, ScreenConfig) else _load(Path(screen))
    return config.model_dump(mode="json", exclude_unset=True)


def _load(path: Path) -> ScreenConfig:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCREEN_BYTES + 1)
    except OSError as error:
        raise ScreenFileError(
            f"expected a SCREEN.yaml in {path}, but it cannot be read: {error.strerror}; check the path"
        ) from error
    folder = path.absolute().parent

    def absolute(place: str) -> str:
        return place if "://" in place else os.path.abspath(folder / place)

    return with_places(parse_screen(data, name=str(path)), absolute)
