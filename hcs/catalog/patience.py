"""Waits for a database that is being restarted, and does again what it interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

from hcs.errors import DatabaseLostError, StorageError

PATIENCE_SECONDS = 10.0
"""How long a lost database is waited for, from the moment when that was noticed."""

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5

P = ParamSpec("P")
T = TypeVar("T")


def patient(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function, repeated from its beginning while the database is lost, for ten seconds at most.

    It holds one transaction, and reads no iterator that is used up: a lost transaction was not kept, so that the
    second time is the first that counts.
    """

    @wraps(function)
    def waiting(*arguments: P.args, **options: P.kwargs) -> T:
        pauses: Iterator[None] | None = None
        while True:
            try:
                return function(*arguments, **options)
            except DatabaseLostError as error:
                pauses = pauses or pausing()
                if next(pauses, error) is error:
                    raise StorageError(
                        f"{str(error).rstrip('.')}; it was tried again for {PATIENCE_SECONDS:.0f} s. Is the server "
                        "running, and does this machine reach it? What was committed is kept: give the same command "
                        "again when it is."
                    ) from error

    return waiting


def pausing() -> Iterator[None]:
    """Yield after ever longer pauses, until the patience is over."""
    give_up, pause = time.monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
    while (left := give_up - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        yield
