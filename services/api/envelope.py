"""What stands around every request: its number, the log line, headers that hold for all answers, and last resorts."""

from __future__ import annotations

import time
import uuid
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hcs.errors import HcsError
from services.api.problems import INTERNAL, UNAVAILABLE, RequestError, explained, kind_of, problem_response, unexplained

REQUEST_ID = "X-Request-Id"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""An answer is data: no browser is to run or embed any of it."""

CLIENT_LEFT = 499

log = structlog.get_logger("services.api")


class Envelope:
    """Numbers requests, logs each in one line, and answers what nobody else could."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand around an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.request_id = uuid.uuid4().hex
        answer = _Answer(request, send)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = CLIENT_LEFT
        except Exception as error:  # noqa: BLE001 - the last one who can answer
            await _answer_error(request, error, answer, receive)
        finally:
            _write_line(request, answer.status, time.perf_counter() - began)


class _Answer:
    """Sends an answer with the common headers, and remembers its status."""

    def __init__(self, request: Request, send: Send) -> None:
        self.status: int | None = None
        self._request, self._send = request, send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self._request.state.request_id
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


async def _answer_error(request: Request, error: Exception, answer: _Answer, receive: Receive) -> None:
    """Answer with the problem that an error is; the log alone says all of it."""
    number = request.state.request_id
    if isinstance(error, RequestError):
        told = error
    elif isinstance(error, HcsError):
        told = explained(error)
        if kind_of(error) in {INTERNAL, UNAVAILABLE}:
            log.error("request failed", request_id=number, reason=str(error), exc_info=kind_of(error) is INTERNAL)
    else:
        told = unexplained()
        log.error("request failed", request_id=number, exc_info=error)
    if answer.status is None:
        await problem_response(request, told)(request.scope, receive, answer.send)
    else:
        log.error("answer broke off", request_id=number, reason=type(error).__name__)


def _write_line(request: Request, status: int | None, seconds: float) -> None:
    """Write one line; no header and no query is in it, and of the key only the part that is no secret."""
    key: Any = getattr(request.state, "key", None)
    log.info(
        "request",
        request_id=request.state.request_id,
        method=request.method,
        path=request.url.path,
        status=status,
        milliseconds=round(1000 * seconds, 1),
        key=getattr(key, "prefix", None),
        client=request.client.host if request.client else None,
    )
