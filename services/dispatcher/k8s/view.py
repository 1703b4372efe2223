"""The RayJobs of a catalog as they are, by a list and by what changed since."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog

from hcs.errors import KubernetesError, KubernetesGoneError
from hcs.k8s.api import RayJobs
from hcs.k8s.meaning import mapping_in, text_in

log = structlog.get_logger(__name__)

SECONDS_A_LIST = 300.0
"""How old a list may be: what a watch never told is seen by then."""


class View:
    """RayJobs by their names. It watches while it is asked, and holds no thread and no line else."""

    def __init__(self, rayjobs: RayJobs, *, selector: str) -> None:
        """Remember what to look at.

        Args:
            rayjobs: Of a namespace.
            selector: Their labels.
        """
        self._rayjobs, self._selector = rayjobs, selector
        self._found: dict[str, Mapping[str, Any]] = {}
        self._version: str | None = None
        self._listed_at = 0.0

    def look(self, *, seconds: int) -> list[Mapping[str, Any]]:
        """Return what is there now, after watching for `seconds` at most.

        Where the watch ends with an error, as after its version was forgotten, everything is listed anew.

        Raises:
            KubernetesError: If that is not possible: then nothing is known.
        """
        if self._version is not None and time.monotonic() - self._listed_at < SECONDS_A_LIST:
            try:
                self._watch(self._version, seconds)
                return list(self._found.values())
            except KubernetesError as error:
                if not isinstance(error, KubernetesGoneError):
                    log.info("a watch broke off", reason=str(error))
        self.forget()
        listing = self._rayjobs.list(selector=self._selector)
        self._found = {_name(item): item for item in listing.items}
        self._version, self._listed_at = listing.version, time.monotonic()
        return list(self._found.values())

    def forget(self) -> None:
        """Have the next look list everything."""
        self._version = None

    def _watch(self, version: str, seconds: int) -> None:
        for change in self._rayjobs.changes(selector=self._selector, since=version, seconds=seconds):
            if change.kind in {"ADDED", "MODIFIED"}:
                self._found[_name(change.item)] = change.item
            elif change.kind == "DELETED":
                self._found.pop(_name(change.item), None)
            self._version = change.version or self._version


def _name(item: Mapping[str, Any]) -> str:
    return text_in(mapping_in(item, "metadata"), "name")
