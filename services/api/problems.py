"""Says what went wrong as RFC 9457 wants it: one kind, one status, one paragraph, and where in the request it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from hcs.errors import (
    ConflictError,
    HcsError,
    InputRejectedError,
    NotAllowedError,
    NotFoundError,
    StorageError,
    UsageError,
)
from schemas.api import FieldError, Problem

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its status, the word that programs match on, and its title."""

    status: int
    word: str
    title: str


BAD_REQUEST = Kind(400, "bad-request", "The request cannot be read")
NO_KEY = Kind(401, "no-key", "A valid key is needed")
NOT_ALLOWED = Kind(403, "not-allowed", "That is not allowed")
NOT_FOUND = Kind(404, "not-found", "There is no such thing")
NO_METHOD = Kind(405, "method-not-allowed", "The path does not know this method")
TOO_SLOW = Kind(408, "too-slow", "The body did not arrive in time")
CONFLICT = Kind(409, "conflict", "What is there does not allow it")
GONE = Kind(410, "gone", "The images are not there any more")
TOO_LARGE = Kind(413, "too-large", "The body is too large")
NOT_JSON = Kind(415, "not-json", "The body is not JSON")
INVALID = Kind(422, "invalid", "The request does not say what it must")
BUSY = Kind(429, "busy", "Too many ask for that at once")
INTERNAL = Kind(500, "internal", "Something went wrong here")
UNAVAILABLE = Kind(503, "unavailable", "The catalog cannot be reached")

KINDS = (
    BAD_REQUEST, NO_KEY, NOT_ALLOWED, NOT_FOUND, NO_METHOD, TOO_SLOW, CONFLICT, GONE, TOO_LARGE, NOT_JSON, INVALID,
    BUSY, INTERNAL, UNAVAILABLE,
)  # fmt: skip
BY_STATUS = {kind.status: kind for kind in KINDS}

_OF_ERRORS: tuple[tuple[type[HcsError], Kind], ...] = (
    (NotFoundError, NOT_FOUND),
    (ConflictError, CONFLICT),
    (NotAllowedError, NOT_ALLOWED),
    (UsageError, INVALID),
    (InputRejectedError, INVALID),
    (StorageError, UNAVAILABLE),
)
"""The first that fits. What is none of them is ours, and nobody else's business."""

_HIDDEN = {
    INTERNAL: "The request was refused by an error of the server; its log says more beside the request id.",
    UNAVAILABLE: "The catalog or a file of it cannot be read or written now; nothing was done by halves. Ask again in "
    f"{RETRY_AFTER_SECONDS} seconds; the server's log says more beside the request id.",
}
"""What is said instead of messages that name places of the server."""


@dataclass(eq=False)
class RequestError(Exception):
    """A request that is answered with a problem."""

    kind: Kind
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def kind_of(error: HcsError, *, reads: bool = False) -> Kind:
    """Return which kind of problem an error is.

    Args:
        error: Any that can be explained.
        reads: Whether it came of reading what a run had read before: what was good then and is not now is gone.
    """
    if reads and isinstance(error, InputRejectedError):
        return GONE
    return next((kind for family, kind in _OF_ERRORS if isinstance(error, family)), INTERNAL)


def explained(error: HcsError, *, reads: bool = False) -> RequestError:
    """Return what a request is answered with where this error came of it."""
    kind = kind_of(error, reads=reads)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if kind is UNAVAILABLE else {}
    return RequestError(kind, _HIDDEN.get(kind, str(error)), headers=headers)


def unexplained() -> RequestError:
    """Return what a request is answered with where nobody knows why it failed."""
    return RequestError(INTERNAL, _HIDDEN[INTERNAL])


def problem_response(request: Request, error: RequestError) -> Response:
    """Return the answer that tells a problem."""
    problem = Problem(
        type=f"urn:hcs:{error.kind.word}",
        title=error.kind.title,
        status=error.kind.status,
        detail=printable(error.detail),
        instance=printable(request.url.path),
        request_id=request.state.request_id,
        errors=tuple(error.errors),
    )
    content = problem.model_dump_json(exclude_none=True, exclude_defaults=False)
    return Response(content, status_code=error.kind.status, headers=dict(error.headers), media_type=MEDIA_TYPE)


def printable(text: str) -> str:
    """Return a text that JSON can hold, also where it came in bytes that are no Unicode."""
    return text.encode("utf-8", "backslashreplace").decode()
