"""What the API sends and takes, beside the records that it shares with the rest: `ScreenConfig`, `AcceptanceReport`.

A reader ignores fields that it does not know, so that an older client understands a newer server. Texts are verbatim:
a compound may be called `<script>` or `=1+1`, and whoever shows a name escapes it. A number that nobody knows, or that
is not finite, is null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from schemas.acceptance import AcceptanceReport, Verdict
from schemas.described import (
    AnnotatedMechanism,
    AnyCall,
    AnyPerturbation,
    AnySource,
    AnyTreatment,
    Barcode,
    BatchVerdict,
    Call,
    CellCount,
    CellCountRatio,
    ChannelVerdict,
    CodeVersion,
    CommonName,
    Concentration,
    ControlType,
    Created,
    DoseStep,
    Doubts,
    Effect,
    ExcludedReason,
    ExplainedByCount,
    Family,
    Finished,
    IsHit,
    LayoutName,
    Links,
    MechanismLabel,
    PerturbationId,
    Picture,
    PositionVerdict,
    Precision,
    ProfileName,
    QualityVerdict,
    QValue,
    RunId,
    ScreenName,
    Sites,
    SitesDone,
    SitesFailed,
    Smiles,
    Source,
    StrongestChannel,
    TreatmentKey,
    Units,
    UnitsDone,
    UnitsFailed,
    WellKind,
    WellName,
)
from schemas.encoders import EncoderInfo
from schemas.work import DispatchState, RunPin, RunState

LARGEST_PAGE = 5_000
"""Rows of one page, at most."""

T = TypeVar("T")


class Body(BaseModel):
    """What the API sends: immutable, and read with an eye shut to fields of a later version."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class FieldError(Body):
    """One thing that is wrong with a request, and where."""

    pointer: str | None = Field(
        default=None,
        description="Place in the body, as a JSON pointer (RFC 6901) behind #.",
        examples=["#/plates/0/uri"],
    )
    parameter: str | None = Field(default=None, description="Parameter of the path, the query or a header.")
    detail: str = Field(description="What was expected, and what came.")


class Problem(Body):
    """Why a request was not answered as asked (RFC 9457)."""

    type: str = Field(
        description="Kind of problem: one word behind `urn:hcs:`, and stable.", examples=["urn:hcs:not-found"]
    )
    title: str = Field(description="The kind in words.")
    status: int = Field(ge=400, le=599, description="Status of the answer.")
    detail: str = Field(description="One paragraph: what was expected, what came, where, and what to do.")
    instance: str = Field(description="Path that was asked.")
    request_id: str = Field(description="Stands in the server's log too.")
    errors: tuple[FieldError, ...] = Field(default=(), description="Each place that is wrong, where there are such.")


class Page(Body, Generic[T]):
    """A part of a list."""

    items: tuple[T, ...] = Field(description="Rows of this page, in the order of the list.")
    next_cursor: str | None = Field(description="Goes into `cursor` for the next page; null on the last one.")


class Health(Body):
    """That the process is there, or the database too."""

    status: Literal["ok"] = Field(default="ok", description="Else the answer is a problem.")
    version: CodeVersion


class Screen(Body):
    """One project."""

    screen: ScreenName
    plates: int = Field(ge=0, description="Plates of it that runs have read.")
    runs: int = Field(ge=0, description="Runs of it, in any state.")
    newest_run: str | None = Field(description="In any state, such as run-12.")
    created_at: Created


class ScreenPage(Page[Screen]):
    """Screens by name; never more than one page."""


class PlateDescription(Body):
    """What a plate was made with, as far as its SCREEN.yaml says."""

    batch: str | None = Field(description="Batch that it was made in.")
    source: str | None = Field(description="Site or laboratory that it comes from.")
    cell_line: str | None = Field(description="Cells in its wells.")
    timepoint: str | None = Field(description="How long the cells were treated.")
    stain_lot: str | None = Field(description="Lot of the stains.")
    instrument: str | None = Field(description="Microscope.")
    compound_lot: str | None = Field(description="Lot of the compounds.")


