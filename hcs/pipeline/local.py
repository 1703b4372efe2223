"""Performs units in this process, a few at a time, each on its own thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread, current_thread

import structlog

from hcs.embedding.engine import best_device, pin_for
from hcs.errors import HcsError
from hcs.pipeline.handshake import accept_answer, answer_token, offer_token
from hcs.pipeline.outcomes import outcome_of
from hcs.pipeline.stopwatch import Stopwatch
from hcs.pipeline.workbench import Workbench
from schemas.work import RunPin, Steps, UnitOutcome, UnitSpec, WorkOrder

log = structlog.get_logger(__name__)

SECONDS_TO_STOP = 5.0
"""How long closing waits for units to come to their next step; what hangs is left to the end of the process."""


@dataclass
class _Job:
    """One unit that was taken: which thread is at it, and whether another has taken that thread's place."""

    spec: UnitSpec
    watch: Stopwatch = field(default_factory=Stopwatch)
    thread: Thread | None = None
    is_replaced: bool = False


class LocalExecutor:
    """The executor without a cluster: `threads` units at once, each with one thread of the engine.

    The results do not depend on `threads`: a unit never shares a forward with another. A thread cannot be killed: one
    whose unit is abandoned while it hangs is left behind, another takes its place, and it ends with the process.
    """

    def __init__(self, *, threads: int, readers: int = 1, device: str = "cpu") -> None:
        """Make an executor; encoders are loaded when it is opened.

        Args:
            threads: Units performed at once.
            readers: Threads a unit that read ahead of the engine.
            device: `cpu`, `cuda`, or `auto`: cuda where there is one.
        """
        self._threads = threads
        self._device = best_device() if device == "auto" else device
        self._bench = Workbench(readers=readers)
        self._jobs: dict[str, _Job] = {}
        self._todo: SimpleQueue[_Job | None] = SimpleQueue()
        self._back: SimpleQueue[tuple[_Job, UnitOutcome | HcsError]] = SimpleQueue()
        self._workers: list[Thread] = []

    def pin(self, n_planes_a_site: int) -> RunPin:
        """Return the pin that this process honours."""
        return pin_for(n_planes_a_site, device="cuda" if self._device == "cuda" else "cpu")

    def open(self, order: WorkOrder) -> None:
        """Load the encoders, try the parts folder and start the threads.

        Raises:
            HcsError: As `schemas.work.Executor`.
        """
        with offer_token(order) as token:
            accept_answer(order, answer_token(order, token))
        with ThreadPoolExecutor(1) as own:  # the engine's number of threads is each thread's: the caller keeps its own
            own.submit(self._bench.load, order.encoders, pin=order.pin).result()
        for _ in range(self._threads - len(self._workers)):
            self._start_worker()

    def capacity(self) -> int:
        """Return how many units more it takes: one more than there are threads, so that none waits for a commit."""
        return max(0, self._threads + 1 - len(self._jobs))

    def submit(self, spec: UnitSpec) -> None:
        """Take a unit."""
        job = _Job(spec)
        self._jobs[spec.key] = job
        self._todo.put(job)

    def wait(self, seconds: float) -> Sequence[UnitOutcome]:
        """Return the outcomes that came, after `seconds` at the latest.

        Raises:
            StorageError: If a part cannot be written: no later unit could be either.
            WeightsError: If weights are not those of the run any more.
            EngineError: If this process cannot honour the pin.
        """
        came: list[UnitOutcome] = []
        give_up = time.monotonic() + seconds
        while not came:
            try:
                job, result = self._back.get(timeout=max(0.0, give_up - time.monotonic()))
            except Empty:
                break
            came += self._accept(job, result)
        while not self._back.empty():
            came += self._accept(*self._back.get())
        return came

    def steps(self) -> dict[str, Steps]:
        """Return of every unit that a thread is at how far it is."""
        return {key: job.watch.moved() for key, job in self._jobs.items() if job.thread}

    def abandon(self, key: str) -> None:
        """Forget a unit; its thread stops at the next step, and another takes its place at once."""
        job = self._jobs.pop(key)
        job.watch.cancelled.set()
        if job.thread in self._workers:
            log.info("unit abandoned", plate=job.spec.plate, key=key)
            job.is_replaced = True
            self._workers.remove(job.thread)
            self._start_worker()

    def close(self) -> None:
        """Stop between two steps, and wait a little for the threads to end."""
        for job in self._jobs.values():
            job.watch.cancelled.set()
        self._jobs.clear()
        for _ in self._workers:
            self._todo.put(None)
        give_up = time.monotonic() + SECONDS_TO_STOP
        for worker in self._workers:
            worker.join(timeout=max(0.0, give_up - time.monotonic()))
        self._workers.clear()
        self._todo, self._back = SimpleQueue(), SimpleQueue()

    def _accept(self, job: _Job, result: UnitOutcome | HcsError) -> list[UnitOutcome]:
        """Return the outcome of a unit that is still wanted."""
        if self._jobs.get(job.spec.key) is not job:
            return []
        del self._jobs[job.spec.key]
        if isinstance(result, HcsError):
            raise result
        return [result]

    def _start_worker(self) -> None:
        worker = Thread(target=_serve, args=(self._bench, self._todo, self._back), name="unit", daemon=True)
        self._workers.append(worker)
        worker.start()


def _serve(
    bench: Workbench, todo: SimpleQueue[_Job | None], back: SimpleQueue[tuple[_Job, UnitOutcome | HcsError]]
) -> None:
    """Perform units until told to end, or until one was abandoned: then another thread has this one's place."""
    while (job := todo.get()) is not None:
        if job.watch.cancelled.is_set():
            continue
        job.thread = current_thread()
        try:
            back.put((job, outcome_of(job.spec, partial(bench.perform, job.spec, watch=job.watch))))
        except HcsError as error:
            back.put((job, error))
        if job.is_replaced:
            return
