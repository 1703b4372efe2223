"""How many pods of which kind a run gets, from its plates and its encoders, and what works in them.

    pods = plates / plates-per-worker, rounded up; 1 at least; max-workers and the group's own maximum at most

They are of the group `gpu` where the place has GPUs (`hcs/gpu`) and an encoder of the run is a network, else of the
group `cpu`: named features are computed by the processor. A run that was begun goes on with what it was begun with,
since its pin says so. The group grows from none to as many when the driver asks for its workers, as Ray's autoscaler
sees them wait. In a pod works one worker for each processor; on GPUs four for each, which is what keeps one busy
(`docs/how-to/run-on-a-pool.md`), with their share of the processors.

Four plates a worker by default: a plate of 384 wells and 9 sites is 72 units (`hcs.pipeline.plan`: 48 sites each), of 5
to 60 s of one core each. A pod of 4 cores is busy with four such plates for 6 to 72 minutes, and its node, image and
process take some minutes to come up: with fewer plates, most of the time would go into starting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import floor
from typing import Any, Literal

from hcs.errors import TemplateError

PREFIX = "hcs/"
PLATES_PER_WORKER, MAX_WORKERS, GPU = "hcs/plates-per-worker", "hcs/max-workers", "hcs/gpu"
AWAIT_NODES = "hcs/await-nodes-seconds"
KNOWN = (PLATES_PER_WORKER, MAX_WORKERS, GPU, AWAIT_NODES)
WORKERS_A_GPU = 4
MOST = 10_000
"""The largest number that an annotation may say: more is a slip of the finger."""


class Group(StrEnum):
    """A group of workers of the template, by its name."""

    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True)
class Sizing:
    """What the annotations of a template say.

    Attributes:
        plates_per_worker: Plates that are work enough for a pod.
        max_workers: Pods that no run goes beyond.
        gpu: Whether the place has nodes with GPUs.
        await_nodes: Seconds that the driver waits for a pod in which a worker can start.
    """

    plates_per_worker: int = 4
    max_workers: int = 16
    gpu: bool = False
    await_nodes: int = 1800


@dataclass(frozen=True)
class Demand:
    """What is known of the work of a run.

    Attributes:
        n_plates: Plates of its SCREEN.yaml.
        has_network: Whether one of its encoders is a network.
        device: What it was begun with; None if nobody has looked at its plates so far.
    """

    n_plates: int
    has_network: bool
    device: Literal["cpu", "cuda"] | None = None


def sizing_of(annotations: Mapping[str, Any]) -> Sizing:
    """Return what annotations say; those that are not there have their defaults, and those of others do not matter.

    Raises:
        TemplateError: If one says what nobody understands.
    """
    ours = {name: value for name, value in annotations.items() if name.startswith(PREFIX)}
    if strangers := sorted(ours.keys() - set(KNOWN)):
        raise TemplateError(
            f"the template's annotations that begin with {PREFIX} are {', '.join(KNOWN)}, but there is "
            f"{', '.join(strangers)}. Is it misspelt?"
        )
    usual = Sizing()
    return Sizing(
        plates_per_worker=_number(ours, PLATES_PER_WORKER, usual.plates_per_worker),
        max_workers=_number(ours, MAX_WORKERS, usual.max_workers),
        gpu=_truth(ours, GPU, usual.gpu),
        await_nodes=_number(ours, AWAIT_NODES, usual.await_nodes),
    )


def group_of(demand: Demand, sizing: Sizing) -> Group:
    """Return the group whose workers perform a run."""
    if demand.device is not None:
        return Group.GPU if demand.device == "cuda" else Group.CPU
    return Group.GPU if sizing.gpu and demand.has_network else Group.CPU


@dataclass(frozen=True)
class Pool:
    """The workers of a run: how many in all, and what each takes of its pod."""

    workers: int
    cpus: int
    gpus: float


def pool_of(n_pods: int, *, cpus: float, gpus: int) -> Pool:
    """Return the workers that fill pods, each of which lies in one of them.

    Args:
        n_pods: Pods of the group.
        cpus: Processors of a pod, 1 at least.
        gpus: GPUs of a pod; 0 of the group `cpu`.
    """
    if not gpus:
        return Pool(workers=n_pods * floor(cpus), cpus=1, gpus=0.0)
    a_pod = min(WORKERS_A_GPU * gpus, floor(cpus))
    a_gpu = -(-a_pod // gpus)  # a pod with few processors has fewer workers, each with a larger share of a GPU
    return Pool(workers=n_pods * a_pod, cpus=floor(cpus / a_pod), gpus=1 / a_gpu)


def pods_of(demand: Demand, sizing: Sizing, *, most: int) -> int:
    """Return how many pods a run gets.

    Args:
        demand: Its work.
        sizing: What the template says.
        most: Pods of the group, 1 at least.
    """
    wanted = -(-demand.n_plates // sizing.plates_per_worker)
    return min(max(wanted, 1), sizing.max_workers, most)


def _number(annotations: Mapping[str, Any], name: str, usual: int) -> int:
    said = annotations.get(name, str(usual))
    if isinstance(said, str) and re.fullmatch(r"[0-9]{1,5}", said) and 1 <= int(said) <= MOST:
        return int(said)
    raise TemplateError(
        f"the template's annotation {name} is a text that says a whole number from 1 to {MOST:,}, but it is {said!r}. "
        f'Write it as {name}: "{usual}".'
    )


def _truth(annotations: Mapping[str, Any], name: str, usual: bool) -> bool:
    said = annotations.get(name, str(usual).lower())
    if said in ("true", "false"):
        return bool(said == "true")
    raise TemplateError(
        f'the template\'s annotation {name} is the text "true" or "false", but it is {said!r}. Mind the quotes: '
        "without them YAML reads no text."
    )
