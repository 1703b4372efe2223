"""Ends connections that hold a place and ask for nothing: a process has only so many."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS_OF_A_HEAD = 30.0
"""How long the first lines of a request may take, and what is left of a body that was answered already."""


class Attentive(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, which waits for the head of a request for ever."""

    seconds = SECONDS_OF_A_HEAD
    _next_look: asyncio.TimerHandle | None = None
    _seen: object = None
    """The request that was answered last when it was looked the last time; None of a new connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to look now and then."""
        super().connection_made(transport)
        self._next_look = self.loop.call_later(self.seconds, self._look, False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def _look(self, has_waited: bool) -> None:
        """End the connection if no request is under way, and none came since the last look."""
        waits = self.cycle is None or self.cycle.response_complete
        if waits and (self.cycle is None or (has_waited and self.cycle is self._seen)):
            self.transport.close()
            return
        self._seen = self.cycle
        self._next_look = self.loop.call_later(self.seconds, self._look, waits)
