"""Guesses the filename template of a delivery from the names in it."""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hcs.errors import PatternError
from hcs.io.draft.channels import stain_of
from hcs.io.template import PlanePlace, compile_template

CONVENTIONS = (
    "r{row}c{column}f{site}p{z}-ch{channel}sk{timepoint}fk1fl1",
    "{_}_{well}_T{timepoint}F{site}L{_}A{_}Z{z}C{channel}",
    "{row} - {column}(fld {site} wv {channel})",
    "{row} - {column}(fld {site} z {z} wv {channel})",
    "{_}_{well}_s{site}_w{channel}",
    "{_}_{well}_w{channel}",
    "{_}_{well}_s{site}",
    "{_}_{well}f{site}d{channel}",
    "{well}f{site}d{channel}",
)
"""How instruments name files, before the ending: Harmony, CellVoyager, IN Cell, ImageXpress, ArrayScan."""

MOST_CHANNELS = 12
"""A part of a name with more values than this is no channel."""
ENOUGH = 0.9
"""Share of the images that a template has to fit."""
TRIED = 20_000
"""Images that a template is guessed from, at most; they are scattered over the delivery."""

_KEYWORDS = {
    "plate": ("plate", "barcode"),
    "row": ("r", "row"),
    "column": ("col", "column"),
    "site": ("s", "site", "f", "field", "fld", "fov", "xy", "position", "pos"),
    "channel": ("w", "wv", "wave", "wavelength", "ch", "channel"),
    "z": ("z", "zstep", "slice", "plane", "stack"),
    "timepoint": ("t", "tp", "time", "timepoint"),
}
_MEANING = {word: field for field, words in _KEYWORDS.items() for word in words}
_WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]+")
_PIECE = re.compile(r"[A-Za-z]+|[0-9]+")
_WELL = re.compile(r"[A-Pa-p][0-9]{1,3}")
_ROW = re.compile(r"[A-Pa-p]")


def propose_pattern(paths: Sequence[str]) -> str | None:
    """Return the template that nearly all of these paths fit, each with a place of its own; None if none is seen.

    The conventions of instruments are tried first. Else what stands at the same position of all names is compared: a
    letter with a number is a well, a number behind a known word (`s`, `field`, `ch`, `z`, `time`) is that, what the
    well already says means nothing, and of what is left the last is the channel and the first the site.

    Args:
        paths: Of image files under the delivery's root.
    """
    endings = Counter(path.rpartition(".")[2] for path in paths)
    for ending, count in sorted(endings.items(), key=lambda item: (-item[1], item[0])):
        if count < ENOUGH * len(paths):
            return None
        stems = [path[: -len(ending) - 1] for path in paths if path.endswith(f".{ending}")]
        sample = sorted(stems, key=lambda stem: (zlib.crc32(stem.encode()), stem))[:TRIED]
        for template in _candidates(sample):
            if _fits(f"{template}.{ending}", [f"{stem}.{ending}" for stem in sample]):
                return f"{template}.{ending}"
    return None


def matched_places(pattern: str, paths: Iterable[str], *, channels: Collection[str] = ()) -> list[PlanePlace]:
    """Return what the paths that fit a template say."""
    template = compile_template(pattern, channels=channels)
    return [place for path in paths if (place := template.match(path)) is not None]


def _fits(pattern: str, paths: Sequence[str]) -> bool:
    try:
        places = matched_places(pattern, paths)
    except PatternError:
        return False
    return len(places) >= ENOUGH * len(paths) and len(set(places)) == len(places)


def _candidates(stems: Sequence[str]) -> Iterable[str]:
    depths = Counter(stem.count("/") for stem in stems)
    depth = max(depths, key=lambda count: (depths[count], -count))
    levels = list(zip(*(stem.split("/") for stem in stems if stem.count("/") == depth), strict=True))
    for convention in CONVENTIONS:
        found = _Guess(levels[:-1], taken=re.findall(r"\{(\w+)\}", convention)).pattern()
        yield "/".join([*found, convention])
    yield "/".join(_Guess(levels).pattern())
    forms = Counter(_form(stem) for stem in stems)
    usual = max(forms, key=lambda form: (forms[form], form))
    alike = [stem.split("/") for stem in stems if _form(stem) == usual]
    yield "/".join(_Guess(list(zip(*alike, strict=True))).pattern())


