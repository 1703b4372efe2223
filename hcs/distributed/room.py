"""What a cluster has, and how many workers of a size it has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hcs.errors import UsageError

GPU_SHARE = 0.25
"""Of a GPU that a worker takes unless asked for more: four keep one busy, two do not (benchmarks/pool.py)."""
SLACK = 1e-6
"""Resources are sums of fractions."""


@dataclass(frozen=True)
class Node:
    """One machine of a cluster, with its logical processors and GPUs."""

    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class WorkerSize:
    """What one worker takes of a node; `gpus` may be a fraction."""

    cpus: float
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")


def nodes_of(described: Sequence[Mapping[str, Any]]) -> tuple[Node, ...]:
    """Return the living nodes of what Ray says of its nodes, by name."""
    living = [item for item in described if item.get("Alive")]
    found = [
        Node(
            name=str(item.get("NodeManagerHostname") or item.get("NodeManagerAddress")),
            cpus=float(item.get("Resources", {}).get("CPU", 0.0)),
            gpus=float(item.get("Resources", {}).get("GPU", 0.0)),
        )
        for item in living
    ]
    return tuple(sorted(found, key=lambda node: (node.name, node.cpus, node.gpus)))


def workers_on(node: Node, size: WorkerSize) -> int:
    """Return how many workers one node has room for: a worker lies on one node."""
    by_cpu = (node.cpus + SLACK) // size.cpus if size.cpus else float("inf")
    by_gpu = (node.gpus + SLACK) // size.gpus if size.gpus else float("inf")
    return int(min(by_cpu, by_gpu))


def size_for(nodes: Sequence[Node], *, device: str, cpus: float | None, gpus: float | None) -> WorkerSize:
    """Return the size of a worker: what was asked for, else one processor, or a quarter of a GPU and its processors.

    Args:
        nodes: The cluster.
        device: `cpu` or `cuda`.
        cpus: As asked for; None chooses.
        gpus: As asked for, perhaps a fraction; None chooses.

    Raises:
        UsageError: If GPUs are asked for where the processor computes.
    """
    if device == "cpu" and gpus:
        raise UsageError(
            f"expected no GPUs for workers that compute on the processor, but {gpus:g} each were asked for, of "
            f"{described(nodes)}; leave --worker-gpus out, or compute on GPUs (--device cuda) where there are any"
        )
    if device == "cpu":
        return WorkerSize(cpus=cpus or 1.0)
    share = gpus or GPU_SHARE
    with_gpus = [node for node in nodes if node.gpus + SLACK >= share]
    own = min((node.cpus // ((node.gpus + SLACK) // share) for node in with_gpus), default=1.0)
    return WorkerSize(cpus=cpus or max(1.0, own), gpus=share)


def count_workers(nodes: Sequence[Node], size: WorkerSize, *, asked: int | None, grows: bool = False) -> int:
    """Return how many workers to start: those asked for, else as many as there is room for.

    Args:
        nodes: The cluster.
        size: Of a worker.
        asked: As asked for; None takes all the room.
        grows: Whether nodes are added while workers wait for them, so that the room of now is not the end of it.

    Raises:
        UsageError: If there is no room for as many as were asked for, or for none; it says what the cluster has.
    """
    fit = sum(workers_on(node, size) for node in nodes)
    if grows and asked is not None:
        return asked
    if fit < (asked or 1):
        wanted = f"{asked or 1} worker" + ("s" if (asked or 1) != 1 else "")
        raise UsageError(
            f"expected a cluster with room for {wanted} of {size}, but it has {described(nodes)}, which is room for "
            f"{fit}; ask for fewer or smaller ones (--workers, --worker-cpus, --worker-gpus), or add nodes"
        )
    return asked or fit


def refuse_machines(nodes: Sequence[Node]) -> None:
    """Return if the nodes are one machine, however many of them there are on it.

    Raises:
        UsageError: If they are several: processes of other machines cannot share an SQLite file safely.
    """
    machines = {node.name for node in nodes}
    if len(machines) > 1:
        raise UsageError(
            f"expected a catalog that several machines can share, but it is an SQLite file, and the cluster has "
            f"{len(machines)} machines: {described(nodes)}; name a PostgreSQL database with --catalog "
            "postgresql://USER@HOST/DATABASE and a folder or URI that all of them share with --parts, or leave "
            "--address out to use this machine alone"
        )


def described(nodes: Sequence[Node]) -> str:
    """Return the nodes in words, at most five of them by name."""
    if not nodes:
        return "no living node"
    shown = [f"{node.name} ({node.cpus:g} CPU, {node.gpus:g} GPU)" for node in nodes[:5]]
    more = f" and {len(nodes) - 5} more" if len(nodes) > 5 else ""
    return f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}: {', '.join(shown)}{more}"
