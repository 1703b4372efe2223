"""Performs units in this process, a few at a time, each on its own thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

import structlog

from hcs.errors import CancelledError, EngineError, HcsError, StorageError, WeightsError
from hcs.pipeline.workbench import Workbench
from schemas.work import Receipt, UnitOutcome, UnitSpec

log = structlog.get_logger(__name__)


class LocalExecutor:
    """The executor without a cluster: `threads` units at once, each with one thread of the engine.

    The results do not depend on `threads`: a unit never shares a forward with another.
    """

    def __init__(self, *, threads: int) -> None:
        """Make an executor; encoders are loaded when the first unit needs them.

        Args:
            threads: Units performed at once.
        """
        self._threads = threads
        self._cancelled = Event()
        self._bench = Workbench(cancelled=self._cancelled)

    def perform(self, units: Iterable[UnitSpec]) -> Generator[UnitOutcome]:
        """Yield one outcome a unit, in the order in which they finish.

        One unit more than there are threads is taken from the iterable, so that no thread waits for a commit.
        Closing the iterator (or an interrupt) stops the running units between two sites.

        Raises:
            StorageError: If a part cannot be written: no later unit could be either.
        """
        pending: dict[Future[Receipt], UnitSpec] = {}
        source = iter(units)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="unit") as pool:
            try:
                exhausted = False
                while pending or not exhausted:
                    while not exhausted and len(pending) <= self._threads:
                        spec = next(source, None)
                        exhausted = spec is None
                        if spec is not None:
                            pending[pool.submit(self._bench.perform, spec)] = spec
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        yield outcome_of(pending.pop(future), future.result)
            finally:
                self._cancelled.set()
        self._cancelled.clear()


def outcome_of(spec: UnitSpec, perform: Callable[[], Receipt]) -> UnitOutcome:
    """Return the outcome of a unit: its receipt, or the reason why there is none.

    Raises:
        StorageError: A disk that is full or closed is not the unit's fault.
        WeightsError: Nor are weights that do not fit: no unit could be done with them.
        EngineError: Nor is an engine that cannot honour the pin.
        CancelledError: The unit was asked to stop; it is not a failure either.
    """
    try:
        return UnitOutcome(key=spec.key, receipt=perform())
    except (StorageError, CancelledError, WeightsError, EngineError):
        raise
    except HcsError as error:
        return UnitOutcome(key=spec.key, reason=str(error))
    except Exception as error:
        log.debug("unit raised", plate=spec.plate, key=spec.key, exc_info=True)
        return UnitOutcome(key=spec.key, reason=f"{type(error).__name__}: {error}")
