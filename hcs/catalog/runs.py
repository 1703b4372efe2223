"""Finds runs, and moves them from state to state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Select, func, select, update

from hcs.catalog.dialects import Now
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import canonical_json
from hcs.catalog.models import Run, Screen
from hcs.catalog.names import storable_reason
from hcs.catalog.patience import patient
from hcs.errors import CatalogError, ConflictError, NotFoundError
from schemas.encoders import EncoderInfo
from schemas.screen import ScreenConfig
from schemas.work import RunPin, RunState

FINISHED = (RunState.COMPLETE, RunState.COMPLETE_WITH_HOLES)

NEXT_STATES: dict[RunState, tuple[RunState, ...]] = {
    RunState.SUBMITTED: (RunState.RUNNING, RunState.FAILED, RunState.CANCELLED),
    RunState.RUNNING: (*FINISHED, RunState.FAILED, RunState.CANCELLED),
    RunState.COMPLETE: (),
    RunState.COMPLETE_WITH_HOLES: (RunState.RUNNING,),
    RunState.FAILED: (RunState.RUNNING, RunState.SUBMITTED, RunState.CANCELLED),
    RunState.CANCELLED: (RunState.RUNNING, RunState.SUBMITTED),
}
"""A run that is complete stays as it is; every other can be taken up again, or waits again if none looked at it."""

ENCODERS = TypeAdapter(tuple[EncoderInfo, ...])
_NOTES = TypeAdapter(tuple[str, ...])
_PIN = TypeAdapter(RunPin | None)


@dataclass(frozen=True)
class RunRecord:
    """One run as the catalog holds it: without pin and encoders until somebody has looked at what was delivered."""

    id: int
    screen: str
    state: RunState
    config: ScreenConfig
    config_sha256: str
    code_version: str
    pin: RunPin | None
    encoders: tuple[EncoderInfo, ...]
    notes: tuple[str, ...]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def name(self) -> str:
        """What people call it, such as run-12."""
        return f"run-{self.id}"

    @property
    def is_finished(self) -> bool:
        """Whether it published its results, with or without holes."""
        return self.state in FINISHED

    @property
    def is_looked_at(self) -> bool:
        """Whether somebody has looked at what was delivered, so that it is known what the run will be."""
        return self.pin is not None

    def known_pin(self) -> RunPin:
        """Return the pin.

        Raises:
            ConflictError: If nobody has looked at what was delivered.
        """
        if self.pin is None:
            raise ConflictError(
                f"{self.name} of screen {self.screen} was submitted, and nobody has looked at its plates so far (it is "
                f"{self.state.value}): there is nothing of it to see or to repeat. `hcs work` performs what is "
                "submitted."
            )
        return self.pin


@patient
def get_run(catalog: Catalog, reference: str | int = "latest", *, finished: bool = True) -> RunRecord:
    """Return the run that `run-12`, `12` or `latest` names.

    Args:
        catalog: Where to look.
        reference: A run, or `latest`.
        finished: Whether `latest` is the one that finished last, or the newest in any state.

    Raises:
        NotFoundError: If there is none; it says which there are.
    """
    with catalog.reading() as connection:
        return run_record(connection, resolve(connection, reference, finished=finished))


def resolve(connection: Connection, reference: str | int, *, finished: bool = True) -> int:
    """Return the number of the run that a reference names; as `get_run`."""
    wanted = select(Run.id)
    if reference == "latest":
        wanted = wanted.order_by(Run.finished_at.desc(), Run.id.desc()) if finished else wanted.order_by(Run.id.desc())
        wanted = wanted.where(Run.state.in_(FINISHED)) if finished else wanted
    else:
        digits = re.fullmatch(r"(?:run-)?([0-9]{1,9})", str(reference).strip())
        wanted = wanted.where(Run.id == (int(digits[1]) if digits else -1))
    found = connection.scalar(wanted.limit(1))
    if found is None:
        raise NotFoundError(_no_such_run(connection, reference, finished=finished))
    return found


@patient
def run_state(catalog: Catalog, run_id: int) -> RunState:
    """Return the state of a run, and nothing else of it.

    Raises:
        NotFoundError: If there is no such run.
    """
    with catalog.reading() as connection:
        state = connection.scalar(select(Run.state).where(Run.id == run_id))
        if state is None:
            raise NotFoundError(_no_such_run(connection, run_id, finished=False))
        return state


@patient
def set_run_state(catalog: Catalog, run_id: int, state: RunState, *, notes: Sequence[str] = ()) -> RunRecord:
    """Return the run after it has moved to another state; the same state again changes nothing.

    Raises:
        CatalogError: If the run cannot move there from where it is, or is to finish without its results.
        NotFoundError: If there is no such run.
    """
    if state in FINISHED:
        raise CatalogError(f"run-{run_id} finishes by publishing its results, not by being called {state.value}.")
    with catalog.writing() as connection:
        move(connection, run_id, state)
        append_notes(connection, run_id, notes)
        return run_record(connection, run_id)


def cancel_run(catalog: Catalog, run_id: int) -> RunRecord:
    """Return the run after it was cancelled: no unit is leased from now on, and finished ones are kept."""
    return set_run_state(catalog, run_id, RunState.CANCELLED)


@patient
def add_notes(catalog: Catalog, run_id: int, notes: Sequence[str]) -> None:
    """Keep sentences with a run that who reads its results should know; one that it has is not repeated."""
    with catalog.writing() as connection:
        append_notes(connection, run_id, notes)


def hold_run(connection: Connection, run_id: int) -> None:
    """Hold a run to the end of the transaction: what is decided by its units, or adds to them, waits in line.

    Finishing a unit does not wait. A run that does not exist is not noticed here.
    """
    connection.execute(select(Run.id).where(Run.id == run_id).with_for_update(key_share=True))


def move(connection: Connection, run_id: int, state: RunState) -> None:
    """Move a run to a state, with the time by the database's clock."""
    present = _row(connection, run_id, lock=True).state
    if state == present:
        return
    if state not in NEXT_STATES[present]:
        raise CatalogError(f"run-{run_id} is {present.value} and cannot become {state.value}.")
    times: dict[str, Any] = {"finished_at": None if state in (RunState.SUBMITTED, RunState.RUNNING) else Now()}
    if state is RunState.RUNNING:
        times["started_at"] = func.coalesce(Run.started_at, Now())
    connection.execute(update(Run).where(Run.id == run_id).values(state=state, **times))


