"""What a unit has cost so far, and whether it should stop."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

from hcs.errors import CancelledError


@dataclass
class Stopwatch:
    """CPU seconds of this thread, by stop of the walk."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def time(self, stop: str) -> Iterator[None]:
        """Add the CPU seconds of the block to a stop."""
        start = time.thread_time()
        try:
            yield
        finally:
            self.seconds[stop] += time.thread_time() - start


def stop_if(cancelled: Event) -> None:
    """Raise if the work was asked to stop.

    Raises:
        CancelledError: If it was.
    """
    if cancelled.is_set():
        raise CancelledError("the run was interrupted; what is finished is kept, and the same command resumes it")