class PlateSummary(PlateDescription):
    """One physical plate, as it was last described."""

    screen: ScreenName
    barcode: Barcode
    runs: int = Field(ge=0, description="Runs that it took part in.")
    newest_run: str | None = Field(description="Of these, in any state.")


class PlatePage(Page[PlateSummary]):
    """Plates by screen and barcode."""


class RunPlate(PlateDescription):
    """One plate as it took part in a run: where it lay then, and what the check said."""

    barcode: Barcode
    run: RunId
    uri: str = Field(description="Where the run has read it.")
    layout: LayoutName
    manifest_sha256: str = Field(description="Of its images' names and sizes, not of their pixels.")
    verdict: Verdict = Field(description="What the check said of the delivery.")


class RunPlatePage(Page[RunPlate]):
    """Plates of a run by barcode; never more than one page."""

    run: RunId


class PlateRun(Body):
    """One run that a plate took part in."""

    run: RunId
    state: RunState = Field(description="How far the run is.")
    verdict: Verdict = Field(description="What the check said of the delivery.")


class PlateQuality(Body):
    """What became of a plate's wells and sites."""

    wells: dict[str, int] = Field(description="Wells of each control type.")
    sites: Sites
    sites_failed: SitesFailed
    sites_flagged: int = Field(ge=0, description="Out of focus or saturated.")
    median_negcon_cells: float | None = Field(description="Cells a site of the negative controls.")


class Plate(RunPlate):
    """One plate of a run with its acceptance report, and the other runs that it took part in."""

    screen: ScreenName
    runs: tuple[PlateRun, ...] = Field(description="Newest first.")
    report: AcceptanceReport = Field(description="What the check of the delivery found.")
    quality: PlateQuality = Field(description="What became of its wells and sites.")
    links: Links


class WellCall(Body):
    """What a run says of the treatment of a well; the numbers are of the treatment, not of this well alone."""

    call: Call
    is_hit: IsHit
    q_value: QValue
    mean_average_precision: Precision
    effect: Effect
    cell_count_ratio: CellCountRatio
    explained_by_count: ExplainedByCount
    channel_verdict: ChannelVerdict
    channel: StrongestChannel
    batch_verdict: BatchVerdict
    quality_verdict: QualityVerdict
    doubts: Doubts


class Well(Body):
    """One well of a plate: what was done to it, what became of its sites, and what is said of its treatment."""

    well: WellName
    perturbation: AnyPerturbation
    concentration_micromolar: Concentration
    dose_step: DoseStep
    treatment: AnyTreatment
    control_type: WellKind
    name: CommonName
    mechanism: AnnotatedMechanism
    excluded_reason: ExcludedReason
    sites: Sites
    sites_failed: SitesFailed
    flags: tuple[str, ...] = Field(description="Of its sites, such as blurred:DNA.")
    cell_count: CellCount
    call: WellCall | None = Field(description="Null where none is made: controls, empty wells, unfinished runs.")
    image: Picture


class WellPage(Page[Well]):
    """Wells of a plate, in the order of rows and columns; never more than one page."""

    plate: Barcode
    run: RunId
    profile: ProfileName


class PlateProgress(Body):
    """How far a plate of a run is."""

    barcode: Barcode
    units: Units
    units_done: UnitsDone
    units_failed: UnitsFailed
    sites: Sites
    sites_done: SitesDone
    sites_failed: SitesFailed


class Progress(Body):
    """How far a run is; null where nothing has finished lately."""

    units: dict[str, int] = Field(description="Units in each state.")
    sites: Sites
    sites_done: SitesDone
    sites_failed: SitesFailed
    sites_per_second: float | None = Field(description="Of late.")
    eta_seconds: float | None = Field(description="Seconds until the last site is done, at that speed.")
    drivers: int = Field(description="Processes that hold units now.")
    plates: tuple[PlateProgress, ...] = Field(description="The same, plate by plate.")


