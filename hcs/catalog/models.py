"""The tables of the catalog.

Times are seconds since 1970 by the database's clock, and stand in tables that no export reads. Tables that exports read
(wells, sites, channels, calls, neighbours) hold nothing that depends on the time or the machine.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hcs.catalog.dialects import named_metadata
from schemas.work import DispatchState, RunState, UnitState

Sha256 = String(64)


def _states(enumeration: type[StrEnum]) -> Enum:
    """Return a text column that takes the values of an enumeration, checked by the database."""
    return Enum(
        enumeration,
        native_enum=False,
        create_constraint=True,
        length=24,
        name="state",
        values_callable=lambda members: [member.value for member in members],
    )


class Base(DeclarativeBase):
    """Every table of the catalog."""

    metadata = named_metadata()
    type_annotation_map: ClassVar = {
        str: Text(),
        RunState: _states(RunState),
        UnitState: _states(UnitState),
        DispatchState: _states(DispatchState),
    }


class Screen(Base):
    """One project."""

    __tablename__ = "screens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[float]


class PlateDescription:
    """What a plate was made with, as its SCREEN.yaml says."""

    batch: Mapped[str | None]
    source: Mapped[str | None]
    cell_line: Mapped[str | None]
    timepoint: Mapped[str | None]
    stain_lot: Mapped[str | None]
    instrument: Mapped[str | None]
    compound_lot: Mapped[str | None]


class Plate(PlateDescription, Base):
    """One physical plate, as last described."""

    __tablename__ = "plates"
    __table_args__ = (UniqueConstraint("screen_id", "barcode"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    screen_id: Mapped[int] = mapped_column(ForeignKey("screens.id"))
    barcode: Mapped[str] = mapped_column(index=True)


class Run(Base):
    """One execution of one configuration. `repetition` counts the runs of the same configuration."""

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("config_sha256", "repetition"),
        Index(None, "state", "finished_at"),
        {"sqlite_autoincrement": True},  # the number of a run is never given again
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    screen_id: Mapped[int] = mapped_column(ForeignKey("screens.id"), index=True)
    config_sha256: Mapped[str] = mapped_column(Sha256)
    repetition: Mapped[int]
    config: Mapped[str]
    code_version: Mapped[str]
    pin: Mapped[str]
    encoders: Mapped[str]
    state: Mapped[RunState]
    notes: Mapped[str]
    results_sha256: Mapped[str | None] = mapped_column(Sha256)
    has_flags: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class Submission(Base):
    """That a run was submitted for a dispatcher to perform: who asked, and which dispatcher is at it now."""

    __tablename__ = "submissions"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    submission_sha256: Mapped[str] = mapped_column(Sha256, index=True)
    submitted_by: Mapped[str | None]
    owner: Mapped[str | None]
    lease_until: Mapped[float | None]
    attempts: Mapped[int]
    retry_only: Mapped[str | None]


class Dispatch(Base):
    """One time that a run was given to somewhere else to be performed, and what became of that.

    `units_before` were done when it began, `units_done` when it ended. It `is_counted` until its run is asked for
    again: what went wrong before says nothing of what was changed since. A run has one that has not ended at most.
    """

    __tablename__ = "dispatches"
    __table_args__ = (
        Index(
            "ix_dispatches_run_id_open",
            "run_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    state: Mapped[DispatchState]
    message: Mapped[str | None]
    units_before: Mapped[int]
    units_done: Mapped[int]
    is_counted: Mapped[bool] = mapped_column(server_default=true())
    asked_at: Mapped[float]
    changed_at: Mapped[float]
    ended_at: Mapped[float | None]


class Identity(Base):
    """One row: which catalog this is, and the secret that its cursors are signed with."""

    __tablename__ = "identity"

    id: Mapped[int] = mapped_column(primary_key=True)
    catalog: Mapped[str]
    cursor_secret: Mapped[str]


class ApiKey(Base):
    """Who may ask what over HTTP. The secret itself is nowhere; `scopes` are separated by spaces."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_sha256: Mapped[str] = mapped_column(Sha256)
    name: Mapped[str]
    scopes: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class IdempotencyKey(Base):
    """A request of a client that must not be carried out twice, and the run that it made."""

    __tablename__ = "idempotency_keys"

    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str] = mapped_column(Sha256)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    created_at: Mapped[float]


