"""Submitted runs that are given to somewhere else to be performed: which time it is, and what became of each.

A dispatch is written down before anything is started, under a name that follows from it alone: whoever comes second
finds the row, or what was started under its name, and starts nothing. Rows are locked in one order, the submission
before its run, before its dispatches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, insert, select, update

from hcs.catalog import models
from hcs.catalog.claims import OPEN, fail_if_open
from hcs.catalog.dialects import Now
from hcs.catalog.engine import Catalog
from hcs.catalog.models import Run, Submission, Unit
from hcs.catalog.names import check_name, storable_reason
from hcs.catalog.owners import is_dead_here
from hcs.catalog.patience import patient
from hcs.catalog.runs import RunRecord, hold_run, run_records
from hcs.errors import CatalogError
from schemas.work import DispatchState, UnitState


@dataclass(frozen=True)
class Dispatch:
    """One time that a run was given to somewhere else, under a name; times are seconds by the database's clock.

    `units_done` of its run were done when it began; once it has ended, when it ended.
    """

    run_id: int
    attempt: int
    name: str
    state: DispatchState
    message: str | None
    units_done: int
    asked_at: float
    changed_at: float
    ended_at: float | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing comes of it any more."""
        return self.ended_at is not None


@dataclass(frozen=True)
class OpenRun:
    """A submitted run that has not ended, and the last time that it was given to somewhere else.

    It `is_claimed` while a process performs it. `fruitless` counts the dispatches in a row, from the newest that has
    ended on, that ended without a unit more done, since the run was last asked for.
    """

    run: RunRecord
    is_claimed: bool
    units_done: int
    last: Dispatch | None
    fruitless: int


@patient
def open_runs(catalog: Catalog) -> list[OpenRun]:
    """Return the submitted runs that wait or are performed, oldest first. It is asked about once a second."""
    with catalog.reading() as connection:
        runs = run_records(connection, _open())
        claimed = _claimed(connection)
        done = _units_done(connection, _open())
        rows = _newest_first(connection)
    return [
        OpenRun(
            run=run,
            is_claimed=run_id in claimed,
            units_done=done.get(run_id, 0),
            last=_dispatch(rows[run_id][0]) if run_id in rows else None,
            fruitless=_fruitless(rows.get(run_id, [])),
        )
        for run_id, run in runs.items()
    ]


@patient
def begin_dispatch(catalog: Catalog, run_id: int, *, prefix: str) -> Dispatch | None:
    """Return the next dispatch of a run, written down; None if the run is not open or has one that has not ended.

    Args:
        catalog: Where the run is.
        run_id: The run.
        prefix: What the name begins with: it is `PREFIX-run-RUN-ATTEMPT`.

    Raises:
        UsageError: If that cannot be stored.
    """
    table = models.Dispatch
    check_name(prefix, what="prefix of a dispatch")
    with catalog.writing() as connection:
        if not _hold_open(connection, run_id):
            return None
        of_run = select(func.max(table.attempt), func.count().filter(table.ended_at.is_(None)))
        last, n_going_on = connection.execute(of_run.where(table.run_id == run_id)).one()
        if n_going_on:
            return None
        attempt = (last or 0) + 1
        done = _units_done(connection, [run_id]).get(run_id, 0)
        now = connection.scalar(select(Now()))
        row = {
            "run_id": run_id,
            "attempt": attempt,
            "name": f"{prefix}-run-{run_id}-{attempt}",
            "state": DispatchState.ASKED,
            "units_before": done,
            "units_done": done,
            "asked_at": now,
            "changed_at": now,
        }
        connection.execute(insert(table).values(**row))
        return _dispatch(connection.execute(_rows(_this(run_id, attempt))).mappings().one())


@patient
def note_dispatch(catalog: Catalog, run_id: int, attempt: int, *, state: DispatchState, message: str | None) -> bool:
    """Keep how far a dispatch is, in words; return False if it has ended, or is unknown.

    Nothing is written where it says so already.

    Args:
        catalog: Where it is.
        run_id: Its run.
        attempt: Which of the run's.
        state: Any but ended.
        message: What it waits for, say; shown with the run while that is open.

    Raises:
        CatalogError: If the state is `ended`: that is said with a reason.
    """
    if state is DispatchState.ENDED:
        raise CatalogError(f"attempt {attempt} at run-{run_id} ends by `end_dispatch`, not by being called ended.")
    values = {"state": state, "message": None if message is None else storable_reason(message)}
    with catalog.reading() as connection:
        row = connection.execute(_rows(_this(run_id, attempt))).mappings().first()
    if row is None or row["ended_at"] is not None:
        return False
    if all(row[name] == value for name, value in values.items()):
        return True
    with catalog.writing() as connection:
        return _change(connection, run_id, attempt, values)


@patient
def end_dispatch(catalog: Catalog, run_id: int, attempt: int, *, message: str | None) -> bool:
    """End a dispatch with the reason why, and with the units that are done by now; return False if it had ended.

    Args:
        catalog: Where it is.
        run_id: Its run.
        attempt: Which of the run's.
        message: Why it ended; None where that needs no words.
    """
    with catalog.writing() as connection:
        hold_run(connection, run_id)
        values = {
            "state": DispatchState.ENDED,
            "message": None if message is None else storable_reason(message),
            "units_done": _units_done(connection, [run_id]).get(run_id, 0),
            "ended_at": Now(),
        }
        return _change(connection, run_id, attempt, values)


