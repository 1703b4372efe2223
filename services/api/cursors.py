"""Signs where a page ends, so that a client can go on from there and nobody can ask for what was never offered."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from hcs.errors import NotFoundError

_MAC_BYTES = 16
LONGEST_CURSOR = 500


Position = tuple[Any, ...]
"""Behind what a page begins: the key of a row, or which results and how many of their rows."""


class Cursors:
    """Makes cursors and reads them; every process that serves one catalog takes the cursors of the others."""

    def __init__(self, secret: bytes) -> None:
        """Keep the secret that they are signed with."""
        self._secret = secret

    def issue(self, position: Position, *, query: Mapping[str, Any]) -> str:
        """Return the cursor of a position in the answer to a query, another one for every query.

        Args:
            position: Where the next page begins.
            query: What was asked, without limit and cursor.
        """
        payload = json.dumps([_digest(query), *position], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(payload) + payload).decode().rstrip("=")

    def read(self, cursor: str, *, query: Mapping[str, Any]) -> Position:
        """Return the position that a cursor stands for.

        Raises:
            NotFoundError: If it was not made here, or for another query.
        """
        try:
            content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _unknown() from error
        mac, payload = content[:_MAC_BYTES], content[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise _unknown()
        digest, *position = json.loads(payload)
        if digest != _digest(query):
            raise _unknown()
        return tuple(position)

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, payload, hashlib.sha256)[:_MAC_BYTES]


def _digest(query: Mapping[str, Any]) -> str:
    text = json.dumps(query, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _unknown() -> NotFoundError:
    return NotFoundError(
        "a cursor is `next_cursor` of the page before, with the same query and the same results, but the one that came "
        "is none; ask for the first page again, without a cursor"
    )


def gone() -> NotFoundError:
    """Return the error of a cursor into results that are not there any more."""
    return _unknown()
