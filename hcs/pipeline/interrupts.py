"""A request to end does what Ctrl-C does, once: what is put away meanwhile is not disturbed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from hcs.catalog import interrupt


@dataclass
class Request:
    """Whether somebody asked to end: known here also where the exception was lost on its way."""

    has_come: bool = False


@contextmanager
def interrupts(request: Request | None = None) -> Iterator[Request]:
    """Raise `KeyboardInterrupt` at the first SIGTERM or SIGINT; a second one while things are put away does nothing.

    It is raised at the end of a transaction where one is under way.

    Args:
        request: What takes note of it; a new one, if none is given.
    """
    noted = request or Request()

    def come(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        noted.has_come = True
        interrupt()

    before = {number: signal.signal(number, come) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
