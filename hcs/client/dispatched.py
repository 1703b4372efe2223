"""What is said of a run that was given to Kubernetes: in a terminal, in an error and on a page alike."""

from __future__ import annotations

from typing import Protocol

from schemas.work import DispatchState

_SAID = {
    DispatchState.ASKED: "waits: RayJob {name} is asked for{why}",
    DispatchState.WAITING: "waits: RayJob {name}{why}",
    DispatchState.WORKING: "works: RayJob {name}{why}",
    DispatchState.ENDED: "waits again: RayJob {name} ended{why}",
}


class Dispatched(Protocol):
    """One time that a run was given to Kubernetes, as the catalog and the API know it."""

    @property
    def name(self) -> str:
        """The name of its RayJob."""

    @property
    def state(self) -> DispatchState:
        """How far it is."""

    @property
    def message(self) -> str | None:
        """What it waits for, what it does, or why it ended."""


def dispatch_said(dispatch: Dispatched) -> str:
    """Return how an open run stands, on one line, such as `waits: RayJob hcs-01234567-run-7-1: its cluster starts`."""
    why = "" if dispatch.message is None else f": {' '.join(dispatch.message.split())}"
    return _SAID[dispatch.state].format(name=dispatch.name, why=why)