def _form(stem: str) -> str:
    """Return what is between the words of a name."""
    return re.sub("[A-Za-z0-9]+", "x", stem)


@dataclass(eq=False)
class _Part:
    """What stands at one position of all names: a text, or a field once it is known."""

    values: tuple[str, ...]
    before: str = ""
    field: str | None = None

    @property
    def is_constant(self) -> bool:
        return len(set(self.values)) == 1

    def all_match(self, expression: re.Pattern[str]) -> bool:
        return all(expression.fullmatch(value) for value in self.values)

    def written(self) -> str:
        if self.field is not None:
            return f"{{{self.field}}}"
        return self.values[0] if self.is_constant and not set("{}") & set(self.values[0]) else "{_}"


class _Guess:
    """Reads the fields of a template off the names of many files, level by level of their folders."""

    def __init__(self, levels: Sequence[Sequence[str]], *, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken) - {"_"}
        self._has_name = not self._taken
        self._levels = [_parts_of(values) for values in levels]
        self._parts = [part for parts in self._levels for part in parts]

    def pattern(self) -> list[str]:
        """Return the template of every level."""
        self._find_wells()
        self._split_what_is_no_well()
        self._find_by_keyword()
        self._find_plates()
        self._find_the_rest()
        return ["".join(part.written() for part in parts) for parts in self._levels]

    def _give(self, part: _Part, field: str) -> None:
        if field not in self._taken:
            part.field = field
            self._taken.add(field)

    def _open(self, condition: Callable[[_Part], bool]) -> list[_Part]:
        return [part for part in self._parts if part.field is None and condition(part)]

    def _find_wells(self) -> None:
        """Take a whole name before a row and a column."""
        if self._taken & {"well", "row"}:
            return None
        wells = self._open(lambda part: part.all_match(_WELL))
        if wells:
            return self._give(max(wells, key=_likeness_to_wells), "well")
        for parts in self._levels:
            for row, between, column in zip(parts, parts[1:], parts[2:], strict=False):
                if between.is_constant and row.all_match(_ROW) and all(value.isdecimal() for value in column.values):
                    self._give(row, "row")
                    return self._give(column, "column")
        return None

    def _split_what_is_no_well(self) -> None:
        """Take apart what could have been a well and is not, as in `f1`."""
        for parts in self._levels:
            parts[:] = [
                piece
                for part in parts
                for piece in (_split(part.values) if part.field is None and part.all_match(_WELL) else [part])
            ]
            _with_words_before(parts)
        self._parts = [part for parts in self._levels for part in parts]

    def _find_by_keyword(self) -> None:
        for part in self._open(lambda part: not part.is_constant and part.values[0].isdecimal()):
            word = part.before.casefold()
            meaning = "column" if word == "c" and "row" in self._taken else _MEANING.get(word)
            meaning = "channel" if word == "c" and meaning is None else meaning
            if meaning is not None and all(value.isdecimal() for value in part.values):
                self._give(part, meaning)

    def _find_plates(self) -> None:
        """Make the first folder that varies for no known reason the plate, whole."""
        last = len(self._levels) - self._has_name
        for parts in self._levels[:last]:
            if any(part.field for part in parts) or all(part.is_constant for part in parts):
                continue
            whole = tuple("".join(texts) for texts in zip(*(part.values for part in parts), strict=True))
            parts[:] = [_Part(whole)]
            self._give(parts[0], "plate")
        self._parts = [part for parts in self._levels for part in parts]

    def _find_the_rest(self) -> None:
        if not self._has_name:
            return
        places = list(
            zip(*(part.values for part in self._parts if part.field in ("well", "row", "column")), strict=True)
        )
        unknown = self._open(lambda part: not part.is_constant and not _is_said_by(places, part.values))
        if "channel" not in self._taken:
            for part in reversed(unknown):
                if len(set(part.values)) <= MOST_CHANNELS:
                    self._give(self._whole_name(part), "channel")
                    break
        for part in self._open(_says_a_channel):
            self._give(part, "channel")
        for part in self._open(lambda part: part in unknown):
            if all(value.isdecimal() for value in part.values):
                self._give(part, "site")

    def _whole_name(self, part: _Part) -> _Part:
        """Return a part together with the words before it that say the same, as in `Alexa 488` and `Hoechst 33342`."""
        parts = next(parts for parts in self._levels if part in parts)
        last = first = parts.index(part)
        while first >= 2 and parts[first - 1].is_constant and _say_the_same(parts[first - 2], part):
            first -= 2
        if first < last:
            joined = tuple(
                "".join(texts) for texts in zip(*(own.values for own in parts[first : last + 1]), strict=True)
            )
            parts[first : last + 1] = [_Part(joined)]
            self._parts = [own for level in self._levels for own in level]
        return parts[first]


