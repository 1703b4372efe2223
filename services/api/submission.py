"""Reads a submitted screen: first whether all its places may be read at all, then whether it says what it must."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from hcs.errors import NotAllowedError
from hcs.io.roots import Roots
from hcs.screenfile import FILL_IN
from schemas.api import FieldError
from schemas.screen import EncoderChoice, PlateEntry, ScreenConfig
from services.api import mistakes
from services.api.problems import INVALID, NOT_ALLOWED, RequestError

Path = tuple[int | str, ...]


def read_screen(body: dict[str, Any], roots: Roots) -> ScreenConfig:
    """Return the screen that a body describes, its places resolved.

    Places are looked at first: what is wrong elsewhere in the body is nobody's way around that.

    Raises:
        RequestError: If a place lies outside the roots (403), or a field is not what it must be (422).
    """
    allowed = {place: _allowed(place, uri, body, roots) for place, uri in places_in(body)}
    try:
        config = ScreenConfig.model_validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        raise mistakes.of_body(error.errors(include_url=False, include_context=False), body) from error
    _refuse_unfilled(body)
    return _with_places(config, {place: found for place, found in allowed.items() if found is not None})


def request_digest(body: dict[str, Any], **options: Any) -> str:
    """Return the hash of what a request says, however its JSON is written."""
    text = json.dumps([body, options], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def places_in(body: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield every text of a body that is read as a place, with where it stands; other kinds of values are no places."""
    for name, key in (("plates", "uri"), ("encoders", "weights")):
        items = body.get(name)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict) and isinstance(item.get(key), str):
                yield (name, index, key), item[key]
    for name in ("platemaps", "annotations"):
        value = body.get(name)
        if isinstance(value, str):
            yield (name,), value
        several = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        yield from (((name, key), item) for key, item in several if isinstance(item, str))


def _allowed(place: Path, uri: str, body: dict[str, Any], roots: Roots) -> str:
    try:
        return roots.resolve(uri.strip())
    except NotAllowedError as error:
        pointer = mistakes.pointer_to(place, body, kind="place")
        raise RequestError(
            NOT_ALLOWED, f"{pointer}: {error}", errors=[FieldError(pointer=pointer, detail=str(error))]
        ) from error


def _refuse_unfilled(value: Any, place: Path = ()) -> None:
    """Refuse what `hcs init` left to a person: a stain of that name would be taken for one."""
    if value == FILL_IN:
        pointer, detail = mistakes.pointer(place), f"{FILL_IN} still stands there; fill it in, or leave the field out"
        raise RequestError(INVALID, f"{pointer}: {detail}", [FieldError(pointer=pointer, detail=detail)])
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        _refuse_unfilled(item, (*place, key))


def _with_places(config: ScreenConfig, found: dict[Path, str]) -> ScreenConfig:
    def entry(index: int, plate: PlateEntry) -> PlateEntry:
        return plate.model_copy(update={"uri": found["plates", index, "uri"]})

    def choice(index: int, encoder: EncoderChoice) -> EncoderChoice:
        return encoder.model_copy(update={"weights": found.get(("encoders", index, "weights"))})

    def several(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: found[name, key] for key in value}
        if isinstance(value, tuple):
            return tuple(found[name, index] for index in range(len(value)))
        return value if value is None else found[(name,)]

    return config.model_copy(
        update={
            "plates": tuple(entry(index, plate) for index, plate in enumerate(config.plates)),
            "encoders": tuple(choice(index, encoder) for index, encoder in enumerate(config.encoders)),
            "platemaps": several("platemaps", config.platemaps),
            "annotations": several("annotations", config.annotations),
        }
    )