class Writer(Base):
    """What the last transaction of a connection wrote down of itself; a catalog in a file has none."""

    __tablename__ = "writers"

    writer: Mapped[str] = mapped_column(primary_key=True)
    token: Mapped[str]
    written_at: Mapped[float]


class RunPlate(PlateDescription, Base):
    """One plate of a run, as it was delivered and described then."""

    __tablename__ = "run_plates"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    plate: Mapped[str] = mapped_column(primary_key=True)
    plate_id: Mapped[int] = mapped_column(ForeignKey("plates.id"), index=True)
    root_uri: Mapped[str]
    layout: Mapped[str]
    manifest_sha256: Mapped[str] = mapped_column(Sha256)
    report: Mapped[str]
    survey_sha256: Mapped[str | None] = mapped_column(Sha256)


class RunWell(Base):
    """What was done to a well, as the platemaps said when the run was made."""

    __tablename__ = "run_wells"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "plate"], ["run_plates.run_id", "run_plates.plate"]),
        Index(None, "run_id", "perturbation"),
        Index(None, "run_id", "treatment"),
    )

    run_id: Mapped[int] = mapped_column(primary_key=True)
    plate: Mapped[str] = mapped_column(primary_key=True)
    well: Mapped[str] = mapped_column(primary_key=True)
    perturbation: Mapped[str | None]
    concentration_micromolar: Mapped[float | None]
    dose_step: Mapped[float | None]
    treatment: Mapped[str | None]
    control_type: Mapped[str]
    name: Mapped[str | None]
    smiles: Mapped[str | None]
    inchikey: Mapped[str | None]
    mechanism: Mapped[str | None]
    platemap_columns: Mapped[str] = mapped_column("metadata")
    excluded_reason: Mapped[str | None]


class Unit(Base):
    """The ledger: one piece of work of a run."""

    __tablename__ = "units"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "plate"], ["run_plates.run_id", "run_plates.plate"]),
        Index(None, "run_id", "state", "ordinal"),
        Index(None, "run_id", "plate"),
        Index(None, "key", "state"),
    )

    run_id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Sha256, primary_key=True)
    ordinal: Mapped[int]
    kind: Mapped[str]
    plate: Mapped[str]
    state: Mapped[UnitState]
    owner: Mapped[str | None]
    fence: Mapped[int]
    attempt: Mapped[int]
    lease_until: Mapped[float | None]
    reason: Mapped[str | None]
    n_sites: Mapped[int]
    n_failed_sites: Mapped[int | None]
    spec: Mapped[str]
    seconds: Mapped[str | None]
    leased_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class OfUnit:
    """Columns of a row that belongs to one unit of one run. Keys begin with the run."""

    run_id: Mapped[int] = mapped_column(primary_key=True, sort_order=-1)
    unit_key: Mapped[str] = mapped_column(Sha256)


def _unit_reference() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["run_id", "unit_key"], ["units.run_id", "units.key"])


class Part(OfUnit, Base):
    """One file that a unit wrote. A file without a row here does not exist. `encoder` is empty where none is meant."""

    __tablename__ = "parts"
    __table_args__ = (_unit_reference(), Index(None, "run_id", "kind"))

    unit_key: Mapped[str] = mapped_column(Sha256, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    encoder: Mapped[str] = mapped_column(primary_key=True)
    relative_path: Mapped[str]
    sha256: Mapped[str] = mapped_column(Sha256)
    n_bytes: Mapped[int] = mapped_column(BigInteger())
    n_rows: Mapped[int]


class Site(OfUnit, Base):
    """One site of a run: read, or failed with its reason."""

    __tablename__ = "sites"
    __table_args__ = (_unit_reference(), Index(None, "run_id", "unit_key"), Index(None, "run_id", "status"))

    plate: Mapped[str] = mapped_column(primary_key=True)
    well: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    reason: Mapped[str | None]
    cell_count: Mapped[int | None]
    n_tiles: Mapped[int]
    height: Mapped[int | None]
    width: Mapped[int | None]


def _site_reference() -> ForeignKeyConstraint:
    names = ["run_id", "plate", "well", "site"]
    return ForeignKeyConstraint(names, [f"sites.{name}" for name in names])


class SiteChannel(Base):
    """The measures of one channel of a site that could be read. They belong to the unit of the site."""

    __tablename__ = "site_channels"
    __table_args__ = (_site_reference(),)

    run_id: Mapped[int] = mapped_column(primary_key=True)
    plate: Mapped[str] = mapped_column(primary_key=True)
    well: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    power_loglog_slope: Mapped[float | None]
    saturation_fraction: Mapped[float]
    mean: Mapped[float]
    sd: Mapped[float]
    percentile_1: Mapped[float]
    percentile_99: Mapped[float]


class FlaggedSite(Base):
    """One site of a run that looks unlike the rest of its plate. `Run.has_flags` says whether sites were looked at."""

    __tablename__ = "flagged_sites"
    __table_args__ = (_site_reference(),)

    run_id: Mapped[int] = mapped_column(primary_key=True)
    plate: Mapped[str] = mapped_column(primary_key=True)
    well: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[int] = mapped_column(primary_key=True)
    flags: Mapped[str]


class Profile(Base):
    """One file of well profiles that a run published."""

    __tablename__ = "profiles"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    relative_path: Mapped[str]
    sha256: Mapped[str] = mapped_column(Sha256)
    n_bytes: Mapped[int] = mapped_column(BigInteger())
    n_rows: Mapped[int]
    n_features: Mapped[int]


class OfTreatment:
    """Columns of a row that belongs to one treatment, called on one profile of one run."""

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True, sort_order=-40)
    profile: Mapped[str] = mapped_column(primary_key=True, sort_order=-30)
    treatment: Mapped[str] = mapped_column(primary_key=True, sort_order=-10)


