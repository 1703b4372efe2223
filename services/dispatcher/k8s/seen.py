"""What a dispatcher knows of a RayJob, taken from the object as the API returns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hcs.catalog import Dispatch
from hcs.k8s.meaning import Meaning, mapping_in, meaning_of, number_in, text_in
from hcs.k8s.rayjob import (
    ATTEMPT_LABEL,
    CATALOG_DIGITS,
    CATALOG_LABEL,
    COMPONENT,
    COMPONENT_LABEL,
    RUN_LABEL,
)
from schemas.work import DispatchState


@dataclass(frozen=True)
class SeenRayJob:
    """A RayJob of our catalog.

    Attributes:
        name: Its name, which a dispatch has too.
        uid: Tells it from another one of this name.
        run: What its label says of the run; empty where there is none.
        meaning: How far it is, and why.
        is_leaving: Whether somebody deleted it, and it is not gone yet.
        keep_seconds: How long it is kept once it has ended.
    """

    name: str
    uid: str
    run: str
    meaning: Meaning
    is_leaving: bool
    keep_seconds: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing comes of it any more."""
        return self.meaning.state is DispatchState.ENDED


def seen(rayjob: Mapping[str, Any]) -> SeenRayJob:
    """Return what there is to know of a RayJob; anything in it may be missing."""
    metadata = mapping_in(rayjob, "metadata")
    return SeenRayJob(
        name=text_in(metadata, "name"),
        uid=text_in(metadata, "uid"),
        run=text_in(mapping_in(metadata, "labels"), RUN_LABEL),
        meaning=meaning_of(rayjob),
        is_leaving=bool(text_in(metadata, "deletionTimestamp")),
        keep_seconds=max(0, number_in(mapping_in(rayjob, "spec"), "ttlSecondsAfterFinished")),
    )


def selector_of(catalog: str) -> str:
    """Return the labels by which a catalog's RayJobs are found, and no other's."""
    return f"{CATALOG_LABEL}={catalog[:CATALOG_DIGITS]},{COMPONENT_LABEL}={COMPONENT}"


def is_of(rayjob: Mapping[str, Any], dispatch: Dispatch, *, catalog: str) -> bool:
    """Return whether a RayJob says that it was made for a dispatch of a catalog."""
    labels = mapping_in(mapping_in(rayjob, "metadata"), "labels")
    wanted = {
        CATALOG_LABEL: catalog[:CATALOG_DIGITS],
        COMPONENT_LABEL: COMPONENT,
        RUN_LABEL: str(dispatch.run_id),
        ATTEMPT_LABEL: str(dispatch.attempt),
    }
    return all(labels.get(key) == value for key, value in wanted.items())
