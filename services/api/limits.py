"""Refuses bodies that are too large while they arrive, however large they say they are."""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import TOO_LARGE, RequestError, problem_response

MAX_BODY_BYTES = 1 << 20
"""A SCREEN.yaml of a thousand plates is a tenth of this."""

_DRAINED_BYTES = 4 << 20
_DRAINED_SECONDS = 2.0
"""What is read of a refused body and thrown away: a client that still writes would not see why it was refused."""


class BodyLimit:
    """Answers 413 to bodies over a mebibyte, of which no more than that is kept."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > MAX_BODY_BYTES:
            await _refuse(request, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY_BYTES:
                raise _TooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLarge:
            await _refuse(request, receive, send)


class _TooLarge(Exception):  # noqa: N818 - a signal between two functions
    pass


async def _refuse(request: Request, receive: Receive, send: Send) -> None:
    """Answer, read on for a moment, and only then end: who still writes can read the answer before the line is cut."""
    response = problem_response(
        request,
        RequestError(
            TOO_LARGE,
            f"a body of at most {MAX_BODY_BYTES:,} bytes was expected, but a larger one came; images stay where they "
            "were delivered, and only their URIs are sent",
            headers={"Connection": "close"},
        ),
    )
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    await _drain(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    left, give_up = _DRAINED_BYTES, time.monotonic() + _DRAINED_SECONDS
    while left > 0 and (seconds := give_up - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(receive(), seconds)
        except TimeoutError:
            return
        left -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return
