"""Independent pieces of work on as many threads as the process may use; numpy lets go of the interpreter in between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_threads(function: Callable[[Item], Result], items: Iterable[Item], *, n_threads: int | None) -> list[Result]:
    """Return the function's results in the order of the items, whatever thread got to them first.

    Args:
        function: Touches nothing that its call for another item touches.
        items: The pieces, cut without a look at the number of threads, so that the results cannot depend on it.
        n_threads: None is one for every core that the process may use.
    """
    pieces = list(items)
    at_once = min(n_threads or len(os.sched_getaffinity(0)), len(pieces))
    if at_once < 2:
        return [function(piece) for piece in pieces]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(function, pieces))
