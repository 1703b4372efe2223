"""Drafts a SCREEN.yaml from a delivered folder: what can be seen is written down, what cannot is marked."""

from __future__ import annotations

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
        DeliveryError: If there is no such folder, or no images are in it.
        UnknownLayoutError: If nobody registered the layout.
    """
    with reading_once():
        folder = list_delivery(uri.rstrip("/"))
        plates = find_plates(folder, layout=layout)
        wells = {plate.barcode: plate.wells for plate in plates}
        tables = find_tables(folder, wells=wells, uris=[plate.uri for plate in plates])
    return draft_text(Draft(screen=_screen_name(folder.uri), uri=folder.uri, plates=plates, tables=tables))


def _screen_name(uri: str) -> str:
    parts = uri.rstrip("/").split("/")
    return next((part for part in reversed(parts) if part.casefold() not in _SAY_NOTHING), "screen")
