"""A draft of a SCREEN.yaml as text, with comments for the person who edits it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hcs.io.draft.channels import DraftChannel
from hcs.io.draft.plates import DraftPlate
from hcs.io.draft.tables import DraftTables
from hcs.screenfile import FILL_IN

WIDTH = 110
"""Characters of a line of comments."""

_PLAIN = re.compile(r"[A-Za-z/][\w/.\-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True)
class Draft:
    """What was found of a screen."""

    screen: str
    uri: str
    plates: tuple[DraftPlate, ...]
    tables: DraftTables


def draft_text(draft: Draft) -> str:
    """Return a SCREEN.yaml that `load_screen` takes once every place that says `FILL_IN` is filled."""
    n_images = sum(plate.n_images for plate in draft.plates)
    lines = [
        *_comment(f"What `hcs init` saw in {draft.uri}: {_counted(len(draft.plates), 'plate')}, {n_images:,} images."),
        *_comment(f"Read it, fill in what says {FILL_IN}, and look at it with: hcs check SCREEN.yaml"),
        f"screen: {_scalar(draft.screen)}",
        "plates:",
        *(line for plate in draft.plates for line in _plate_lines(plate, draft.plates)),
        *_naming_lines(draft.plates),
        *_table_lines(draft.tables),
        *_control_lines(draft.tables),
    ]
    return "\n".join(lines) + "\n"


def _plate_lines(plate: DraftPlate, plates: Sequence[DraftPlate]) -> Iterator[str]:
    fields = {"uri": plate.uri, "barcode": plate.barcode, "layout": plate.layout, "batch": plate.batch}
    texts = [f"{name}: {_scalar(value)}" for name, value in fields.items() if value is not None]
    if not _is_shared(plates) and plate.layout == "files":
        texts.append(f"pattern: {_scalar(plate.pattern or FILL_IN)}")
        pairs = ", ".join(_pair(channel) for channel in plate.channels)
        texts.append(f"channels: {{{pairs}}}" if pairs else f"channels: {FILL_IN}")
    yield from _comment(f"{_counted(len(plate.wells), 'well')}, {_counted(plate.n_images, 'image')}", indent=2)
    for remark in (*plate.remarks, *(() if _is_shared(plates) else _remarks(plate.channels))):
        yield from _comment(remark, indent=2)
    first, *others = texts
    yield f"  - {first}"
    yield from (f"    {text}" for text in others)


def _is_shared(plates: Sequence[DraftPlate]) -> bool:
    """Return whether one pattern and one list of channels serve all plates."""
    return len({(plate.pattern, plate.channels) for plate in plates}) == 1


def _naming_lines(plates: Sequence[DraftPlate]) -> Iterator[str]:
    plate = plates[0]
    if plate.layout != "files" or not _is_shared(plates):
        return
    if plate.pattern is None:
        yield from _comment(
            'How files are named, under the folder: "{well}_s{site}_w{channel}.tif"; the fields are plate, well, row, '
            "column, site, channel, z, timepoint and {_} for anything."
        )
        yield from (f"pattern: {FILL_IN}", f"channels: {FILL_IN}")
        return
    yield from (f"pattern: {_scalar(plate.pattern)}", "channels:")
    for channel in plate.channels:
        remark = channel.remark or ("" if channel.stain else "which stain? DNA, ER, RNA, AGP, Mito, or its own name")
        yield f"  {_pair(channel)}" + (f"  # {_one_line(remark)}" if remark else "")


def _remarks(channels: Iterable[DraftChannel]) -> list[str]:
    return [f"channel {channel.key}: {channel.remark}" for channel in channels if channel.remark]


def _pair(channel: DraftChannel) -> str:
    return f"{_scalar(channel.key)}: {_scalar(channel.stain or FILL_IN)}"


def _table_lines(tables: DraftTables) -> Iterator[str]:
    for remark in tables.remarks:
        yield from _comment(remark)
    if tables.platemaps is None:
        yield from _comment(
            "A csv or tsv with a column `well` and what was done there: perturbation, concentration_micromolar, "
            "control_type. Without this line the wells are embedded and nothing is called."
        )
        yield f"platemaps: {FILL_IN}"
    else:
        yield f"platemaps: {_listed(tables.platemaps)}"
    if tables.annotations is not None:
        yield f"annotations: {_listed(tables.annotations)}"


def _control_lines(tables: DraftTables) -> Iterator[str]:
    if tables.platemaps is None:
        yield from _comment("Where the platemap does not say which wells are controls, their names do:")
        yield from _comment("controls: {negcon: [DMSO], poscon: []}")
    elif tables.n_negcon:
        seen = (
            f"{_counted(tables.n_negcon, 'well')} with images are negative controls, {tables.n_poscon} positive ones."
        )
        yield from _comment(seen)
    else:
        offered = ", ".join(tables.frequent) or "none"
        yield from _comment(f"No well is a negative control. The most frequent perturbations are {offered}.")
        yield f"controls: {{negcon: [{FILL_IN}]}}"


def _listed(uris: Sequence[str]) -> str:
    return _scalar(uris[0]) if len(uris) == 1 else f"[{', '.join(map(_scalar, uris))}]"


def _scalar(text: str) -> str:
    """Return a text as YAML, in quotes where it could be read as something else."""
    is_plain = _PLAIN.fullmatch(text) and text.casefold() not in _WORDS
    if is_plain:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter if letter.isprintable() else f"\\U{ord(letter):08X}" for letter in escaped) + '"'


def _comment(text: str, *, indent: int = 0) -> Iterator[str]:
    start = f"{' ' * indent}# "
    yield from textwrap.wrap(
        _one_line(text),
        WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _one_line(text: str) -> str:
    """Return a text without line ends and control characters: names in a delivery may hold anything."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
