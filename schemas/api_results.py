"""What the API says of all treatments of a run at once: where they lie, and how two runs differ."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.api import Body, CallName

MAP_FORM = 1
"""Counted up whenever `RunMap` changes, so that a catalog's maps of before are made anew."""

TreatmentType = Literal["treatment", "poscon"]


class MapPoint(Body):
    """One treatment of a map. Its place is null where nothing could be clustered."""

    treatment: str
    perturbation: str
    control_type: TreatmentType
    name: str | None
    mechanism: str | None = Field(description="As annotated.")
    call: CallName
    q_value: float | None
    effect: float | None
    cluster: int | None = Field(description="From 1 on, by size; null is noise.")
    probability: float | None = Field(description="How firmly it belongs to its cluster; 0 for noise.")
    umap_x: float | None
    umap_y: float | None
    cell_count_ratio: float | None
    batches: tuple[str, ...] = Field(description="Of its wells that were not excluded, by name.")
    plates: tuple[str, ...] = Field(description="Of the same wells.")


class ClusterRow(Body):
    """Treatments that lie together, and the mechanism that is most enriched among them."""

    cluster: int | None = Field(description="Null is the noise: what lies in no cluster.")
    size: int = Field(ge=1, description="Treatments.")
    n_perturbations: int = Field(ge=1)
    members: tuple[str, ...] = Field(description="Names, or perturbations that have none, each once.")
    mechanism: str | None
    n_with_mechanism: int | None
    p_value: float | None
    q_value: float | None
    share_annotated: float | None


class ClusterFigure(Body):
    """One figure that clusters and profiles are judged by, beside what shuffled annotations give."""

    figure: str
    value: float | None
    shuffled: float | None
    n: int
    reason: str | None = Field(description="Why there is no value.")


class RunMap(Body):
    """The treatments of a run on one profile: their places in a picture, and their clusters."""

    run: str
    profile: str
    everything: bool = Field(description="Whether treatments that are no hits are in it.")
    items: tuple[MapPoint, ...] = Field(description="By treatment.")
    clusters: tuple[ClusterRow, ...] = Field(description="The largest first, the noise last.")
    figures: tuple[ClusterFigure, ...]
    notes: tuple[str, ...] = Field(description="What could not be done, and why.")


class MapUnderWay(Body):
    """That a map is being made, or waits for another one."""

    state: Literal["computing"] = "computing"


class CallFigures(Body):
    """What one side of a comparison says of a treatment."""

    call: CallName
    q_value: float | None
    effect: float | None
    mean_average_precision: float | None
    cell_count_ratio: float | None
    explained_by_count: Literal["explained", "not_explained", "cannot_tell"] | None
    n_replicates: int


class ComparedCall(Body):
    """A treatment that is a hit on one side or on both."""

    treatment: str
    perturbation: str
    concentration_micromolar: float | None
    dose_step: float | None
    name: str | None
    mechanism: str | None
    control_type: TreatmentType
    change: Literal["gained", "lost", "both"]
    before: CallFigures | None = Field(description="Of the other run; null where it did not call the treatment.")
    after: CallFigures | None = Field(description="Of the run.")


class Comparison(Body):
    """Hits gained and lost: of a run, held against another one, or against itself on another profile."""

    run: str
    other: str
    profile: str
    other_profile: str
    q_max: float
    gained: int = Field(ge=0, description="Hits of the run that are none of the other.")
    lost: int = Field(ge=0, description="Hits of the other that are none of the run.")
    both: int = Field(ge=0)
    items: tuple[ComparedCall, ...] = Field(description="Gained, then lost, then both; the smallest q first.")
