"""Filename templates: `Channel{channel}-{_}-{row}-{column}.tif`."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hcs.errors import InputRejectedError, PatternError
from hcs.io.wells import well_at, well_name

FIELDS = ("plate", "well", "row", "column", "site", "channel", "z", "timepoint")
ANYTHING = "_"

_ROW = "[A-Za-z]|[Aa][A-Fa-f]"
_NUMBER = "[0-9]{1,9}"
_EXPRESSIONS = {
    "plate": "[^/]+?",
    "well": f"(?:{_ROW})[0-9]{{1,3}}",
    "row": f"{_ROW}|[0-9]{{1,2}}",
    "column": "[0-9]{1,3}",
    "site": _NUMBER,
    "channel": "[^/]+?",
    "z": _NUMBER,
    "timepoint": _NUMBER,
}
_MAX_NAME = 255
_HELP = f"the fields are {', '.join(f'{{{name}}}' for name in FIELDS)} and {{_}} for anything"


@dataclass(frozen=True, slots=True)
class PlanePlace:
    """What a file's name says: fields that the template does not have are None, or 1 for the numbers."""

    plate: str | None
    well: str
    site: int
    channel: str | None
    z: int
    timepoint: int


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled filename template."""

    text: str
    fields: frozenset[str]
    expression: re.Pattern[str]

    def match(self, relative_path: str) -> PlanePlace | None:
        """Return what a path under the delivery's root says; None where it does not fit."""
        if any(len(name) > _MAX_NAME for name in relative_path.split("/")):
            return None
        match = self.expression.fullmatch(relative_path)
        if match is None:
            return None
        found = match.groupdict()
        try:
            well = well_name(found["well"]) if "well" in self.fields else well_at(found["row"], found["column"])
        except InputRejectedError:
            return None
        numbers = {name: int(found.get(name, "1")) for name in ("site", "z", "timepoint")}
        return PlanePlace(plate=found.get("plate"), well=well, channel=found.get("channel"), **numbers)


def compile_template(text: str, *, channels: Collection[str] = ()) -> Template:
    """Return the template of a pattern, compiled to one anchored expression over the path under the delivery's root.

    Args:
        text: As a person writes it; `/` separates folders, and no field reaches over one.
        channels: The delivery's channel keys where they are known; only then may `{channel}{_}` stand side by side.

    Raises:
        PatternError: If a field is unknown, repeated, missing, or cannot be told from its neighbour.
    """
    folders = [_tokens(folder, text) for folder in text.split("/")]
    named = Counter(token for tokens in folders for is_field, token in tokens if is_field and token != ANYTHING)
    _check_fields(named, text)
    _check_neighbours(folders, text, are_channels_known=bool(channels))
    expression = "/".join(_folder_expression(tokens, channels) for tokens in folders)
    return Template(text, frozenset(named), re.compile(expression))


def _tokens(folder: str, text: str) -> list[tuple[bool, str]]:
    """Return (is a field, its name or the literal text) of one folder's part of a pattern."""
    if not folder or folder in (".", "..") or "\\" in folder:
        raise PatternError(
            f"pattern {text!r}: expected file names with / between folders, starting under the delivery's folder"
        )
    parts = re.split(r"\{([^{}/]*)\}", folder)
    tokens = [(index % 2 == 1, part) for index, part in enumerate(parts) if part or index % 2]
    for is_field, part in tokens:
        if not is_field and ("{" in part or "}" in part):
            raise PatternError(f"pattern {text!r}: a brace is left open at {part!r}; {_HELP}")
    return tokens


def _check_fields(named: Counter[str], text: str) -> None:
    for name, count in named.items():
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"did you mean {{{near[0]}}}? " if near else ""
            raise PatternError(f"pattern {text!r}: {{{name}}} is not a field; {hint}{_HELP}")
        if count > 1:
            raise PatternError(
                f"pattern {text!r}: {{{name}}} stands {count} times, expected once; write {{_}} for the others"
            )
    has_place = named["row"] and named["column"]
    if bool(named["well"]) == bool(has_place) or bool(named["row"]) != bool(named["column"]):
        raise PatternError(f"pattern {text!r}: expected either {{well}}, or both {{row}} and {{column}}; {_HELP}")


def _check_neighbours(folders: Sequence[Sequence[tuple[bool, str]]], text: str, *, are_channels_known: bool) -> None:
    for tokens in folders:
        for (is_first_field, first), (is_second_field, second) in pairwise(tokens):
            if not (is_first_field and is_second_field) or (first, second) == ("row", "column"):
                continue
            if (first, second) == ("channel", ANYTHING):
                if are_channels_known:
                    continue
                raise PatternError(
                    f"pattern {text!r}: where {{channel}} ends before {{_}} is known only from `channels`; name them"
                )
            raise PatternError(
                f"pattern {text!r}: where {{{first}}} ends before {{{second}}} cannot be told; put something between"
            )


def _folder_expression(tokens: Sequence[tuple[bool, str]], channels: Collection[str]) -> str:
    """Return the expression of one folder or file name.

    All but the last `{_}` are atomic together with what stands up to the next one: what follows can absorb anything,
    so the first place that fits is as good as every other, and hostile names cannot make the matching slow.
    """
    pieces = [""]
    for index, (is_field, token) in enumerate(tokens):
        if is_field and token == ANYTHING:
            pieces.append("")
        else:
            after = tokens[index + 1] if index + 1 < len(tokens) else (False, "")
            pieces[-1] += _field_expression(token, after, channels) if is_field else re.escape(token)
    head, *rest = pieces
    return (
        head + "".join(f"(?>[^/]*?{piece})" for piece in rest[:-1]) + "".join(f"[^/]*?{piece}" for piece in rest[-1:])
    )


def _field_expression(name: str, after: tuple[bool, str], channels: Collection[str]) -> str:
    expression = _EXPRESSIONS[name]
    if name == "row" and after == (True, "column"):
        expression = _ROW
    if name == "channel" and after == (True, ANYTHING):
        expression = "|".join(re.escape(key) for key in sorted(channels, key=lambda key: (-len(key), key)))
    return f"(?P<{name}>{expression})"
