"""Reads an answer to its end, if it has one: what serves the API ends each, and something else may never."""

from __future__ import annotations

import time

import httpx

from hcs.errors import AnswerError

MOST_BYTES = 256 << 20
"""Far more than any answer of the API, unpacked; a few kilobytes can be packed zeros without end."""

TIMEOUTS_OF_AN_ANSWER = 10
"""The whole of an answer may take so many times what its next byte may."""

_OF_THE_LINE = ("Content-Encoding", "Content-Length", "Transfer-Encoding")


def whole_answer(response: httpx.Response, *, timeout: float) -> httpx.Response:
    """Return an answer whose body was read, of one whose body is still to come. The line is free afterwards.

    Raises:
        AnswerError: If it has no end that one could wait for.
        httpx.RequestError: If the line breaks.
    """
    give_up = time.monotonic() + TIMEOUTS_OF_AN_ANSWER * timeout
    content = bytearray()
    try:
        for piece in response.iter_bytes():
            content += piece
            if len(content) > MOST_BYTES or time.monotonic() > give_up:
                raise AnswerError(
                    f"an answer of at most {MOST_BYTES:,} bytes within {TIMEOUTS_OF_AN_ANSWER * timeout:g} s is "
                    f"expected of {response.url.path}, but {len(content):,} came and it goes on. Look whether the URL "
                    "is that of `hcs serve`; a slow line needs a longer `timeout`."
                )
    finally:
        response.close()
    headers = response.headers.copy()
    for name in _OF_THE_LINE:  # they are those of what was unpacked
        headers.pop(name, None)
    return httpx.Response(response.status_code, headers=headers, content=bytes(content), request=response.request)