@patient
def dispatches(catalog: Catalog, *, ended: bool | None = None) -> list[Dispatch]:
    """Return the dispatches of all runs, by run and attempt.

    Args:
        catalog: Where to look.
        ended: Those that have ended, or those that have not; None for all.
    """
    has_ended = models.Dispatch.ended_at.is_not(None)
    wanted = () if ended is None else (has_ended if ended else ~has_ended,)
    query = _rows(*wanted).order_by(models.Dispatch.run_id, models.Dispatch.attempt)
    with catalog.reading() as connection:
        return [_dispatch(row) for row in connection.execute(query).mappings()]


@patient
def last_dispatch(catalog: Catalog, run_id: int) -> Dispatch | None:
    """Return the newest dispatch of a run, whether or not it has ended; None if there is none."""
    with catalog.reading() as connection:
        row = _newest(connection, run_id)
    return None if row is None else _dispatch(row)


def telling_dispatch(connection: Connection, run_id: int) -> Dispatch | None:
    """Return the dispatch that says how an open run stands, if there is one.

    One that has ended says why the run waits, unless it was asked for again since, or a process has claimed it.
    """
    row = _newest(connection, run_id)
    if row is None or (row["ended_at"] is not None and (not row["is_counted"] or _claimed(connection, run_id))):
        return None
    return _dispatch(row)


@patient
def fail_undispatched(catalog: Catalog, run_id: int, *, reason: str) -> bool:
    """Let an open run fail with a note; return False if somebody has claimed it, or if it is not open.

    Args:
        catalog: Where the run is.
        run_id: The run.
        reason: Why nobody could be brought to perform it, and what to do.
    """
    with catalog.writing() as connection:
        if not _hold_open(connection, run_id) or run_id in _claimed(connection, run_id):
            return False
        return fail_if_open(connection, run_id, reason)


@patient
def cluster_time(catalog: Catalog) -> float:
    """Return the time by the database's clock, which all who share the catalog go by: seconds since 1970."""
    with catalog.reading() as connection:
        return float(connection.execute(select(Now())).scalar_one())


def _open() -> Select[int]:
    """Return the query for the runs of submissions that have not ended."""
    return select(Submission.run_id).join(Run, Run.id == Submission.run_id).where(Run.state.in_(OPEN))


def _hold_open(connection: Connection, run_id: int) -> bool:
    """Hold a submission and its run to the end of the transaction; return whether there is one that is open."""
    of_run = select(Submission.run_id).where(Submission.run_id == run_id)
    connection.execute(of_run.with_for_update(key_share=True))
    hold_run(connection, run_id)
    return connection.scalar(_open().where(Submission.run_id == run_id)) is not None


def _claimed(connection: Connection, *run_ids: int) -> set[int]:
    """Return the open runs that a process performs, as far as is known; of some runs, or of all."""
    query = select(Submission.run_id, Submission.owner).join(Run, Run.id == Submission.run_id)
    query = query.where(Run.state.in_(OPEN), Submission.owner.is_not(None), Submission.lease_until > Now())
    rows = connection.execute(query.where(Submission.run_id.in_(run_ids)) if run_ids else query)
    return {row.run_id for row in rows if not is_dead_here(row.owner or "")}


def _units_done(connection: Connection, run_ids: Select[int] | Sequence[int]) -> dict[int, int]:
    query = select(Unit.run_id, func.count().label("done"))
    query = query.where(Unit.run_id.in_(run_ids), Unit.state == UnitState.DONE).group_by(Unit.run_id)
    return {row.run_id: row.done for row in connection.execute(query)}


def _newest(connection: Connection, run_id: int) -> RowMapping | None:
    query = _rows(models.Dispatch.run_id == run_id).order_by(models.Dispatch.attempt.desc()).limit(1)
    return connection.execute(query).mappings().first()


def _newest_first(connection: Connection) -> dict[int, list[RowMapping]]:
    """Return the dispatches of the open runs, by run."""
    query = _rows(models.Dispatch.run_id.in_(_open())).order_by(models.Dispatch.attempt.desc())
    found: dict[int, list[RowMapping]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["run_id"], []).append(row)
    return found


def _fruitless(rows: Sequence[RowMapping]) -> int:
    ended = [row for row in rows if row["ended_at"] is not None and row["is_counted"]]
    return sum(1 for _ in takewhile(lambda row: row["units_done"] == row["units_before"], ended))


def _rows(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*models.Dispatch.__table__.columns).where(*conditions)


def _this(run_id: int, attempt: int) -> ColumnElement[bool]:
    return (models.Dispatch.run_id == run_id) & (models.Dispatch.attempt == attempt)


def _dispatch(row: RowMapping) -> Dispatch:
    return Dispatch(**{name: row[name] for name in Dispatch.__dataclass_fields__})


def _change(connection: Connection, run_id: int, attempt: int, values: dict[str, Any]) -> bool:
    goes_on = (_this(run_id, attempt), models.Dispatch.ended_at.is_(None))
    changed = update(models.Dispatch).where(*goes_on).values(**values, changed_at=Now())
    return connection.execute(changed).rowcount == 1
