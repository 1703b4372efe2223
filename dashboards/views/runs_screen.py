"""What somebody typed or uploaded, read as a SCREEN.yaml, with the places of its mistakes."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from hcs.errors import ApiError, ScreenFileError
from hcs.screenfile import parse_screen, with_places
from schemas.screen import ScreenConfig

MOST_RELATIVE_NAMED = 5


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, and where; an empty place is the whole."""

    place: str
    detail: str


@dataclass(frozen=True)
class ReadScreen:
    """A screen, or why it is none yet. `is_relative` says that some of its paths start at a folder."""

    config: ScreenConfig | None
    mistakes: tuple[Mistake, ...] = ()
    is_relative: bool = False


def read_screen(text: str, *, name: str, folder: str = "") -> ReadScreen:
    """Return what a text says, its relative places put into a folder.

    Args:
        text: Of a SCREEN.yaml.
        name: What it is called in messages.
        folder: Where relative places start; empty where nobody has said so.
    """
    try:
        config = parse_screen(text.encode(), name=name)
    except ScreenFileError as error:
        return ReadScreen(None, (Mistake("", str(error)),))
    relative = relative_places(config)
    if not relative:
        return ReadScreen(config)
    start = folder.strip()
    if not is_absolute(start):
        named = ", ".join(relative[:MOST_RELATIVE_NAMED])
        more = len(relative) - MOST_RELATIVE_NAMED
        detail = (
            f"The API reads the files, so absolute paths or s3:// are expected, but {named}"
            f"{f' and {more} more' if more > 0 else ''} start at the folder of the file, which a text does not tell. "
            "Say above in which folder it lies, as an absolute path or s3://, or write whole paths."
        )
        return ReadScreen(None, (Mistake("", detail),), is_relative=True)

    def placed(place: str) -> str:
        return place if is_absolute(place) else _joined(start, place)

    return ReadScreen(with_places(config, placed), is_relative=True)


def relative_places(config: ScreenConfig) -> list[str]:
    """Return the places of a screen (plates, platemaps, annotations, weights) that start at a folder."""
    found: list[str] = []

    def seen(place: str) -> str:
        found.append(place)
        return place

    with_places(config, seen)
    return [place for place in dict.fromkeys(found) if not is_absolute(place)]


def is_absolute(place: str) -> bool:
    """Return whether a place is one wherever it is read: an absolute path or a URI."""
    return place.startswith("/") or "://" in place


def mistakes_of(error: ApiError) -> tuple[Mistake, ...]:
    """Return what the API refuses, field by field; the whole sentence where it names none."""
    if not error.errors:
        return (Mistake("", error.detail),)
    return tuple(Mistake(field_at(one.pointer) or one.parameter or "", one.detail) for one in error.errors)


def field_at(pointer: str | None) -> str:
    """Return a field as one finds it in a SCREEN.yaml: `#/plates/0/uri` is `plates 1: uri`, counted from 1."""
    if not pointer:
        return ""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#").split("/")[1:]]
    said = ""
    for part in parts:
        said += f" {int(part) + 1}" if part.isdecimal() else f"{': ' if said else ''}{part}"
    return said.strip()


def _joined(folder: str, place: str) -> str:
    if "://" not in folder:
        return posixpath.normpath(posixpath.join(folder, place))
    scheme, _, path = folder.partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join(path, place))}"
