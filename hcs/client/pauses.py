"""How long to wait before a request is sent again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


def pause_before(attempt: int, *, asked: float | None, share: float) -> float:
    """Return the seconds before an attempt.

    Args:
        attempt: 2 for the first repetition. Each pause may be twice as long as the one before, up to ten seconds.
        asked: What the server asked for; it is kept, however long, and a little is added.
        share: In [0, 1), at random: many clients of a server that comes back do not come back at once.
    """
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt - 2, 20))
    if asked is None:
        return longest * (0.5 + share / 2)
    return asked + share * min(longest, 1.0)


def retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a header `Retry-After` asks for, in either of its forms; None if it says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year may have any number of digits
        return None
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return max((aware - now).total_seconds(), 0.0)
