"""Drafts a SCREEN.yaml from a delivered folder: what can be seen is written down, what cannot is marked."""

from __future__ import annotations

import os

from hcs.errors import DeliveryError
from hcs.io.draft.plates import find_plates
from hcs.io.draft.tables import find_tables
from hcs.io.draft.text import Draft, draft_text
from hcs.io.layouts.folder import list_delivery
from hcs.io.storage import reading_once

__all__ = ["draft_screen"]

_SAY_NOTHING = ("images", "image", "source", "data", "")
"""Names of folders that no screen is called by."""


def draft_screen(uri: str, *, layout: str = "auto") -> str:
    """Return a commented SCREEN.yaml of a delivery; what a person has to say is marked `FILL_IN`.

    Args:
        uri: A delivered plate, or a folder of several.
        layout: How it is arranged; auto looks.

    Raises:
        DeliveryError: If there is no such folder, no images are in it, or its names are no text.
        UnknownLayoutError: If nobody registered the layout.
    """
    if not uri.strip("/ "):
        raise DeliveryError(f"the folder of a delivery was expected, but {uri!r} came; name a folder with images in it")
    with reading_once():
        folder = list_delivery(uri.rstrip("/") if "://" in uri else os.path.abspath(uri))
        plates = find_plates(folder, layout=layout)
        wells = {plate.barcode: plate.wells for plate in plates}
        tables = find_tables(folder, wells=wells, uris=[plate.uri for plate in plates])
    text = draft_text(Draft(screen=_screen_name(folder.uri), uri=folder.uri, plates=plates, tables=tables))
    _refuse_no_text(text, uri)
    return text


def _refuse_no_text(text: str, uri: str) -> None:
    """Refuse names that a file system holds and no YAML can: bytes that are not UTF-8."""
    odd = [line for line in text.splitlines() if not line.isascii() and any("\ud800" <= x <= "\udfff" for x in line)]
    if odd:
        raise DeliveryError(f"{uri!a}: names in UTF-8 were expected, but there is {odd[0].strip()!a}; rename it")


def _screen_name(uri: str) -> str:
    parts = uri.rstrip("/").split("/")
    return next((part for part in reversed(parts) if part.casefold() not in _SAY_NOTHING), "screen")