def _likeness_to_wells(part: _Part) -> tuple[int, bool, int]:
    """Return how much parts such as B03 are wells and not fields (`f1`): their letters differ, and they have zeros."""
    letters = {value[0] for value in part.values}
    return len(letters), all(len(value) > 2 for value in part.values), len(set(part.values))


def _say_the_same(one: _Part, other: _Part) -> bool:
    if one.field is not None or one.is_constant:
        return False
    pairs = set(zip(one.values, other.values, strict=True))
    return len(pairs) == len(set(one.values)) == len(set(other.values))


def _says_a_channel(part: _Part) -> bool:
    """Return whether a part that is the same in all names is their only channel."""
    is_numbered = _MEANING.get(part.before.casefold()) == "channel" and part.values[0].isdecimal()
    return part.is_constant and (is_numbered or stain_of(part.values[0]) is not None)


def _is_said_by(places: Sequence[object], values: Sequence[str]) -> bool:
    """Return whether a value follows from the place: a number that counts wells."""
    found: dict[object, set[str]] = defaultdict(set)
    for place, value in zip(places, values, strict=False):
        found[place].add(value)
    return len(found) > 1 and all(len(own) == 1 for own in found.values())


def _parts_of(values: Sequence[str]) -> list[_Part]:
    """Return the parts of one level of names: words and what is between them, words split further where all agree.

    Names of unlike form are taken apart as far as they agree, and what is left is one part.
    """
    words = [_WORD.findall(value) for value in values]
    n_words = _agreeing(words)
    columns = [tuple(own[index] for own in words) for index in range(n_words)]
    rest = tuple("".join(own[n_words:]) for own in words)
    parts = [part for column in columns for part in _pieces_of(column)]
    parts += [_Part(rest)] if any(rest) else []
    return _with_words_before(parts)


def _with_words_before(parts: list[_Part]) -> list[_Part]:
    """Return the parts, each knowing the word before it: next to it, or before what separates them."""
    for first, second in pairwise(parts):
        second.before = first.values[0] if first.is_constant else ""
    for first, separator, second in zip(parts, parts[1:], parts[2:], strict=False):
        if separator.is_constant and not separator.values[0].isalnum() and first.is_constant:
            second.before = first.values[0]
    return parts


def _agreeing(words: Sequence[Sequence[str]]) -> int:
    """Return how many words from the left can be compared: all if the separators are everywhere the same."""
    lengths = {len(own) for own in words}
    shortest = min(lengths)
    for index in range(shortest):
        if len({own[index] if not own[index].isalnum() else "" for own in words}) > 1:
            return index
    return shortest if len(lengths) == 1 else max(0, shortest - 1)


def _pieces_of(column: tuple[str, ...]) -> list[_Part]:
    """Return a word in its pieces, but as a whole where it can be a well."""
    whole = _Part(column)
    return [whole] if not column[0].isalnum() or whole.all_match(_WELL) else _split(column)


def _split(column: tuple[str, ...]) -> list[_Part]:
    """Return a word in pieces of letters and digits where the letters are the same in all names, else as a whole."""
    pieces = [_PIECE.findall(word) for word in column]
    if len({tuple(piece if piece.isalpha() else "" for piece in own) for own in pieces}) > 1:
        return [_Part(column)]
    return [_Part(values) for values in zip(*pieces, strict=True)]