class Failure(Body):
    """A unit or a site that failed, with its reason."""

    plate: Barcode
    well: str | None = Field(description="Null where a whole unit failed.")
    site: int | None = Field(description="Number of the site in its well; null where a whole unit failed.")
    sites: int = Field(description="That have no vectors because of it.")
    reason: str = Field(description="Why; `retry` takes a part of this text.")


class RunSummary(Body):
    """One run in a list."""

    id: RunId
    screen: ScreenName
    state: RunState = Field(description="How far it is.")
    plates: int = Field(description="Plates of it; 0 until the delivery was looked at.")
    units: Units
    units_done: UnitsDone
    units_failed: UnitsFailed
    sites: Sites
    code_version: CodeVersion
    created_at: Created
    finished_at: Finished


class RunPage(Page[RunSummary]):
    """Runs, newest first."""


class RunDispatch(Body):
    """One time that a run was given to Kubernetes, where a dispatcher there performs runs."""

    attempt: int = Field(description="Which time it is, from 1.")
    name: str = Field(description="Of its RayJob.")
    state: DispatchState = Field(
        description="`asked`: its RayJob is to be made; `waiting`: it is, and does not work so far; `working`; `ended`."
    )
    message: str | None = Field(description="What it waits for, how it works, or why it ended, in words.")
    changed_at: datetime = Field(description="Since when that is so, in UTC.")


class Run(Body):
    """One run: what it is, how far it is, what failed, and what people should know of its results."""

    id: RunId
    screen: ScreenName
    state: RunState = Field(description="How far it is.")
    is_finished: bool = Field(description="Whether its results can be asked for.")
    code_version: CodeVersion
    config_sha256: str = Field(description="Of all that determines its results; of the submission until it is begun.")
    pin: RunPin | None = Field(description="What it is computed with; null until the delivery was looked at.")
    encoders: tuple[EncoderInfo, ...] = Field(description="Empty until the delivery was looked at.")
    created_at: Created
    started_at: datetime | None = Field(description="When it was first begun, in UTC.")
    finished_at: Finished
    notes: tuple[str, ...] = Field(description="What people should know of its results, or why it failed.")
    progress: Progress = Field(description="How far it is, in numbers.")
    dispatch: RunDispatch | None = Field(
        default=None,
        description="How a run stands on Kubernetes that is not at its end: the last time that it was given there. "
        "Null where another kind of dispatcher performs it, or none has seen it so far.",
    )
    failures: tuple[Failure, ...] = Field(description="The first of them.")
    n_failures: int = Field(description="All of them.")
    links: Links


class Hit(Body):
    """A call on one treatment: the columns of `hcs hits`, and what else could explain it in words."""

    treatment: TreatmentKey
    perturbation: PerturbationId
    concentration_micromolar: Concentration
    dose_step: DoseStep
    control_type: Family
    profile: ProfileName
    n_replicates: int = Field(description="Wells of the treatment that were compared.")
    n_plates: int = Field(description="Plates that they are on.")
    n_batches: int = Field(description="Batches of these plates.")
    n_controls: int = Field(description="Negative control wells on the plates of the replicates.")
    mean_average_precision: Precision
    p_value: float | None = Field(
        description="How often the same wells agree as much when replicates and controls are exchanged."
    )
    smallest_possible_p: float | None = Field(description="The p that a perfect score gets in this design.")
    p_position: float | None = Field(
        description="`p_value` without what the places of wells give for nothing; as it came where they "
        "are `not_shared` or `not_testable`."
    )
    smallest_possible_p_position: float | None = Field(description="`smallest_possible_p`, corrected alike.")
    position_verdict: PositionVerdict
    q_value: QValue
    is_hit: IsHit
    call: Call
    reason: str | None = Field(
        description="Why a treatment is `not_callable`, what of it was left out, or that it has one well."
    )
    effect: Effect
    cell_count_ratio: CellCountRatio
    explained_by_count: ExplainedByCount
    n_other_positions: int | None = Field(
        description="For hits: wells that have another one in another position of its plate."
    )
    other_positions_precision: float | None = Field(
        description="Mean average precision over pairs of wells in different positions; null where all share one."
    )
    channel_verdict: ChannelVerdict
    channel: StrongestChannel
    batch_verdict: BatchVerdict
    n_batches_testable: int | None = Field(description="For hits: batches with enough wells to tell.")
    n_batches_holding: int | None = Field(description="Of these, batches in which it holds by itself (p <= .05).")
    quality_verdict: QualityVerdict
    n_judged: int | None = Field(
        description="For hits: wells whose images were judged beside controls' that were judged too."
    )
    n_flagged: int | None = Field(description="Of these, wells with a flag.")
    flagged_share_of_controls: float | None = Field(description="Of the controls of the same plates.")
    name: CommonName
    smiles: Smiles
    mechanism: MechanismLabel
    mechanism_source: Source
    predicted_mechanism: str | None = Field(description="For hits: that of the nearest annotated hit.")
    mechanism_evidence: str | None = Field(
        description="A JSON object as text: the `neighbours` that a prediction stands on, and their `agreement`."
    )
    doubts: Doubts
    explanations: tuple[str, ...] = Field(
        description="What else could explain it, a sentence a question. For calls that are no hits the places of wells "
        "alone were looked at."
    )


