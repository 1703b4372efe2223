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
from schemas.encoders import EncoderInfo
from schemas.work import RunPin, RunState

LARGEST_PAGE = 500
"""Rows of one page, at most."""

T = TypeVar("T")
ControlType = Literal["treatment", "negcon", "poscon", "empty"]
CallName = Literal["active", "inactive", "underpowered", "not_callable"]
MechanismSource = Literal["annotated", "predicted", "none"]


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
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="One paragraph: what was expected, what came, where, and what to do.")
    instance: str = Field(description="Path that was asked.")
    request_id: str = Field(description="Stands in the server's log too.")
    errors: tuple[FieldError, ...] = ()


class Page(Body, Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    next_cursor: str | None = Field(description="Goes into `cursor` for the next page; null on the last one.")


class Health(Body):
    """That the process is there, or the database too."""

    status: Literal["ok"] = "ok"
    version: str


class Screen(Body):
    """One project."""

    screen: str
    plates: int = Field(ge=0)
    runs: int = Field(ge=0)
    newest_run: str | None = Field(description="In any state, such as run-12.")
    created_at: datetime


class ScreenPage(Page[Screen]):
    """Screens by name; never more than one page."""


class PlateDescription(Body):
    """What a plate was made with, as far as its SCREEN.yaml says."""

    batch: str | None
    source: str | None
    cell_line: str | None
    timepoint: str | None
    stain_lot: str | None
    instrument: str | None
    compound_lot: str | None


class PlateSummary(PlateDescription):
    """One physical plate, as it was last described."""

    screen: str
    barcode: str
    runs: int = Field(ge=0)
    newest_run: str | None


class PlatePage(Page[PlateSummary]):
    """Plates by screen and barcode."""


class RunPlate(PlateDescription):
    """One plate as it took part in a run: where it lay then, and what the check said."""

    barcode: str
    run: str
    uri: str = Field(description="Where the run has read it.")
    layout: str
    manifest_sha256: str
    verdict: Verdict


class RunPlatePage(Page[RunPlate]):
    """Plates of a run by barcode; never more than one page."""

    run: str


class PlateRun(Body):
    """One run that a plate took part in."""

    run: str
    state: RunState
    verdict: Verdict


class PlateQuality(Body):
    """What became of a plate's wells and sites."""

    wells: dict[str, int] = Field(description="Wells of each control type.")
    sites: int = Field(ge=0)
    sites_failed: int = Field(ge=0, description="That could not be read.")
    sites_flagged: int = Field(ge=0, description="Out of focus or saturated.")
    median_negcon_cells: float | None = Field(description="Cells a site of the negative controls.")


class Plate(RunPlate):
    """One plate of a run with its acceptance report, and the other runs that it took part in."""

    screen: str
    runs: tuple[PlateRun, ...] = Field(description="Newest first.")
    report: AcceptanceReport
    quality: PlateQuality
    links: dict[str, str]


class WellCall(Body):
    """What a run says of the treatment of a well; the numbers are of the treatment, not of this well alone."""

    call: CallName
    is_hit: bool
    q_value: float | None
    mean_average_precision: float | None
    effect: float | None
    cell_count_ratio: float | None
    explained_by_count: str | None


class Well(Body):
    """One well of a plate: what was done to it, what became of its sites, and what is said of its treatment."""

    well: str
    perturbation: str | None
    concentration_micromolar: float | None
    dose_step: float | None
    treatment: str | None = Field(description="Key of the treatment: perturbation with its dose.")
    control_type: ControlType
    name: str | None
    mechanism: str | None = Field(description="As annotated.")
    excluded_reason: str | None
    sites: int = Field(ge=0)
    sites_failed: int = Field(ge=0)
    flags: tuple[str, ...] = Field(description="Of its sites, such as blurred:DNA.")
    cell_count: float | None = Field(description="Mean over the sites that were counted.")
    call: WellCall | None = Field(description="Null where none is made: controls, empty wells, unfinished runs.")
    image: str = Field(description="Path of its picture.")


class WellPage(Page[Well]):
    """Wells of a plate, in the order of rows and columns; never more than one page."""

    plate: str
    run: str
    profile: str


class PlateProgress(Body):
    """How far a plate of a run is."""

    barcode: str
    units: int
    units_done: int
    units_failed: int
    sites: int
    sites_done: int
    sites_failed: int


class Progress(Body):
    """How far a run is; null where nothing has finished lately."""

    units: dict[str, int] = Field(description="Units in each state.")
    sites: int
    sites_done: int
    sites_failed: int
    sites_per_second: float | None
    eta_seconds: float | None
    drivers: int = Field(description="Processes that hold units now.")
    plates: tuple[PlateProgress, ...]


class Failure(Body):
    """A unit or a site that failed, with its reason."""

    plate: str
    well: str | None
    site: int | None
    sites: int = Field(description="That have no vectors because of it.")
    reason: str


class RunSummary(Body):
    """One run in a list."""

    id: str = Field(examples=["run-12"])
    screen: str
    state: RunState
    plates: int
    units: int
    units_done: int
    units_failed: int
    sites: int
    code_version: str
    created_at: datetime
    finished_at: datetime | None


class RunPage(Page[RunSummary]):
    """Runs, newest first."""


class Run(Body):
    """One run: what it is, how far it is, what failed, and what people should know of its results."""

    id: str = Field(examples=["run-12"])
    screen: str
    state: RunState
    is_finished: bool = Field(description="Whether its results can be asked for.")
    code_version: str
    config_sha256: str
    pin: RunPin | None = Field(description="Null until the delivery was looked at.")
    encoders: tuple[EncoderInfo, ...] = Field(description="Empty until the delivery was looked at.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    notes: tuple[str, ...]
    progress: Progress
    failures: tuple[Failure, ...] = Field(description="The first of them.")
    n_failures: int
    links: dict[str, str]


class Hit(Body):
    """A call on one treatment: the columns of `hcs hits`."""

    treatment: str
    perturbation: str
    concentration_micromolar: float | None
    dose_step: float | None
    control_type: Literal["treatment", "poscon"]
    profile: str
    n_replicates: int
    n_plates: int
    n_batches: int
    n_controls: int
    mean_average_precision: float | None
    p_value: float | None
    smallest_possible_p: float | None
    q_value: float | None
    is_hit: bool
    call: CallName
    reason: str | None
    effect: float | None
    cell_count_ratio: float | None
    explained_by_count: Literal["explained", "not_explained", "cannot_tell"] | None
    name: str | None
    smiles: str | None
    mechanism: str | None
    mechanism_source: MechanismSource
    predicted_mechanism: str | None
    mechanism_evidence: str | None = Field(description="A JSON object as text.")


class HitPage(Page[Hit]):
    """Hits, the smallest q first, then the largest effect."""

    run: str
    profile: str


class Neighbour(Body):
    """One of the most similar treatments of a treatment, and what is known of it."""

    profile: str
    treatment: str
    rank: int
    neighbour: str = Field(description="Key of the similar treatment.")
    similarity: float | None
    perturbation: str | None
    concentration_micromolar: float | None
    dose_step: float | None
    control_type: ControlType | None
    name: str | None
    mechanism: str | None
    mechanism_source: MechanismSource | None
    q_value: float | None
    call: CallName | None


class NeighbourPage(Page[Neighbour]):
    """Neighbours of each dose, nearest first."""

    run: str
    perturbation: str


class PerturbationWell(Body):
    """One well that a perturbation was in."""

    plate: str
    well: str
    treatment: str | None
    concentration_micromolar: float | None
    dose_step: float | None
    control_type: ControlType
    excluded_reason: str | None
    sites: int
    sites_failed: int
    cell_count: float | None = Field(description="Mean over the sites that were counted.")
    image: str = Field(description="Path of its picture.")


class Perturbation(Body):
    """Everything that a run holds of one perturbation."""

    run: str
    perturbation: str
    name: str | None
    smiles: str | None
    inchikey: str | None
    mechanism: str | None
    calls: tuple[Hit, ...] = Field(description="One a dose and profile.")
    neighbours: tuple[Neighbour, ...]
    wells: tuple[PerturbationWell, ...]
    n_wells: int = Field(description="All of them; `wells` holds the first.")
    links: dict[str, str]


class Mechanism(Body):
    """One label, and how many treatments have it."""

    label: str
    treatments: int = Field(ge=1)
    hits: int = Field(ge=0)


class MechanismPage(Page[Mechanism]):
    """Mechanisms by name; never more than one page."""

    run: str
    profile: str


class Profile(Body):
    """One file of well profiles that a run published."""

    name: str
    n_rows: int
    n_features: int
    n_bytes: int
    sha256: str


class ProfilePage(Page[Profile]):
    """Profiles of a run by name; never more than one page."""

    run: str
