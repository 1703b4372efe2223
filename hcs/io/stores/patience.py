"""Asks a store again that is busy or lost an answer, a few times and not for ever."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

T = TypeVar("T")

WAITS = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Seconds between one attempt and the next, each a quarter shorter or longer: many readers do not come back at once."""
PATIENCE_SECONDS = 20.0
"""No attempt begins later than this after the first."""

log = structlog.get_logger(__name__)


def patiently(
    ask: Callable[[], T],
    *,
    is_passing: Callable[[Exception], bool],
    waits: Sequence[float] = WAITS,
    patience: float = PATIENCE_SECONDS,
) -> T:
    """Return what `ask` returns, asked again while it raises what may pass.

    Args:
        ask: Safe to repeat.
        is_passing: Whether an exception may not come again.
        waits: Seconds before each further attempt.
        patience: Seconds after which no further attempt begins.
    """
    give_up = time.monotonic() + patience
    for wait in waits:
        try:
            return ask()
        except Exception as error:
            pause = wait * random.uniform(0.75, 1.25)  # noqa: S311 - nothing secret
            if not is_passing(error) or time.monotonic() + pause > give_up:
                raise
            log.info("a store is asked again", reason=type(error).__name__, seconds=round(pause, 2))
            time.sleep(pause)
    return ask()
