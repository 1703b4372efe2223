"""The workers of a pool: hired, met, replaced when they are lost, and let go."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import ray
import structlog

from hcs.catalog import is_alive_here
from hcs.distributed.cluster import Cluster, in_time
from hcs.distributed.room import WorkerSize, count_workers, described, size_for
from hcs.distributed.worker import Answer, Greeting, UnitWorker, code_digest
from hcs.errors import EngineError, HcsError
from hcs.pipeline.handshake import accept_answer
from schemas.work import Steps, UnitSpec, WorkOrder

log = structlog.get_logger(__name__)

RESTARTS_A_WORKER = 20
"""Workers that are lost are replaced this often in all, for each that was asked for."""
STARTS_A_WORKER = 3
"""Workers that die before they are ready, one after another, are replaced this often for each that was asked for."""
SECONDS_TO_KILL = 5.0
SECONDS_TO_SCHEDULE = 20.0
SECONDS_A_LOOK = 1.0
"""A request to end is heard between looks."""
SECONDS_WITHOUT_WORKERS = 300.0

Device = Literal["cpu", "cuda"]


@dataclass(eq=False)
class Worker:
    """One actor, what it is asked now, and the units in its hands, in the order in which it takes them."""

    actor: Any
    greeting: Any
    opening: Any = None
    vigil: Any = None
    name: Greeting | None = None
    is_ready: bool = False
    units: dict[str, tuple[UnitSpec, Any]] = field(default_factory=dict)
    look: Any = None
    seen: dict[str, Steps] = field(default_factory=dict)

    @property
    def questions(self) -> list[Any]:
        """What an answer is waited for of."""
        if self.is_ready:
            return [self.vigil, *(reference for _, reference in self.units.values())]
        return [self.greeting if self.name is None else self.opening]


class Staff:
    """The workers of one run on one cluster."""

    def __init__(self, cluster: Cluster, *, await_nodes: float | None = None) -> None:
        """Have nobody yet.

        Args:
            cluster: Where they work.
            await_nodes: How many seconds to wait for nodes that it adds when workers wait for them; None where it
                stays as it is.
        """
        self.workers: list[Worker] = []
        self._cluster = cluster
        self._await_nodes = await_nodes
        self._size = WorkerSize(cpus=1)
        self._n_wanted = 0
        self._restarts_left = 0
        self._failed_starts = 0
        self._order: WorkOrder | None = None
        self._token = ""
        self._refusal: HcsError | None = None
        self._alone_since: float | None = None

    def size_up(self, *, device: Device, asked: int | None, cpus: float | None, gpus: float | None) -> None:
        """Settle how many workers to have, and of what size.

        Raises:
            UsageError: If the cluster has no room for them.
        """
        nodes = self._cluster.nodes()
        self._size = size_for(nodes, device=device, cpus=cpus, gpus=gpus)
        self._n_wanted = count_workers(nodes, self._size, asked=asked, grows=self._await_nodes is not None)
        self._restarts_left = RESTARTS_A_WORKER * self._n_wanted

    @property
    def seconds_alone(self) -> float:
        """How long to wait while no worker is ready."""
        return max(SECONDS_WITHOUT_WORKERS, self._await_nodes or 0.0)

    def recruit(self) -> Worker:
        """Return a new worker, which is asked who it is."""
        options: dict[str, Any] = {
            "num_cpus": self._size.cpus,
            "num_gpus": self._size.gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "concurrency_groups": {"looks": 1, "vigil": 1},
        }
        remote = ray.remote(**options)(UnitWorker)
        actor: Any = remote.remote(max(1, int(self._size.cpus)))
        worker = Worker(actor=actor, greeting=actor.greet.remote())
        self.workers.append(worker)
        return worker

    def engage(self, order: WorkOrder, *, token: str) -> None:
        """Have as many workers as are wanted make ready for a run, and return when the first has said who it is.

        Raises:
            EngineError: If the cluster has the room, but nothing of it is free.
        """
        self._order, self._token, self._refusal = order, token, None
        while len(self.workers) < self._n_wanted:
            self.recruit()
        self.await_schedule()

    def await_schedule(self) -> None:
        """Return when one of the workers has started.

        Raises:
            EngineError: If none does: the cluster has the room, but nothing of it is free.
        """
        greetings = [worker.greeting for worker in self.workers]
        seconds = self._await_nodes or SECONDS_TO_SCHEDULE
        give_up = time.monotonic() + seconds
        while not ray.wait(greetings, num_returns=1, timeout=min(seconds, SECONDS_A_LOOK))[0]:
            if time.monotonic() < give_up:
                continue
            cure = (
                "see why none is added (`ray status`, and what its machines are taken from), or wait longer"
                if self._await_nodes
                else "wait for what uses it, or ask for smaller workers (--worker-cpus, --worker-gpus)"
            )
            raise EngineError(
                f"expected a worker of {self._size} to start within {seconds:.0f} s, but the cluster has "
                f"{described(self._cluster.nodes())}, and {self._cluster.free()}; {cure}"
            )

    def hear(self, seconds: float, *, take_back: Callable[[Worker], None]) -> None:
        """Take in what workers said, after `seconds` at the latest.

        Args:
            seconds: How long to wait for the first.
            take_back: Called with every ready worker that has something to give back.
        """
        asked = {question: worker for worker in self.workers for question in worker.questions}
        if not asked:
            time.sleep(seconds)
            return
        ready, _ = ray.wait(list(asked), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
        for worker in dict.fromkeys(asked[reference] for reference in ready):
            if worker.is_ready:
                take_back(worker)
            else:
                self._meet(worker)

    def replace(self, worker: Worker, reason: str) -> None:
        """End a worker, and start another in its place as long as that is not hopeless."""
        log.info("worker replaced", worker=str(worker.name), reason=reason)
        self.workers.remove(worker)
        _end(worker)
        if self._restarts_left > 0:
            self._restarts_left -= 1
            self.recruit()
        else:
            self._refusal = EngineError(
                f"workers were lost more than {RESTARTS_A_WORKER} times each; the last time {reason}"
            )

    def refuse_loneliness(self) -> None:
        """Raise if there has been no ready worker for long, or there will be none.

        Raises:
            HcsError: Why the last worker was let go, or that the cluster has lost its room.
        """
        if any(worker.is_ready for worker in self.workers):
            self._alone_since = None
            return
        if not self.workers:
            raise self._refusal or EngineError("no worker is left, and none said why")
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now - self._alone_since > self.seconds_alone:
            raise EngineError(
                f"expected a worker of {self._size}, but for {self.seconds_alone:.0f} s none was ready; the "
                f"cluster has {described(self._cluster.nodes())}, and {self._cluster.free()}. What is finished is "
                "kept: the same command goes on when the cluster has its room again"
            )

    def dismiss(self, *, politely: bool) -> None:
        """End every worker.

        Args:
            politely: Whether each is ended by itself; they end with a cluster of our own anyway.
        """
        for worker in self.workers:
            if politely:
                _end(worker)
        self.workers.clear()
        self._order, self._alone_since = None, None

    def _meet(self, worker: Worker) -> None:
        """Let a new worker say who it is, then whether it is ready; one that cannot serve is let go."""
        if self._order is None:
            return
        try:
            if worker.name is None:
                worker.name = Greeting.model_validate_json(ray.get(worker.greeting))
                _check_version(worker.name, self._order)
                worker.opening = worker.actor.open.remote(self._order.model_dump_json(), self._token)
                return
            answer = Answer.model_validate_json(ray.get(worker.opening))
            answer.check()
            accept_answer(self._order, answer.token or "")
            worker.is_ready = True
            self._failed_starts = 0
            worker.vigil = worker.actor.keep_vigil.remote()
            log.info("worker joined", worker=str(worker.name))
        except ray.exceptions.RayError as error:
            self._failed_starts += 1
            reason = EngineError(_why_not_started(error))
            if _is_hopeless(error) or self._failed_starts > STARTS_A_WORKER * self._n_wanted:
                self._let_go(worker, reason)
            else:
                self.replace(worker, str(reason))
        except HcsError as error:
            self._let_go(worker, error)

    def _let_go(self, worker: Worker, error: HcsError) -> None:
        log.warning("worker takes no units", worker=str(worker.name or "not started"), reason=str(error))
        self._refusal = error
        self.workers.remove(worker)
        _end(worker)


def _end(worker: Worker) -> None:
    """End a worker at once; one of this machine also where it does not listen to Ray any more."""
    in_time(lambda: ray.kill(worker.actor, no_restart=True), seconds=SECONDS_TO_KILL)
    if worker.name is not None and is_alive_here(worker.name.owner):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.name.pid, signal.SIGKILL)


def _check_version(name: Greeting, order: WorkOrder) -> None:
    """Refuse a worker with other code: its parts could differ from the others'.

    Raises:
        EngineError: With both versions.
    """
    if name.version != order.code_version:
        raise EngineError(
            f"expected workers with version {order.code_version} of the project, as the coordinator has, but the one "
            f"on {name} has {name.version}; install the same version on every node"
        )
    if name.code != code_digest():
        raise EngineError(
            f"expected workers with the coordinator's code, but the one on {name} has other files of the same version "
            f"{name.version}; install the same build on every node, or, if the files were changed meanwhile, give the "
            "same command again"
        )


def _is_hopeless(error: Exception) -> bool:
    """Return whether a worker could not be made at all, so that another could not either."""
    return any(mark in str(error) for mark in ("No module named", "AttributeError", "creation task"))


def _why_not_started(error: Exception) -> str:
    text = cause_of(error)
    if _is_hopeless(error):
        return (
            f"expected the project to be installed where Ray's workers are, in the coordinator's version, but one "
            f"could not be made ({text}); install the same version on every node"
        )
    return (
        f"a worker was lost before it was ready: {text}; see `ray status`. What is finished is kept: the same command "
        "goes on, also with --executor local"
    )


def cause_of(error: Exception) -> str:
    """Return what Ray says happened, in a line; a process that ended without a word may have been out of memory."""
    if isinstance(error, ray.exceptions.GetTimeoutError):
        return "it did not answer any more"
    text = " ".join(str(error).split())
    if "connection error code 2" in text:
        return "its process ended without a word: killed, out of memory, or crashed in a decoder"
    if "node" in text and ("died" in text or "dead" in text or "terminated" in text):
        return "its node is gone"
    for mark in ("The actor is dead because", "Worker exit detail:", "The actor died because", "Error: "):
        if mark in text:
            text = text[text.index(mark) :]
            break
    return text if len(text) <= 300 else f"{text[:180]} ... {text[-116:]}"
