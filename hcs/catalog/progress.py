"""How far runs are: what `hcs runs` and `hcs status` say, from the catalog alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, distinct, func, or_, select

from hcs.catalog.claims import OPEN
from hcs.catalog.dialects import Now
from hcs.catalog.dispatches import Dispatch, telling_dispatch
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import select_frame
from hcs.catalog.models import Run, RunPlate, Screen, Unit
from hcs.catalog.patience import patient
from hcs.catalog.registration import DESCRIPTION
from hcs.catalog.runs import run_record
from schemas.acceptance import AcceptanceReport
from schemas.work import RunState, UnitState

RATE_WINDOW_SECONDS = 600.0
"""The rate is that of the units which finished in the last ten minutes."""

PAUSE_SECONDS = 30.0
"""Longer than this without any unit at work is a pause, in which no rate is measured."""

REASON_CHARACTERS = 300
"""How much of a reason is read again and again while a run is looked at."""

_UNSUCCESSFUL = (UnitState.FAILED, UnitState.QUARANTINED)
_OPEN_UNITS = (UnitState.READY, UnitState.LEASED)


@dataclass(frozen=True)
class PlateProgress:
    """How far one plate of a run is.

    `units_failed` are those that are given up. `sites` is what was delivered until its embedding is planned. It
    `is_settled` when nothing of it is left to do: all is done or given up.
    """

    plate: str
    units: int
    units_leased: int
    units_done: int
    units_failed: int
    sites: int
    sites_done: int
    sites_failed: int
    is_settled: bool


@dataclass(frozen=True)
class FailedAttempt:
    """A unit that is not done and whose last attempt came to nothing: why, and which of its attempts it was."""

    key: str
    plate: str
    kind: str
    attempt: int
    reason: str


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    `drivers` are processes that hold units now. `sites_failed` could not be read, or belong to units that are given up.
    Rate and remaining time are None while nothing has finished lately. `dispatch` says how an open run stands that was
    given to somewhere else to be performed.
    """

    name: str
    state: RunState
    units: dict[UnitState, int]
    drivers: int
    sites: int
    sites_done: int
    sites_failed: int
    sites_per_second: float | None
    eta_seconds: float | None
    plates: tuple[PlateProgress, ...]
    failed_attempts: tuple[FailedAttempt, ...]
    notes: tuple[str, ...]
    dispatch: Dispatch | None


@patient
def run_status(catalog: Catalog, run_id: int) -> RunStatus:
    """Return how far a run is, as one state of the catalog says; it is asked about once a second, and adds up there.

    Raises:
        NotFoundError: If there is no such run.
    """
    with catalog.reading() as connection:
        run = run_record(connection, run_id)
        tallies = _tallies(connection, run_id)
        delivered = _delivered_sites(connection, run_id, [plate for plate, mine in tallies.items() if not _embed(mine)])
        plates = tuple(_plate_progress(plate, tallies[plate], delivered.get(plate, 0)) for plate in sorted(tallies))
        rows = [row for mine in tallies.values() for row in mine]
        rate = _sites_per_second(connection, run_id, is_running=run.state is RunState.RUNNING)
        left = sum(plate.sites - plate.sites_done - plate.sites_failed for plate in plates)
        return RunStatus(
            name=run.name,
            state=run.state,
            units={state: sum(row.units for row in rows if row.state is state) for state in UnitState},
            drivers=_drivers(connection, run_id),
            sites=sum(plate.sites for plate in plates),
            sites_done=sum(plate.sites_done for plate in plates),
            sites_failed=sum(plate.sites_failed for plate in plates),
            sites_per_second=rate,
            eta_seconds=left / rate if rate and run.state is RunState.RUNNING else None,
            plates=plates,
            failed_attempts=_failed_attempts(connection, run_id) if any(row.reasons for row in rows) else (),
            notes=run.notes,
            dispatch=telling_dispatch(connection, run_id) if run.state in OPEN else None,
        )


