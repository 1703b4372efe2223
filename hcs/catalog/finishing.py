"""A request to end waits for the end of a transaction.

An exception that a signal raises in the middle of one comes where no library expects it: SQLAlchemy may turn it into
another one, or leave the transaction open as long as the exception lives, so that this process waits for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Transactions:
    """How many transactions the main thread is in, the one that signals come to; and whether a request waits."""

    depth = 0
    is_awaited = False


_OURS = _Transactions()


@contextmanager
def finishing() -> Iterator[None]:
    """Let a request to end wait until the context is over.

    Raises:
        KeyboardInterrupt: Then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _OURS.depth += 1
    try:
        yield
    finally:
        _OURS.depth -= 1
        if not _OURS.depth and _OURS.is_awaited:
            _OURS.is_awaited = False
            raise KeyboardInterrupt


def interrupt() -> None:
    """Raise `KeyboardInterrupt`, now or at the end of the transaction that the main thread is in: for its signals."""
    if not _OURS.depth:
        raise KeyboardInterrupt
    _OURS.is_awaited = True
