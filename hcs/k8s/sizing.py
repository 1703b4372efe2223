"""How many workers of which kind a run gets, from its plates and its encoders.

    workers = plates / plates-per-worker, rounded up; 1 at least; max-workers and the group's own maximum at most

They are of the group `gpu` where the place has GPUs (`hcs/gpu`) and an encoder of the run is a network, else of the
group `cpu`: named features are computed by the processor. A run that was begun goes on with what it was begun with,
since its pin says so. The number is settled when the RayJob is made, as a pool settles its workers once.

Four plates a worker by default: a plate of 384 wells and 9 sites is 72 units (`hcs.pipeline.plan`: 48 sites each), of 5
to 60 s of one core each. A worker of 4 cores is busy with four such plates for 6 to 72 minutes, and its node, image and
process take some minutes to come up: with fewer plates, most of the time would go into starting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from hcs.errors import TemplateError

PREFIX = "hcs/"
PLATES_PER_WORKER, MAX_WORKERS, GPU = "hcs/plates-per-worker", "hcs/max-workers", "hcs/gpu"
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
        plates_per_worker: Plates that are work enough for a worker.
        max_workers: Workers that no run goes beyond.
        gpu: Whether the place has nodes with GPUs.
    """

    plates_per_worker: int = 4
    max_workers: int = 16
    gpu: bool = False


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
    if strangers := sorted(ours.keys() - {PLATES_PER_WORKER, MAX_WORKERS, GPU}):
        raise TemplateError(
            f"the template's annotations that begin with {PREFIX} are {PLATES_PER_WORKER}, {MAX_WORKERS} and {GPU}, "
            f"but there is {', '.join(strangers)}. Is it misspelt?"
        )
    usual = Sizing()
    return Sizing(
        plates_per_worker=_number(ours, PLATES_PER_WORKER, usual.plates_per_worker),
        max_workers=_number(ours, MAX_WORKERS, usual.max_workers),
        gpu=_truth(ours, GPU, usual.gpu),
    )


def group_of(demand: Demand, sizing: Sizing) -> Group:
    """Return the group whose workers perform a run."""
    if demand.device is not None:
        return Group.GPU if demand.device == "cuda" else Group.CPU
    return Group.GPU if sizing.gpu and demand.has_network else Group.CPU


def workers_of(demand: Demand, sizing: Sizing, *, most: int) -> int:
    """Return how many workers a run gets.

    Args:
        demand: Its work.
        sizing: What the template says.
        most: Workers of the group, 1 at least.
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
