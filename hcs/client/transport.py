"""Sends requests, again where that is safe, and reads answers as records."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from hcs import __version__
from hcs.client.access import VERSION, is_loopback
from hcs.client.answers import whole_answer
from hcs.client.pauses import pause_before, retry_after
from hcs.errors import (
    AnswerError,
    ApiConflictError,
    ApiError,
    ApiInvalidError,
    ApiKeyError,
    ApiNotAllowedError,
    ApiNotFoundError,
    HcsError,
    NoAnswerError,
)
from schemas.api import Problem

PASSING = frozenset({429, 502, 503, 504})
"""Statuses that another try may not meet again."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_OF_STATUS: dict[int, type[ApiError]] = {
    401: ApiKeyError,
    403: ApiNotAllowedError,
    404: ApiNotFoundError,
    409: ApiConflictError,
    422: ApiInvalidError,
}
_SHOWN = 300

Parameter = str | int | float | bool | None
Answer = TypeVar("Answer", bound=BaseModel)


class Transport:
    """A line to one API. `repr` and messages hold no key."""

    def __init__(self, address: httpx.URL, *, key: str | None, timeout: float, patience: float) -> None:
        """Prepare a line; nothing is sent."""
        self.url = str(address)
        self.patience = patience
        self._timeout = timeout
        headers = {"User-Agent": f"hcs/{__version__}"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        is_here = is_loopback(address.host)  # what is said to this machine takes no way round by a proxy
        self._http = httpx.Client(headers=headers, timeout=timeout, trust_env=not is_here, follow_redirects=False)

    def close(self) -> None:
        """End the line."""
        self._http.close()

    def ask(
        self,
        answer: type[Answer],
        method: str,
        *path: str,
        parameters: Mapping[str, Parameter] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,
    ) -> Answer:
        """Return what a request is answered with; `send` says the rest.

        Raises:
            AnswerError: If the answer is something else.
        """
        response = self.send(method, *path, parameters=parameters, headers=headers, body=body, timeout=timeout)
        return self.read(answer, response)

    def read(self, answer: type[Answer], response: httpx.Response) -> Answer:
        """Return the record that an answer is.

        Raises:
            AnswerError: If it is something else.
        """
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            (first, *_) = error.errors(include_url=False, include_input=False)
            place = ".".join(map(str, first["loc"])) or "the whole"
            asked = f"{response.request.method} {response.url.path}"
            raise AnswerError(
                f"a {answer.__name__} of the API is expected of {asked}, but what {self.url} answered is none "
                f"({place}: {first['msg']}). Look whether the URL is that of `hcs serve`, and whether its version is "
                "that of this client."
            ) from None

    def send(
        self,
        method: str,
        *path: str,
        parameters: Mapping[str, Parameter] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        """Return the answer to a request that was carried out.

        A GET, and what comes with an Idempotency-Key, is sent again while the API cannot be reached, the line breaks,
        or the status is 429, 502, 503 or 504. What was never sent is, too, whatever it is. All of it ends when the
        next try would come after the patience.

        Args:
            method: `GET` and so on.
            path: Parts behind /v1, which may hold anything.
            parameters: Of the query; those that are None are left out.
            headers: Further ones.
            body: Sent as JSON where it is not None.
            timeout: Seconds to wait for the next byte of the answer; None as the line has it.

        Raises:
            ApiError: If the answer is a problem.
            AnswerError: If the answer leads elsewhere, or does not end.
            NoAnswerError: If there was none within the patience.
        """
        request = self._http.build_request(
            method,
            self.url + VERSION + "".join(map(_segment, path)),
            params={name: value for name, value in (parameters or {}).items() if value is not None},
            headers=headers,
            json=body,
            timeout=self._http.timeout if timeout is None else timeout,
        )
        is_repeatable = method == "GET" or "Idempotency-Key" in request.headers
        give_up = time.monotonic() + self.patience
        for attempt in count(2):
            response: httpx.Response | None = None
            error: HcsError
            try:
                response = whole_answer(self._http.send(request, stream=True), timeout=self._timeout)
            except httpx.RequestError as failure:
                error = self._no_answer(method, request.url.path, failure, attempt - 1)
                is_broken_line = isinstance(failure, httpx.TransportError)
                may_repeat = (is_repeatable and is_broken_line) or isinstance(failure, _NEVER_SENT)
            else:
                if response.is_success:
                    return response
                error = _explained(response)
                may_repeat = is_repeatable and response.status_code in PASSING
            pause = _pause(response, attempt)
            if not may_repeat or time.monotonic() + pause > give_up:
                raise error
            time.sleep(pause)
        raise AssertionError("counting has no end")

    def _no_answer(self, method: str, path: str, failure: httpx.RequestError, tries: int) -> NoAnswerError:
        reason = " ".join(str(failure).split()) or type(failure).__name__
        tried = f"; it was tried {tries} times" if tries > 1 else ""
        error = NoAnswerError(
            f"an answer of {self.url} to {method} {path} is expected, but none came: {reason}{tried}. Look whether "
            "`hcs serve` runs there."
        )
        error.__cause__ = failure
        return error


def _pause(response: httpx.Response | None, attempt: int) -> float:
    asked = None if response is None else retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
    return pause_before(attempt, asked=asked, share=random.random())  # noqa: S311 - no secret


def _segment(part: str) -> str:
    """Return a part of a path, quoted, also where it would mean the folder above."""
    quoted = quote(part, safe="")
    return "/" + (quoted.replace(".", "%2E") if set(quoted) == {"."} else quoted)


def _explained(response: httpx.Response) -> HcsError:
    """Return the error that an answer is which is no success."""
    status = response.status_code
    if status < 400:
        return AnswerError(
            f"an answer of {response.url.path} is expected, but the server leads elsewhere (status {status}), where no "
            "key is sent. Give the URL that it leads to, if that is the API."
        )
    if status >= 600:
        return AnswerError(
            f"an answer of {response.url.path} is expected, but its status is {status}, which HTTP does not have. Look "
            "whether the URL is that of `hcs serve`."
        )
    problem = _problem(response)
    return _OF_STATUS.get(status, ApiError)(problem)


def _problem(response: httpx.Response) -> Problem:
    """Return what an answer says is wrong; what stands between the API and the client says it in its own form."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        title = _title(response.status_code)
        return Problem(
            type="about:blank",
            title=title,
            status=response.status_code,
            detail=f"{title}: no problem as the API tells them, but {_beginning(response)!a}",
            instance=response.url.path,
            request_id=response.headers.get("X-Request-Id", "")[:100],
        )


def _beginning(response: httpx.Response) -> str:
    """Return the first characters of a body, whatever encoding it says it has: `base64` is one to Python."""
    return response.content[:_SHOWN].decode("utf-8", "replace")


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"
