"""The layouts that are known, and which one a delivery has."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Protocol

from hcs.errors import DeliveryError, UnknownLayoutError
from hcs.io.layouts.cpg import CpgLayout
from hcs.io.layouts.delivery import Delivery
from hcs.io.layouts.files import FilesLayout
from hcs.io.layouts.folder import DeliveryFolder, list_delivery
from schemas.screen import PlateEntry, ScreenConfig

AUTO = "auto"


class Layout(Protocol):
    """One way to arrange a delivery on disk."""

    @property
    def name(self) -> str:
        """What people call it in SCREEN.yaml."""
        ...

    def recognises(self, folder: DeliveryFolder, *, pattern: str | None) -> bool:
        """Return whether a delivery looks like this layout."""
        ...

    def read(
        self, folder: DeliveryFolder, entry: PlateEntry, *, pattern: str | None, channels: Mapping[str, str] | None
    ) -> Delivery:
        """Return the plate that a folder holds.

        Raises:
            DeliveryError: If it cannot be read this way.
        """
        ...


LAYOUTS: tuple[Layout, ...] = (CpgLayout(), FilesLayout())
"""In the order in which `auto` tries them."""


def find_layout(root: str, name: str = AUTO, *, pattern: str | None = None) -> Layout:
    """Return the layout of a name, or for `auto` the first that recognises the delivery.

    Raises:
        UnknownLayoutError: If nobody registered the name; the nearest names are offered.
        DeliveryError: If there is nothing to recognise; says what was seen and what to give.
    """
    return _choose(list_delivery(root), name, pattern=pattern)


def read_delivery(entry: PlateEntry, config: ScreenConfig) -> Delivery:
    """Return one delivered plate as a table of image planes.

    Raises:
        UnknownLayoutError: If the entry's layout is not known.
        PatternError: If the filename template cannot be understood.
        DeliveryError: If there are no images, or they cannot be read by the layout.
    """
    pattern = entry.pattern if entry.pattern is not None else config.pattern
    channels = entry.channels if entry.channels is not None else config.channels
    folder = list_delivery(entry.uri)
    layout = _choose(folder, entry.layout, pattern=pattern)
    return layout.read(folder, entry, pattern=pattern, channels=channels)


def _choose(folder: DeliveryFolder, name: str, *, pattern: str | None) -> Layout:
    known = {layout.name: layout for layout in LAYOUTS}
    if name in known:
        return known[name]
    if name != AUTO:
        near = difflib.get_close_matches(name, [AUTO, *known], n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UnknownLayoutError(f"layout {name!r} is not known, expected {AUTO}, {', '.join(known)}{hint}")
    for layout in LAYOUTS:
        if layout.recognises(folder, pattern=pattern):
            return layout
    if not folder.images:
        raise DeliveryError(f"{folder.uri}: expected a delivery with images, got {folder.described()}; check the path")
    raise DeliveryError(
        f"{folder.uri}: expected a load_data.csv or a filename template, got {folder.described()} and neither; give "
        '`pattern` (or --pattern) with the fields of the names, as in "{well}_s{site}_w{channel}.tif"'
    )
