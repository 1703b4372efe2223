"""What the channels of a delivery are: what the instrument calls them, and the stains that such names mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hcs.errors import StorageError
from hcs.io.layouts.folder import DeliveryFolder
from hcs.io.storage import join, read_bytes

MAX_METADATA_BYTES = 64 << 20
"""An instrument's index larger than this is not read for the names of a few channels."""

_HARMONY = re.compile(r"ChannelID(?:>|=\")(?P<key>[0-9]+)|ChannelName(?:>|: )(?P<name>[^<,]+)")
_IMAGEXPRESS = re.compile(r'"WaveName(?P<key>[0-9]+)", "(?P<name>[^"]*)"')
_CELLVOYAGER = re.compile(r'<bts:Channel bts:Ch="(?P<key>[0-9]+)" bts:Target="(?P<name>[^"]*)"')
_BINDING = (
    ("DNA", r"\bdna\b|hoechst|dapi|draq5|\bnucle(us|i|ar)\b|\bh2b\b"),
    ("Mito", r"mito"),
    ("ER", r"\ber\b|concanavalin|\bcona\b|endoplasmic"),
    ("RNA", r"\brna\b|syto ?14"),
    ("AGP", r"\bagp\b|phalloidin|actin|\bwga\b"),
    ("Brightfield", r"bright ?field"),
    ("DPC", r"digital phase|\bdpc\b"),
)
"""Names that can mean one stain only. Fluorophores and lasers are on many stains, and are no stain's name."""
_IN_CELL_PAINTING = (
    ("RNA", r"488.*(long|650)"),
    ("ER", r"488"),
    ("AGP", r"568|561|594"),
    ("Mito", r"64[07]"),
    ("DNA", r"405"),
)


@dataclass(frozen=True)
class DraftChannel:
    """One channel of a delivery: its key, its stain if that is known, and what else is known of it."""

    key: str
    stain: str | None
    remark: str


def stain_of(name: str) -> str | None:
    """Return the stain that a channel's name can only mean; None where it may mean several, or says nothing."""
    folded = re.sub(r"[_\-]+", " ", name.casefold())
    return next((stain for stain, expression in _BINDING if re.search(expression, folded)), None)


def draft_channels(keys: Sequence[str], names: dict[str, str]) -> list[DraftChannel]:
    """Return what is known of every channel, in the order of the keys.

    Args:
        keys: As the delivery writes them.
        names: Key without leading zeros -> what the instrument calls it.
    """
    drafted = [_draft(key, names.get(_bare(key))) for key in keys]
    stains = [channel.stain for channel in drafted if channel.stain is not None]
    return [
        channel
        if channel.stain is None or stains.count(channel.stain) == 1
        else DraftChannel(channel.key, None, f"may be {channel.stain} like another one; {channel.remark}")
        for channel in drafted
    ]


def _bare(key: str) -> str:
    return key.lstrip("0") or key


def _draft(key: str, name: str | None) -> DraftChannel:
    if name is None:
        is_number = key.isdecimal()
        return DraftChannel(key, stain_of(key) or (None if is_number else key), "")
    usual = next((stain for stain, found in _IN_CELL_PAINTING if re.search(found, name.casefold())), None)
    hint = f", in Cell Painting usually {usual}" if usual and stain_of(name) is None else ""
    is_a_wavelength = name.strip().isdecimal()
    return DraftChannel(
        key, stain_of(name) or (None if is_a_wavelength else name), f"the instrument calls it {name}{hint}"
    )


def instrument_names(folder: DeliveryFolder) -> dict[str, str]:
    """Return what an instrument's own files call the channels: Harmony, ImageXpress, CellVoyager; nothing if none does.

    A file that cannot be read says nothing: names of channels are a help for the person who edits, and no more.
    """
    for file in folder.files:
        name = file.relative_path.rpartition("/")[2].casefold()
        expression = (
            _HARMONY
            if name in ("index.idx.xml", "index.xml")
            else _IMAGEXPRESS
            if name.endswith(".htd")
            else _CELLVOYAGER
            if name.endswith(".mes")
            else None
        )
        if expression is None or file.size_bytes > MAX_METADATA_BYTES:
            continue
        try:
            text = read_bytes(join(folder.uri, file.relative_path)).decode("utf-8", errors="replace")
        except StorageError:
            continue
        if found := _pairs(expression, text):
            return found
    return {}


def _pairs(expression: re.Pattern[str], text: str) -> dict[str, str]:
    """Return key -> name; a key and a name may stand behind one another, each for itself."""
    found: dict[str, str] = {}
    key = None
    for match in expression.finditer(text):
        key = match["key"] or key
        if match["name"] and key is not None:
            found.setdefault(_bare(key), match["name"].strip())
    return found
