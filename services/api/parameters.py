"""The parameters of requests: read strictly, and those that no route knows are refused."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request

from hcs.catalog.names import NAME_LIMIT
from schemas.api import LARGEST_PAGE, FieldError
from services.api.cursors import LONGEST_CURSOR
from services.api.mistakes import MOST_MISTAKES, nearest
from services.api.problems import INVALID, RequestError

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def exactly(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    """Return a check of how a query spells a value: pydantic alone takes ` 1_0 ` for a number."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError(f"{what} is expected")
        return value

    return BeforeValidator(check)


WHOLE = exactly(_WHOLE, "a whole number")
NUMBER = exactly(_NUMBER, "a number")
Flag = Annotated[bool, exactly(re.compile("true|false"), "true or false")]

RunPath = Annotated[str, Path(max_length=40, description="A run, such as `run-12`, or `latest`.", examples=["run-1"])]
PlatePath = Annotated[str, Path(max_length=NAME_LIMIT, description="Barcode of a plate.", examples=["P1"])]
WellPath = Annotated[str, Path(max_length=20, description="A well in any spelling.", examples=["A01"])]
RunQuery = Annotated[
    str, Query(max_length=40, description="A run, such as `run-12`; `latest` is the one that finished last.")
]
RunOfPlate = Annotated[
    str | None,
    Query(max_length=40, description="A run, such as `run-12`; by default the newest of the plate that finished."),
]
ProfileQuery = Annotated[
    str,
    Query(max_length=NAME_LIMIT, description="Profile that the calls were made on: `combined`, or an encoder's name."),
]
Limit = Annotated[
    Annotated[int, Field(ge=1, le=LARGEST_PAGE), WHOLE] | None, Query(description="Rows of a page, at most.")
]
Cursor = Annotated[
    str | None, Query(max_length=LONGEST_CURSOR, description="`next_cursor` of the page before, with the same query.")
]


async def only_known_parameters(request: Request) -> None:
    """Refuse parameters that the route does not have, or has once: a typing error would change the answer silently."""
    known = known_parameters(request)
    given = Counter(name for name, _ in request.query_params.multi_items())
    unknown = [name for name in given if name not in known][:MOST_MISTAKES]  # to look for what was meant takes time
    errors = [
        FieldError(parameter=name[:80], detail=f"is no parameter of this path{nearest(name, known)}")
        for name in unknown
    ]
    errors += [
        FieldError(parameter=name, detail=f"is given {count} times; give it once")
        for name, count in given.items()
        if name in known and count > 1
    ]
    if errors:
        first = errors[0]
        raise RequestError(INVALID, f"the parameter {first.parameter!r} {first.detail}", errors=errors)


def known_parameters(request: Request) -> tuple[str, ...]:
    """Return the query parameters of the route that a request came to, as its description names them."""
    return _query_parameters(request.app).get(request.scope["route"].name, ())


@lru_cache(maxsize=4)
def _query_parameters(app: FastAPI) -> dict[str, tuple[str, ...]]:
    """Return operation -> names, made once an application."""
    operations = [operation for item in app.openapi()["paths"].values() for operation in item.values()]
    return {
        operation["operationId"]: tuple(
            item["name"] for item in operation.get("parameters", ()) if item["in"] == "query"
        )
        for operation in operations
    }
