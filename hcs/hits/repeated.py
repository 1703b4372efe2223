"""Refuses tables in which a well comes twice: it would pass for two replicates."""

from __future__ import annotations

from collections.abc import Sequence

from hcs.errors import InputRejectedError


def refuse_repeated_wells(plates: Sequence[str], wells: Sequence[str]) -> None:
    """Return if every well of a plate comes once.

    Args:
        plates: (N,).
        wells: (N,), names.

    Raises:
        InputRejectedError: If one comes more than once, with the first that does.
    """
    seen: set[tuple[str, str]] = set()
    for place in zip(plates, wells, strict=True):
        if place in seen:
            raise InputRejectedError(f"well {place[1]} of plate {place[0]} comes more than once; wells are tested once")
        seen.add(place)
