"""Says where in a request a mistake lies, and which name was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hcs.screenfile import fields_near
from schemas.api import FieldError
from services.api.problems import INVALID, RequestError

MOST_MISTAKES = 20
_SHOWN = 80


def of_body(mistakes: Sequence[Mapping[str, Any]], body: Any) -> RequestError:
    """Return the answer to a body that does not say what it must: a pointer to each field, and the nearest name."""
    placed = [(pointer_to(mistake["loc"], body, kind=mistake["type"]), mistake) for mistake in mistakes]
    outer = {place for inside, _ in placed for place in _around(inside)}  # called too short, or no text, for an item
    inner = [(place, mistake) for place, mistake in placed if place not in outer]
    errors = [FieldError(pointer=place, detail=_detail(mistake)) for place, mistake in inner[:MOST_MISTAKES]]
    return _answer(errors, [f"{error.pointer}: {error.detail}" for error in errors], len(inner))


def _around(place: str) -> Iterator[str]:
    """Yield the pointers of everything that a place lies inside."""
    while "/" in place:
        place = place.rpartition("/")[0]
        yield place


def of_parameters(mistakes: Sequence[Mapping[str, Any]]) -> RequestError:
    """Return the answer to parameters that are not what they must be."""
    errors = [
        FieldError(parameter=str(mistake["loc"][1]) if len(mistake["loc"]) > 1 else None, detail=_detail(mistake))
        for mistake in mistakes[:MOST_MISTAKES]
    ]
    return _answer(errors, [f"the parameter {error.parameter}: {error.detail}" for error in errors], len(mistakes))


def _answer(errors: list[FieldError], sentences: Sequence[str], n_mistakes: int) -> RequestError:
    more = f"; and {n_mistakes - 1} more" if n_mistakes > 1 else ""
    return RequestError(INVALID, f"{sentences[0]}{more}", errors=errors)


def pointer_to(place: Sequence[int | str], body: Any, *, kind: str) -> str:
    """Return the JSON pointer of a place in a body, behind `#`.

    A place as pydantic names it also holds the kind of value that was tried (`platemaps.str`): what the body does not
    hold is left out, unless it is the missing or unknown field itself.
    """
    parts: list[int | str] = []
    value = body
    for index, part in enumerate(place):
        is_held = part in value if isinstance(value, dict) else isinstance(part, int) and _has(value, part)
        if is_held:
            value = value[part]
        elif not (index == len(place) - 1 and kind == "missing"):
            continue
        parts.append(part)
    return pointer(parts)


def pointer(parts: Iterable[int | str]) -> str:
    """Return the JSON pointer of a place, behind `#`."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _has(value: Any, index: int) -> bool:
    return isinstance(value, list) and index < len(value)


def _detail(mistake: Mapping[str, Any]) -> str:
    if mistake["type"] == "extra_forbidden":
        near = fields_near(str(mistake["loc"][-1]))
        return "is not a field" + (f"; did you mean {' or '.join(near)}?" if near else "")
    if mistake["type"] == "missing":
        return "is missing"
    came = mistake["input"]
    shown = f", got {ascii(came)[:_SHOWN]}" if isinstance(came, (str, int, float, bool, type(None))) else ""
    said = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{said[:1].lower()}{said[1:]}{shown}"


def nearest(name: str, known: Sequence[str]) -> str:
    """Return which name was probably meant, for messages."""
    near = difflib.get_close_matches(name[:100], known, n=2)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f", which knows {', '.join(known)}" if known else ", which knows none"
