"""Reads the body of a request as JSON, strictly: what one reader takes for something else than another is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import Request

from schemas.api import FieldError
from services.api.problems import INVALID, NOT_JSON, TOO_SLOW, RequestError

SECONDS_OF_A_BODY = 30.0
MOST_DIGITS = 300


async def json_object(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises:
        RequestError: If it says to be something else, does not arrive, or is no JSON object: a key given twice, NaN,
            and numbers of more than 300 digits are none.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if said != "application/json":
        raise RequestError(NOT_JSON, f"the content type application/json is expected, but {said[:80]!r} came")
    try:
        async with asyncio.timeout(SECONDS_OF_A_BODY):
            data = await request.body()
    except TimeoutError as error:
        raise RequestError(
            TOO_SLOW, f"the body did not arrive within {SECONDS_OF_A_BODY:.0f} s; send it again"
        ) from error
    return parse_object(data)


def parse_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object that bytes spell; as `json_object`."""
    try:
        content = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole
        )
    except RecursionError:
        raise _refusal("a body with less depth is expected") from None
    except ValueError as error:
        raise _refusal(f"JSON in UTF-8 is expected, but the body is none: {error}") from None
    if not isinstance(content, dict):
        raise _refusal(f"a JSON object is expected, but {type(content).__name__} came")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice[:80]!r} is given twice")
    return content


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError("a number has too many digits")
    return int(text)


def _refusal(detail: str) -> RequestError:
    return RequestError(INVALID, detail, errors=[FieldError(pointer="#", detail=detail)])
