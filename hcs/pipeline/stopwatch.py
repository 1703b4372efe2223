"""What a unit has cost so far, how far it is, and whether it should stop."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, get_ident

from hcs.errors import CancelledError
from schemas.work import Steps


@dataclass
class Stopwatch:
    """CPU seconds by stop of the walk, of all threads that work on one unit, and which steps are done and under way.

    A step is one timed block: reading a site, or embedding it with one encoder. Who looks on from outside sees by them
    that a unit moves.
    """

    cancelled: Event = field(default_factory=Event)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    steps: int = 0
    under_way: dict[int, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def time(self, stop: str, place: str = "") -> Iterator[None]:
        """Add the CPU seconds that this thread spends in the block to a stop.

        Args:
            stop: Such as `read`.
            place: Of which the block is a step, such as `A01 site 2`.
        """
        start, thread = time.thread_time(), get_ident()
        with self._lock:
            self.under_way[thread] = f"{stop} {place}".strip()
        try:
            yield
        finally:
            spent = time.thread_time() - start
            with self._lock:
                self.seconds[stop] += spent
                self.steps += 1
                del self.under_way[thread]

    def moved(self) -> Steps:
        """Return how far the work is."""
        with self._lock:
            return Steps(done=self.steps, at=", ".join(sorted(self.under_way.values())))

    def stop_if_cancelled(self) -> None:
        """Raise if the work was asked to stop.

        Raises:
            CancelledError: If it was.
        """
        if self.cancelled.is_set():
            raise CancelledError("the run was interrupted; what is finished is kept, and the same command resumes it")