@patient
def list_runs(catalog: Catalog) -> pl.DataFrame:
    """Return one row a run, in the order they were made: its state, times (UTC), plates, units and sites."""
    is_embed = Unit.kind == "embed"
    n_plates = select(func.count()).where(RunPlate.run_id == Run.id).scalar_subquery()
    columns: dict[str, tuple[Any, Any]] = {
        "run_id": (Run.id, pl.Int64),
        "screen": (Screen.name, pl.String),
        "state": (Run.state, pl.String),
        "plates": (n_plates, pl.Int64),
        "units": (func.count(Unit.key), pl.Int64),
        "units_done": (func.count(Unit.key).filter(Unit.state == UnitState.DONE), pl.Int64),
        "units_failed": (func.count(Unit.key).filter(Unit.state == UnitState.FAILED), pl.Int64),
        "sites": (func.coalesce(func.sum(Unit.n_sites).filter(is_embed), 0), pl.Int64),
        "code_version": (Run.code_version, pl.String),
        "created_at": (Run.created_at, pl.Float64),
        "finished_at": (Run.finished_at, pl.Float64),
    }
    query = (
        select(*(column.label(name) for name, (column, _) in columns.items()))
        .join(Screen, Screen.id == Run.screen_id)
        .outerjoin(Unit, Unit.run_id == Run.id)
        .group_by(Run.id, Screen.name)
    )
    with catalog.reading() as connection:
        frame = select_frame(connection, query, {name: dtype for name, (_, dtype) in columns.items()}, by=["run_id"])
    times = (pl.col("created_at", "finished_at") * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    names = pl.format("run-{}", "run_id").alias("run")
    return frame.with_columns(times).select(names, pl.exclude("run_id"))


@patient
def plates_of(catalog: Catalog, run_id: int) -> pl.DataFrame:
    """Return one row a plate of a run: what it was made with, where it lies, and the hashes that name its content."""
    names = ["plate", *DESCRIPTION, "root_uri", "layout", "manifest_sha256", "survey_sha256"]
    query = select(*(getattr(RunPlate, name) for name in names)).where(RunPlate.run_id == run_id)
    with catalog.reading() as connection:
        return select_frame(connection, query, dict.fromkeys(names, pl.String), by=["plate"])


@patient
def acceptance_reports(catalog: Catalog, run_id: int) -> dict[str, AcceptanceReport]:
    """Return what the check said of every plate of a run, by plate, sorted."""
    with catalog.reading() as connection:
        return dict(sorted(_reports(connection, run_id).items()))


def _reports(connection: Connection, run_id: int) -> dict[str, AcceptanceReport]:
    query = select(RunPlate.plate, RunPlate.report).where(RunPlate.run_id == run_id)
    return {row.plate: AcceptanceReport.model_validate_json(row.report) for row in connection.execute(query)}


def _tallies(connection: Connection, run_id: int) -> dict[str, list[Any]]:
    """Return how many units and sites there are of every kind and state, by plate; every plate of the run is a key."""
    sums: dict[str, Any] = {
        "units": func.count(),
        "reasons": func.count(Unit.reason),
        "sites": func.sum(Unit.n_sites),
        "unreadable": func.sum(Unit.n_failed_sites),
    }
    query = (
        select(Unit.plate, Unit.kind, Unit.state, *(total.label(name) for name, total in sums.items()))
        .where(Unit.run_id == run_id)
        .group_by(Unit.plate, Unit.kind, Unit.state)
    )
    found: dict[str, list[Any]] = {
        plate: [] for plate in connection.scalars(select(RunPlate.plate).where(RunPlate.run_id == run_id))
    }
    for row in connection.execute(query):
        found[row.plate].append(row)
    return found


def _embed(rows: Sequence[Any]) -> list[Any]:
    return [row for row in rows if row.kind == "embed"]


def _delivered_sites(connection: Connection, run_id: int, plates: Sequence[str]) -> dict[str, int]:
    """Return how many sites were delivered of some plates: those whose embedding is not planned yet."""
    query = select(RunPlate.plate, RunPlate.report).where(RunPlate.run_id == run_id, RunPlate.plate.in_(plates))
    rows = connection.execute(query) if plates else ()
    return {row.plate: AcceptanceReport.model_validate_json(row.report).delivered.sites for row in rows}


def _plate_progress(plate: str, rows: Sequence[Any], delivered: int) -> PlateProgress:
    """Return how far a plate is; where its survey is given up, its sites are too."""
    embed = _embed(rows)
    has_no_survey = any(row.kind == "survey" and row.state in _UNSUCCESSFUL for row in rows)
    n_unreadable = sum(row.unreadable for row in embed if row.state is UnitState.DONE)
    n_given_up = sum(row.sites for row in embed if row.state in _UNSUCCESSFUL)
    return PlateProgress(
        plate=plate,
        units=_count(rows, *UnitState),
        units_leased=_count(rows, UnitState.LEASED),
        units_done=_count(rows, UnitState.DONE),
        units_failed=_count(rows, *_UNSUCCESSFUL),
        sites=sum(row.sites for row in embed) if embed else delivered,
        sites_done=sum(row.sites for row in embed if row.state is UnitState.DONE) - n_unreadable,
        sites_failed=n_unreadable + n_given_up if embed else delivered * has_no_survey,
        is_settled=(bool(embed) or has_no_survey) and not _count(rows, *_OPEN_UNITS),
    )


def _count(rows: Sequence[Any], *states: UnitState) -> int:
    return sum(row.units for row in rows if row.state in states)


def _drivers(connection: Connection, run_id: int) -> int:
    query = select(func.count(distinct(Unit.owner))).where(Unit.run_id == run_id, Unit.state == UnitState.LEASED)
    return connection.scalar(query) or 0


def _failed_attempts(connection: Connection, run_id: int) -> tuple[FailedAttempt, ...]:
    """Return the units that are not done and have a reason, in the order they are handed out."""
    reason = func.substr(Unit.reason, 1, REASON_CHARACTERS).label("reason")
    query = (
        select(Unit.key, Unit.plate, Unit.kind, Unit.state, Unit.attempt, reason)
        .where(Unit.run_id == run_id, Unit.state.in_((*_OPEN_UNITS, *_UNSUCCESSFUL)), Unit.reason.is_not(None))
        .order_by(Unit.ordinal)
    )
    return tuple(
        FailedAttempt(row.key, row.plate, row.kind, row.attempt - (row.state is UnitState.LEASED), row.reason)
        for row in connection.execute(query)
    )


def _sites_per_second(connection: Connection, run_id: int, *, is_running: bool) -> float | None:
    """Return the rate of the embed units that finished within ten minutes before now, or before the run's end.

    The time is that since the first of them was handed out, without pauses; units taken over from another run, which
    nobody worked on, have no seconds and do not count.
    """
    last: ColumnElement[Any] = Now()
    if not is_running:
        last = select(func.max(Unit.finished_at)).where(Unit.run_id == run_id, *_worked()).scalar_subquery()
    columns = (Unit.leased_at, Unit.finished_at, Unit.state, Unit.n_sites, (Unit.kind == "embed").label("is_embed"))
    in_window = or_(Unit.state == UnitState.LEASED, (Unit.finished_at >= last - RATE_WINDOW_SECONDS) & _has_times())
    rows = connection.execute(
        select(*columns, Unit.seconds.is_not(None).label("is_worked"), last.label("last")).where(
            Unit.run_id == run_id, in_window
        )
    ).all()
    done = [row for row in rows if row.state is UnitState.DONE and row.is_embed and row.is_worked]
    if not done:
        return None
    end = max(row.last for row in rows)
    begin = max(min(row.leased_at for row in done), end - RATE_WINDOW_SECONDS)
    spans = [(row.leased_at, end if row.state is UnitState.LEASED else row.finished_at) for row in rows]
    return float(sum(row.n_sites for row in done) / max(end - begin - paused_seconds(spans, begin, end), 1e-3))


def _worked() -> tuple[ColumnElement[bool], ...]:
    return (Unit.kind == "embed", Unit.state == UnitState.DONE, Unit.seconds.is_not(None))


def _has_times() -> ColumnElement[bool]:
    """Return whether a unit's last lease is the one that ended: one handed back since keeps the time of an earlier."""
    return Unit.finished_at >= Unit.leased_at


def paused_seconds(spans: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """Return for how long nothing was at work between two times, counting only pauses of more than half a minute.

    Args:
        spans: Begin and end of every piece of work, in any order; they may overlap and reach beyond the two times.
        begin: Seconds.
        end: Seconds.
    """
    clipped = sorted((max(start, begin), min(stop, end)) for start, stop in spans if stop > begin and start < end)
    idle, busy_until = 0.0, begin
    for start, stop in [*clipped, (end, end)]:
        idle += start - busy_until if start - busy_until > PAUSE_SECONDS else 0.0
        busy_until = max(busy_until, stop)
    return idle
