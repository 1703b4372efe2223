"""How far runs are: what `hcs runs` and `hcs status` say, from the catalog alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, func, select

from hcs.catalog.dialects import Now
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import select_frame
from hcs.catalog.ledger import counts
from hcs.catalog.models import Run, RunPlate, Screen, Unit
from hcs.catalog.registration import DESCRIPTION
from hcs.catalog.runs import run_record
from schemas.acceptance import AcceptanceReport
from schemas.work import RunState, UnitState

RATE_WINDOW_SECONDS = 600.0
"""The rate is that of the units which finished in the last ten minutes."""


@dataclass(frozen=True)
class PlateProgress:
    """How far one plate of a run is. `sites` is what was delivered until its work is planned."""

    plate: str
    units: int
    units_done: int
    units_failed: int
    sites: int
    sites_done: int
    sites_failed: int


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    `sites_failed` could not be read, or lie in units that failed. Rate and remaining time are None while nothing has
    finished lately; `seconds` sums what the units say they spent, by stop.
    """

    name: str
    state: RunState
    units: dict[UnitState, int]
    sites: int
    sites_done: int
    sites_failed: int
    sites_per_second: float | None
    eta_seconds: float | None
    plates: tuple[PlateProgress, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...]


def run_status(catalog: Catalog, run_id: int) -> RunStatus:
    """Return how far a run is, as one state of the catalog says.

    Raises:
        NotFoundError: If there is no such run.
    """
    with catalog.reading() as connection:
        run = run_record(connection, run_id)
        units = connection.execute(
            select(Unit.plate, Unit.kind, Unit.state, Unit.n_sites, Unit.n_failed_sites, Unit.seconds)
            .where(Unit.run_id == run_id)
            .order_by(Unit.key)
        ).all()
        reports = _reports(connection, run_id)
        of_plate: dict[str, list[Any]] = {plate: [] for plate in sorted(reports)}
        for unit in units:
            of_plate[unit.plate].append(unit)
        plates = tuple(_plate_progress(plate, reports[plate], mine) for plate, mine in of_plate.items())
        rate = _sites_per_second(connection, run_id, is_running=run.state is RunState.RUNNING)
        left = sum(plate.sites - plate.sites_done - plate.sites_failed for plate in plates)
        return RunStatus(
            name=run.name,
            state=run.state,
            units=counts(connection, run_id),
            sites=sum(plate.sites for plate in plates),
            sites_done=sum(plate.sites_done for plate in plates),
            sites_failed=sum(plate.sites_failed for plate in plates),
            sites_per_second=rate,
            eta_seconds=left / rate if rate and run.state is RunState.RUNNING else None,
            plates=plates,
            seconds=_seconds_by_stop([row.seconds for row in units]),
            notes=run.notes,
        )


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


def plates_of(catalog: Catalog, run_id: int) -> pl.DataFrame:
    """Return one row a plate of a run: what it was made with, where it lies, and the hashes that name its content."""
    names = ["plate", *DESCRIPTION, "root_uri", "layout", "manifest_sha256", "survey_sha256"]
    query = select(*(getattr(RunPlate, name) for name in names)).where(RunPlate.run_id == run_id)
    with catalog.reading() as connection:
        return select_frame(connection, query, dict.fromkeys(names, pl.String), by=["plate"])


def acceptance_reports(catalog: Catalog, run_id: int) -> dict[str, AcceptanceReport]:
    """Return what the check said of every plate of a run, by plate, sorted."""
    with catalog.reading() as connection:
        return dict(sorted(_reports(connection, run_id).items()))


def _reports(connection: Connection, run_id: int) -> dict[str, AcceptanceReport]:
    query = select(RunPlate.plate, RunPlate.report).where(RunPlate.run_id == run_id)
    return {row.plate: AcceptanceReport.model_validate_json(row.report) for row in connection.execute(query)}


def _plate_progress(plate: str, report: AcceptanceReport, mine: Sequence[Any]) -> PlateProgress:
    embed = [unit for unit in mine if unit.kind == "embed"]
    done = [unit for unit in embed if unit.state is UnitState.DONE]
    failed = [unit for unit in embed if unit.state in (UnitState.FAILED, UnitState.QUARANTINED)]
    n_unreadable = sum(unit.n_failed_sites for unit in done)
    return PlateProgress(
        plate=plate,
        units=len(mine),
        units_done=sum(unit.state is UnitState.DONE for unit in mine),
        units_failed=sum(unit.state in (UnitState.FAILED, UnitState.QUARANTINED) for unit in mine),
        sites=sum(unit.n_sites for unit in embed) if embed else report.delivered.sites,
        sites_done=sum(unit.n_sites for unit in done) - n_unreadable,
        sites_failed=n_unreadable + sum(unit.n_sites for unit in failed),
    )


def _sites_per_second(connection: Connection, run_id: int, *, is_running: bool) -> float | None:
    """Return the rate of the embed units that finished within ten minutes before now, or before the run's end."""
    worked = (Unit.run_id == run_id, Unit.kind == "embed", Unit.state == UnitState.DONE, Unit.leased_at.is_not(None))
    last = Now() if is_running else select(func.max(Unit.finished_at)).where(*worked).scalar_subquery()
    row = connection.execute(
        select(func.sum(Unit.n_sites).label("sites"), (last - func.min(Unit.leased_at)).label("elapsed")).where(
            *worked, Unit.finished_at >= last - RATE_WINDOW_SECONDS
        )
    ).one()
    return row.sites / max(row.elapsed, 1e-3) if row.sites else None


def _seconds_by_stop(texts: Sequence[str | None]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for text in texts:
        total.update(json.loads(text) if text else {})
    return dict(sorted(total.items()))
