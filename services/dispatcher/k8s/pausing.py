"""What failed is left alone for a while: ever longer, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass
class Pauses:
    """Until when each thing that failed is left alone."""

    first_seconds: float = 2.0
    longest_seconds: float = 60.0
    _until: dict[Hashable, tuple[float, float]] = field(default_factory=dict)

    def is_over(self, key: Hashable) -> bool:
        """Return whether it may be tried."""
        until, _ = self._until.get(key, (0.0, 0.0))
        return time.monotonic() >= until

    def begin(self, key: Hashable, *, at_least: float | None = None) -> float:
        """Leave it alone from now on; return for how many seconds, which are twice those of the last time.

        Args:
            key: What failed.
            at_least: How long somebody asked for.
        """
        _, last = self._until.get(key, (0.0, 0.0))
        seconds = min(self.longest_seconds, 2 * last if last else self.first_seconds)
        seconds = max(seconds, min(at_least or 0.0, self.longest_seconds))
        self._until[key] = (time.monotonic() + seconds, seconds)
        return seconds

    def end(self, key: Hashable) -> None:
        """Take note that it went well."""
        self._until.pop(key, None)
