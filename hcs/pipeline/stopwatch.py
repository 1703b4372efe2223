"""What a unit has cost so far, how far it is, and whether it should stop."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock

from hcs.errors import CancelledError


@dataclass
class Stopwatch:
    """CPU seconds by stop of the walk, of all threads that work on one unit, and how many steps are done.

    A step is one timed block: reading a site, or embedding it with one encoder. Who looks on from outside sees by them
    that a unit moves.
    """

    cancelled: Event = field(default_factory=Event)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    steps: int = 0
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def time(self, stop: str) -> Iterator[None]:
        """Add the CPU seconds that this thread spends in the block to a stop."""
        start = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - start
            with self._lock:
                self.seconds[stop] += spent
                self.steps += 1

    def stop_if_cancelled(self) -> None:
        """Raise if the work was asked to stop.

        Raises:
            CancelledError: If it was.
        """
        if self.cancelled.is_set():
            raise CancelledError("the run was interrupted; what is finished is kept, and the same command resumes it")