class Call(OfTreatment, Base):
    """What a run says of a treatment."""

    __tablename__ = "calls"
    __table_args__ = (Index(None, "run_id", "profile", "q_value"), Index(None, "run_id", "perturbation"))

    control_type: Mapped[str] = mapped_column(primary_key=True)
    perturbation: Mapped[str]
    concentration_micromolar: Mapped[float | None]
    dose_step: Mapped[float | None]
    n_replicates: Mapped[int]
    n_plates: Mapped[int]
    n_batches: Mapped[int]
    n_controls: Mapped[int]
    mean_average_precision: Mapped[float | None]
    p_value: Mapped[float | None]
    smallest_possible_p: Mapped[float | None]
    p_position: Mapped[float | None]
    smallest_possible_p_position: Mapped[float | None]
    position_verdict: Mapped[str | None]
    q_value: Mapped[float | None]
    is_hit: Mapped[bool]
    call: Mapped[str]
    reason: Mapped[str | None]
    effect: Mapped[float | None]
    cell_count_ratio: Mapped[float | None]
    explained_by_count: Mapped[str | None]
    n_other_positions: Mapped[int | None]
    other_positions_precision: Mapped[float | None]
    channel_verdict: Mapped[str | None]
    channel: Mapped[str | None]
    batch_verdict: Mapped[str | None]
    n_batches_testable: Mapped[int | None]
    n_batches_holding: Mapped[int | None]
    quality_verdict: Mapped[str | None]
    n_judged: Mapped[int | None]
    n_flagged: Mapped[int | None]
    flagged_share_of_controls: Mapped[float | None]
    name: Mapped[str | None]
    smiles: Mapped[str | None]
    mechanism: Mapped[str | None]
    mechanism_source: Mapped[str]
    predicted_mechanism: Mapped[str | None]
    mechanism_evidence: Mapped[str | None]


class CallMechanism(OfTreatment, Base):
    """One label of a call's mechanism, case folded: what a query for a mechanism looks up, by the order of the key."""

    __tablename__ = "call_mechanisms"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "profile", "treatment", "control_type"],
            ["calls.run_id", "calls.profile", "calls.treatment", "calls.control_type"],
        ),
        Index(None, "run_id", "profile", "treatment", "control_type"),  # what removing a call looks up
    )

    folded_label: Mapped[str] = mapped_column(primary_key=True, sort_order=-20)
    control_type: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str]


class Neighbour(OfTreatment, Base):
    """One of the most similar treatments of a treatment."""

    __tablename__ = "neighbours"

    rank: Mapped[int] = mapped_column(Integer(), primary_key=True)
    neighbour: Mapped[str]
    similarity: Mapped[float]


class Grouping(Base):
    """A map of the treatments of a run on one profile, compressed: where they lie and which belong together.

    It is of the results with that digest. `form` counts the ways in which versions of hcs have written maps.
    """

    __tablename__ = "groupings"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    profile: Mapped[str] = mapped_column(primary_key=True)
    everything: Mapped[bool] = mapped_column(primary_key=True)
    form: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    results_sha256: Mapped[str] = mapped_column(Sha256)
    content: Mapped[bytes]
