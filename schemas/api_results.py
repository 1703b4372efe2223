"""What the API says of all treatments of a run at once: where they lie, and how two runs differ."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.api import Body
from schemas.described import (
    AnnotatedMechanism,
    BatchVerdict,
    Call,
    CellCountRatio,
    ChannelVerdict,
    CommonName,
    Concentration,
    DoseStep,
    Effect,
    ExplainedByCount,
    Family,
    MechanismLabel,
    PerturbationId,
    PositionVerdict,
    Precision,
    ProfileName,
    QualityVerdict,
    QValue,
    RunId,
    StrongestChannel,
    TreatmentKey,
)

MAP_FORM = 1
"""Counted up whenever `RunMap` changes, so that a catalog's maps of before are made anew."""


class MapPoint(Body):
    """One treatment of a map. Its place is null where nothing could be clustered."""

    treatment: TreatmentKey
    perturbation: PerturbationId
    control_type: Family
    name: CommonName
    mechanism: AnnotatedMechanism
    call: Call
    q_value: QValue
    effect: Effect
    cluster: int | None = Field(description="From 1 on, by size; null is noise.")
    probability: float | None = Field(description="How firmly it belongs to its cluster; 0 for noise.")
    umap_x: float | None = Field(description="Place in the picture; its axes mean nothing.")
    umap_y: float | None = Field(description="As `umap_x`.")
    cell_count_ratio: CellCountRatio
    batches: tuple[str, ...] = Field(description="Of its wells that were not excluded, by name.")
    plates: tuple[str, ...] = Field(description="Of the same wells.")


class ClusterRow(Body):
    """Treatments that lie together, and the mechanism that is most enriched among them."""

    cluster: int | None = Field(description="Null is the noise: what lies in no cluster.")
    size: int = Field(ge=1, description="Treatments.")
    n_perturbations: int = Field(ge=1, description="Perturbations among them, whatever their dose.")
    members: tuple[str, ...] = Field(description="Names, or perturbations that have none, each once.")
    mechanism: str | None = Field(description="The one that is most enriched; null where none is annotated.")
    n_with_mechanism: int | None = Field(description="Perturbations of the cluster that are annotated with it.")
    p_value: float | None = Field(description="Of so many by chance (hypergeometric).")
    q_value: float | None = Field(description="The same, over all clusters and mechanisms (Benjamini-Hochberg).")
    share_annotated: float | None = Field(description="Of the perturbations of the cluster.")


class ClusterFigure(Body):
    """One figure that clusters and profiles are judged by, beside what shuffled annotations give."""

    figure: str = Field(description="What it is, such as the agreement of clusters and mechanisms.")
    value: float | None = Field(description="Null where there is none.")
    shuffled: float | None = Field(description="Its mean where annotations are shuffled.")
    n: int = Field(description="What it rests on: treatments, or perturbations.")
    reason: str | None = Field(description="Why there is no value.")


class RunMap(Body):
    """The treatments of a run on one profile: their places in a picture, and their clusters."""

    run: RunId
    profile: ProfileName
    everything: bool = Field(description="Whether treatments that are no hits are in it.")
    items: tuple[MapPoint, ...] = Field(description="By treatment.")
    clusters: tuple[ClusterRow, ...] = Field(description="The largest first, the noise last.")
    figures: tuple[ClusterFigure, ...] = Field(description="How far to trust the clusters.")
    notes: tuple[str, ...] = Field(description="What could not be done, and why.")


class MapUnderWay(Body):
    """That a map is being made, or waits for another one."""

    state: Literal["computing"] = Field(default="computing", description="Ask again after `Retry-After`.")


class CallFigures(Body):
    """What one side of a comparison says of a treatment."""

    call: Call
    q_value: QValue
    effect: Effect
    mean_average_precision: Precision
    cell_count_ratio: CellCountRatio
    explained_by_count: ExplainedByCount
    position_verdict: PositionVerdict
    channel_verdict: ChannelVerdict
    channel: StrongestChannel
    batch_verdict: BatchVerdict
    quality_verdict: QualityVerdict
    n_replicates: int = Field(description="Wells that it rests on.")


class ComparedCall(Body):
    """A treatment that is a hit on one side or on both."""

    treatment: TreatmentKey
    perturbation: PerturbationId
    concentration_micromolar: Concentration
    dose_step: DoseStep
    name: CommonName
    mechanism: MechanismLabel
    control_type: Family
    change: Literal["gained", "lost", "both"] = Field(description="A hit of the run alone, of the other, or of both.")
    before: CallFigures | None = Field(description="Of the other run; null where it did not call the treatment.")
    after: CallFigures | None = Field(description="Of the run.")


class Comparison(Body):
    """Hits gained and lost: of a run, held against another one, or against itself on another profile."""

    run: RunId
    other: RunId
    profile: ProfileName
    other_profile: ProfileName
    q_max: float = Field(description="A hit has a q of at most this.")
    gained: int = Field(ge=0, description="Hits of the run that are none of the other.")
    lost: int = Field(ge=0, description="Hits of the other that are none of the run.")
    both: int = Field(ge=0, description="Hits of both.")
    items: tuple[ComparedCall, ...] = Field(description="Gained, then lost, then both; the smallest q first.")