def replace_notes(connection: Connection, run_id: int, notes: Sequence[str]) -> None:
    """Give a run these notes and no others: what was said of earlier results is no longer true."""
    own = canonical_json(list(dict.fromkeys(map(storable_reason, notes))))
    connection.execute(update(Run).where(Run.id == run_id).values(notes=own))


def append_notes(connection: Connection, run_id: int, notes: Sequence[str]) -> None:
    """Add the notes that a run does not have yet, in their order."""
    present = _NOTES.validate_json(_row(connection, run_id, lock=True).notes)
    together = list(dict.fromkeys([*present, *map(storable_reason, notes)]))
    connection.execute(update(Run).where(Run.id == run_id).values(notes=canonical_json(together)))


def run_record(connection: Connection, run_id: int) -> RunRecord:
    """Return one run.

    Raises:
        NotFoundError: If there is none of that number.
    """
    return _record(_row(connection, run_id))


def run_records(connection: Connection, run_ids: Select[int]) -> dict[int, RunRecord]:
    """Return the runs whose numbers a query finds, by number, in their order."""
    query = select(*Run.__table__.columns, Screen.name.label("screen")).join(Screen)
    rows = connection.execute(query.where(Run.id.in_(run_ids)).order_by(Run.id))
    return {row.id: _record(row) for row in rows}


def _record(row: Any) -> RunRecord:
    return RunRecord(
        id=row.id,
        screen=row.screen,
        state=row.state,
        config=ScreenConfig.model_validate_json(row.config),
        config_sha256=row.config_sha256,
        code_version=row.code_version,
        pin=_PIN.validate_json(row.pin),
        encoders=ENCODERS.validate_json(row.encoders),
        notes=_NOTES.validate_json(row.notes),
        created_at=time_of(row.created_at),
        started_at=None if row.started_at is None else time_of(row.started_at),
        finished_at=None if row.finished_at is None else time_of(row.finished_at),
    )


def time_of(seconds: float) -> datetime:
    """Return a time that a table holds, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _row(connection: Connection, run_id: int, *, lock: bool = False) -> Any:
    query = select(*Run.__table__.columns, Screen.name.label("screen")).join(Screen).where(Run.id == run_id)
    row = connection.execute(query.with_for_update(of=Run, key_share=True) if lock else query).first()
    if row is None:
        raise NotFoundError(_no_such_run(connection, run_id, finished=False))
    return row


def _no_such_run(connection: Connection, reference: str | int, *, finished: bool) -> str:
    recent = connection.execute(select(Run.id, Run.state).order_by(Run.id.desc()).limit(5)).all()
    there_are = ", ".join(f"run-{row.id} ({row.state.value})" for row in recent) or "none yet"
    sought = "a finished run" if reference == "latest" and finished else f"the run {str(reference)[:40]!r}"
    return f"the catalog does not hold {sought}; the newest runs are: {there_are}. `hcs runs` lists all of them."
