"""Actions that begin at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from hcs.errors import HcsError


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """What each action returned or raised; all of them begin at the same moment, each in a thread of its own."""
    barrier = Barrier(len(actions))

    def perform(action: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return action()
        except HcsError as error:
            return error

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(perform, actions))
