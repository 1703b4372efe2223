"""Work that is done a little before it is asked for, in the order of its items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Iterable[T], *, threads: int) -> Generator[R]:
    """Yield `work(item)` of every item, in their order, computed by threads while the caller is at an earlier one.

    At most `threads` + 1 results wait to be asked for. The threads are daemons: one that hangs in a read does not keep
    the process from ending, as a thread of `ThreadPoolExecutor` would.

    Args:
        work: Called once an item; what it raises is raised where its result is asked for.
        items: Taken one by one as results are asked for.
        threads: At least 1; with 0 everything is done by the caller itself.
    """
    if threads == 0:
        yield from map(work, items)
        return
    todo: SimpleQueue[tuple[T, Future[R]] | None] = SimpleQueue()
    for _ in range(threads):
        Thread(target=_serve, args=(work, todo), name="ahead", daemon=True).start()
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(Future())
            todo.put((item, waiting[-1]))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        for _ in range(threads):
            todo.put(None)


def _serve(work: Callable[[T], R], todo: SimpleQueue[tuple[T, Future[R]] | None]) -> None:
    while (job := todo.get()) is not None:
        item, future = job
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(work(item))
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)