class HitPage(Page[Hit]):
    """Hits, the smallest q first, then the largest effect."""

    run: RunId
    profile: ProfileName


class Neighbour(Body):
    """One of the most similar treatments of a treatment, and what is known of it."""

    profile: ProfileName
    treatment: TreatmentKey
    rank: int = Field(description="1 is the nearest.")
    neighbour: str = Field(description="Key of the similar treatment, of which all that follows is said.")
    similarity: float | None = Field(description="Cosine of the two profiles, from -1 to 1.")
    perturbation: AnyPerturbation
    concentration_micromolar: Concentration
    dose_step: DoseStep
    control_type: ControlType | None = Field(description="Of the neighbour's wells.")
    name: CommonName
    mechanism: MechanismLabel
    mechanism_source: AnySource
    q_value: QValue
    call: AnyCall


class NeighbourPage(Page[Neighbour]):
    """Neighbours of each dose, nearest first."""

    run: RunId
    perturbation: PerturbationId


class PerturbationWell(Body):
    """One well that a perturbation was in."""

    plate: Barcode
    well: WellName
    treatment: AnyTreatment
    concentration_micromolar: Concentration
    dose_step: DoseStep
    control_type: WellKind
    excluded_reason: ExcludedReason
    sites: Sites
    sites_failed: SitesFailed
    cell_count: CellCount
    image: Picture


class Perturbation(Body):
    """Everything that a run holds of one perturbation."""

    run: RunId
    perturbation: PerturbationId
    name: CommonName
    smiles: Smiles
    inchikey: str | None = Field(description="Hash of the structure, as annotated.")
    mechanism: AnnotatedMechanism
    calls: tuple[Hit, ...] = Field(description="One a dose and profile.")
    neighbours: tuple[Neighbour, ...] = Field(description="Of each dose and profile, the nearest first.")
    wells: tuple[PerturbationWell, ...] = Field(description="By plate, in the order of rows and columns.")
    n_wells: int = Field(description="All of them; `wells` holds the first.")
    links: Links


class Mechanism(Body):
    """One label, and how many treatments have it."""

    label: str = Field(description="What `mechanism` of the hits asks for.")
    treatments: int = Field(ge=1, description="Treatments that have it, annotated or predicted.")
    hits: int = Field(ge=0, description="Of these, those that are hits.")


class MechanismPage(Page[Mechanism]):
    """Mechanisms by name; never more than one page."""

    run: RunId
    profile: ProfileName


class Profile(Body):
    """One file of well profiles that a run published."""

    name: str = Field(description="`combined`, or the encoder that it is made of.")
    n_rows: int = Field(description="Wells.")
    n_features: int = Field(description="Numbers a well.")
    n_bytes: int = Field(description="Size of the file.")
    sha256: str = Field(description="Of the file.")


class ProfilePage(Page[Profile]):
    """Profiles of a run by name; never more than one page."""

    run: RunId
