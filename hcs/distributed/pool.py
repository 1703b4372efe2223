"""The executor on a Ray cluster: a pool of actors, each of which performs whole units, at most two in its hands."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from socket import gethostname
from typing import Any

import ray

from hcs.distributed.cluster import Cluster
from hcs.distributed.room import Node, count_workers, refuse_machines, size_for
from hcs.distributed.staff import Device, Staff, Worker, cause_of
from hcs.distributed.worker import Answer, packed
from hcs.embedding.engine import best_device, pin_for
from hcs.errors import EngineError, HcsError
from hcs.pipeline.handshake import offer_token
from schemas.work import RunPin, Steps, UnitOutcome, UnitSpec, WorkOrder

UNITS_A_WORKER = 2
"""One under work, and one that waits so that the worker never does."""
SECONDS_TO_OPEN = 300.0
SECONDS_TO_LEARN = 10.0
"""How long to wait for what became of the earlier units of a worker that is lost."""


class RayExecutor:
    """Performs units on a pool of Ray actors.

    Ray repeats nothing and restarts nothing by itself: a lost worker is replaced here, what it was at is an outcome
    with its reason, and what waited behind that is given back. A unit that was begun before is performed by a worker
    that has nothing else in its hands: should it kill its worker again, it harms no other unit.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        device: str = "auto",
        workers: int | None = None,
        cpus: float | None = None,
        gpus: float | None = None,
        own_cpus: int | None = None,
        await_nodes: float | None = None,
        on_one_machine: bool = False,
    ) -> None:
        """Remember what is wanted; nothing is started before it is needed.

        Args:
            address: Of a cluster that runs; None starts one on this machine, which ends with `close`.
            device: `cpu`, `cuda`, or `auto`: cuda where the cluster has GPUs.
            workers: How many; None takes all that there is room for.
            cpus: Processors of a worker; None is one, or a GPU's share of its node.
            gpus: GPUs of a worker, perhaps a fraction; None is one.
            own_cpus: Processors that a cluster of our own offers; None is all that this process may use.
            await_nodes: Seconds to wait for nodes of a cluster that grows when workers wait; `workers` is given then.
            on_one_machine: Whether a cluster of several machines is refused, since what is remembered lies in a file.
        """
        self._cluster = Cluster(address=address)
        self._staff = Staff(self._cluster, await_nodes=await_nodes)
        self._device = device
        self._wanted: dict[str, Any] = {"asked": workers, "cpus": cpus, "gpus": gpus}
        self._on_one_machine = on_one_machine
        self._own_cpus = own_cpus or len(os.sched_getaffinity(0))
        self._apart: deque[UnitSpec] = deque()
        self._waiting: deque[UnitSpec] = deque()
        self._returned: list[UnitOutcome] = []
        self._kept = ExitStack()

    def pin(self, n_planes_a_site: int) -> RunPin:
        """Return the pin that the workers honour: this process' own where they are on this machine, else a worker's.

        Raises:
            HcsError: If the cluster cannot be reached, has no room for one worker, or has too many machines.
        """
        if self._cluster.is_own:
            device = self._own_device()
            if device == "cpu" and not self._cluster.is_joined:  # what there will be is known: said before any work
                here = (Node(gethostname(), cpus=self._own_cpus, gpus=0),)
                count_workers(
                    here,
                    size_for(here, device=device, cpus=self._wanted["cpus"], gpus=self._wanted["gpus"]),
                    asked=self._wanted["asked"],
                )
            return pin_for(n_planes_a_site, device=device)
        self._start(with_gpus=True)
        device = self._cluster_device()
        self._staff.size_up(device=device, **self._wanted)
        worker = self._staff.recruit()
        self._staff.await_schedule()
        try:
            answer = Answer.model_validate_json(
                ray.get(worker.actor.pin.remote(n_planes_a_site, device), timeout=SECONDS_TO_OPEN)
            )
        except ray.exceptions.RayError as error:
            raise EngineError(
                f"a worker of the cluster was asked what it computes with, but {cause_of(error)}; see `ray status`, "
                "and give the same command again when the cluster is well"
            ) from error
        answer.check()
        if answer.pin is None:
            raise EngineError("a worker was asked for its pin and answered something else")
        return answer.pin

    def open(self, order: WorkOrder) -> None:
        """Start the workers, and wait until one of them is ready; the others join as they come.

        Raises:
            UsageError: If the cluster cannot be reached, or has no room for the workers that were asked for.
            EngineError: If no worker has the coordinator's version of the project and honours the pin.
            WeightsError: If weights are not those of the run where the workers are.
            StorageError: If a worker cannot write the parts folder, or has another one.
        """
        device = order.pin.device
        self._start(with_gpus=device == "cuda")
        self._staff.size_up(device=device, **self._wanted)
        self._staff.engage(order, token=self._kept.enter_context(offer_token(order)))
        give_up = time.monotonic() + SECONDS_TO_OPEN
        while not any(worker.is_ready for worker in self._staff.workers):
            self._staff.hear(0.5, take_back=self._take_back)
            self._staff.refuse_loneliness()
            if time.monotonic() > give_up:
                raise EngineError(
                    f"expected a worker to load its encoders within {SECONDS_TO_OPEN:.0f} s, but none did; look at the "
                    "load of the machines and at the storage that holds the weights"
                )

    def capacity(self) -> int:
        """Return how many units more it takes: none while one waits for a worker of its own."""
        if self._apart:
            return 0
        room = sum(UNITS_A_WORKER - len(worker.units) for worker in self._staff.workers if _takes_more(worker))
        return max(0, room - len(self._waiting))

    def submit(self, spec: UnitSpec) -> None:
        """Take a unit: the worker with the fewest gets it, or, if it was begun before, one that has none."""
        (self._apart if spec.attempt > 1 else self._waiting).append(spec)
        self._hand_out()

    def wait(self, seconds: float) -> Sequence[UnitOutcome]:
        """Return the outcomes that came, after `seconds` at the latest.

        Raises:
            HcsError: A worker's error that is no unit's fault, or that no worker is left.
        """
        if not self._returned:
            self._staff.hear(seconds, take_back=self._take_back)
        came, self._returned = self._returned, []
        self._hand_out()
        self._staff.refuse_loneliness()
        return came

    def steps(self) -> dict[str, Steps]:
        """Return of every unit that a worker is at how far it is, as far as is known."""
        found: dict[str, Steps] = {}
        for worker in self._staff.workers:
            if worker.units:
                _look_at(worker)
                first = next(iter(worker.units))  # a worker that does not answer is at it all the same
                found |= {first: Steps(done=0), **{key: at for key, at in worker.seen.items() if key in worker.units}}
        return found

    def abandon(self, key: str) -> None:
        """Forget a unit and end the worker that is at it; another takes its place."""
        self._apart = deque(spec for spec in self._apart if spec.key != key)
        self._waiting = deque(spec for spec in self._waiting if spec.key != key)
        self._returned = [outcome for outcome in self._returned if outcome.key != key]
        for worker in [worker for worker in self._staff.workers if key in worker.units]:
            del worker.units[key]
            self._replace(worker, "it was at a unit that hung")

    def close(self) -> None:
        """End the workers and leave the cluster; one of our own ends too."""
        self._apart.clear()
        self._waiting.clear()
        self._returned.clear()
        with contextlib.suppress(HcsError):  # the folder may be what is broken
            self._kept.close()
        self._staff.dismiss(politely=not self._cluster.ends_with_us)
        self._cluster.close()

    def _start(self, *, with_gpus: bool) -> None:
        self._cluster.start(cpus=self._own_cpus, with_gpus=with_gpus)
        if self._on_one_machine:
            refuse_machines(self._cluster.nodes())

    def _own_device(self) -> Device:
        return best_device() if self._device == "auto" else "cuda" if self._device == "cuda" else "cpu"

    def _cluster_device(self) -> Device:
        if self._device == "auto":
            return "cuda" if any(node.gpus for node in self._cluster.nodes()) else "cpu"
        return "cuda" if self._device == "cuda" else "cpu"

    def _take_back(self, worker: Worker) -> None:
        """Take the units that a worker has finished, in the order in which it was given them."""
        is_lost = bool(ray.wait([worker.vigil], timeout=0)[0])
        for key, (_, reference) in list(worker.units.items()):
            if not is_lost and not ray.wait([reference], timeout=0)[0]:
                return
            try:
                answer = Answer.model_validate_json(ray.get(reference, timeout=SECONDS_TO_LEARN))
            except ray.exceptions.RayError as error:
                del worker.units[key]
                reason = f"its worker was lost: {cause_of(error)}"
                self._returned.append(UnitOutcome(key=key, reason=reason))
                self._replace(worker, reason)
                return
            del worker.units[key]
            worker.seen.pop(key, None)
            answer.check()
            if answer.outcome is not None:
                self._returned.append(answer.outcome)
        if is_lost:
            self._replace(worker, "it was lost while it had no unit")

    def _replace(self, worker: Worker, reason: str) -> None:
        """End a worker, give back what waited behind its unit, and start another in its place."""
        gone = "the worker that it waited for is gone"
        self._returned += [UnitOutcome(key=key, reason=gone, was_started=False) for key in worker.units]
        self._staff.replace(worker, reason)

    def _hand_out(self) -> None:
        """Give what waits here to those who can take it."""
        for worker in self._staff.workers:
            if self._apart and worker.is_ready and not worker.units:
                _give(worker, self._apart.popleft())
        while self._waiting and (takers := [worker for worker in self._staff.workers if _takes_more(worker)]):
            _give(min(takers, key=lambda worker: len(worker.units)), self._waiting.popleft())


def _takes_more(worker: Worker) -> bool:
    """Return whether a worker may be given a unit behind what it has: not behind one that was begun before."""
    is_first = all(spec.attempt == 1 for spec, _ in worker.units.values())
    return worker.is_ready and len(worker.units) < UNITS_A_WORKER and is_first


def _give(worker: Worker, spec: UnitSpec) -> None:
    worker.units[spec.key] = (spec, worker.actor.perform.remote(packed(spec)))


def _look_at(worker: Worker) -> None:
    """Ask a worker how far it is, without waiting for its answer: that comes with a later look."""
    if worker.look is not None and ray.wait([worker.look], timeout=0)[0]:
        with contextlib.suppress(ray.exceptions.RayError):  # it is lost, and its units will say so
            worker.seen = {key: Steps.model_validate_json(text) for key, text in ray.get(worker.look).items()}
        worker.look = None
    if worker.look is None and worker.is_ready:
        worker.look = worker.actor.steps.remote()
