"""The ledger: which work is ready, who holds it, and what became of it.

`ready -> leased -> done | failed`. An attempt is counted when work is handed out, before it starts, so that work which
kills its worker is not handed out for ever. Every lease has a higher fence than the one before; a write with another
fence than the present one comes from someone who lost the lease, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, case, func, insert, literal, select, update

from hcs.catalog.dialects import Now
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import select_frame
from hcs.catalog.models import Run, Unit
from hcs.catalog.names import storable_reason
from hcs.catalog.owners import is_dead_here
from hcs.catalog.patience import patient
from hcs.catalog.runs import FINISHED, hold_run, move
from hcs.errors import CatalogError, LeaseLostError, NotFoundError
from schemas.work import RunState, UnitSpec, UnitState

MAX_ATTEMPTS = 3
"""How often a unit is handed out before it counts as failed."""

_FREE = {"owner": None, "lease_until": None}


@dataclass(frozen=True)
class LeasedUnit:
    """A unit handed out: what is to be done, the fence that its result must carry, and which attempt this is."""

    spec: UnitSpec
    fence: int
    attempt: int


@dataclass(frozen=True)
class HeldLease:
    """A unit that an owner holds: under which fence, and for how long by the database's clock."""

    fence: int
    seconds_left: float


def n_sites_of(spec: UnitSpec) -> int:
    """Return how many sites a unit's planes belong to: what its result is counted against."""
    return len({(plane.well, plane.site) for plane in spec.planes})


def plan(catalog: Catalog, run_id: int, units: Iterable[UnitSpec]) -> int:
    """Return how many of the units are new to the run; they are ready, and handed out in the order given.

    A unit that the run has already stays in its state. While it is not done it takes the new description, whose URIs
    may have changed: they are no part of its key.

    Raises:
        CatalogError: If units are new to a run that has finished.
        NotFoundError: If there is no such run.
    """
    return _plan(catalog, run_id, {spec.key: spec for spec in units})


@patient
def _plan(catalog: Catalog, run_id: int, specs: Mapping[str, UnitSpec]) -> int:
    with catalog.writing() as connection:
        hold_run(connection, run_id)  # another driver may plan the same units now
        known = dict(connection.execute(select(Unit.key, Unit.state).where(Unit.run_id == run_id)).all())
        last = connection.scalar(select(func.max(Unit.ordinal)).where(Unit.run_id == run_id))
        first = 0 if last is None else last + 1
        new = [spec for key, spec in specs.items() if key not in known]
        rows = [_row(run_id, spec, ordinal) for ordinal, spec in enumerate(new, start=first)]
        if rows:
            _check_open(connection, run_id)
            connection.execute(insert(Unit), rows)
        for key in sorted(known.keys() & specs.keys()):
            if known[key] is not UnitState.DONE:
                text = specs[key].model_dump_json()
                changed = (_is(run_id, key), Unit.state != UnitState.DONE, Unit.spec != text)
                connection.execute(update(Unit).where(*changed).values(spec=text))
    return len(new)


@patient
def lease(catalog: Catalog, run_id: int, owner: str, *, limit: int, seconds: float) -> list[LeasedUnit]:
    """Return up to `limit` units, now held by `owner` for `seconds` by the database's clock.

    Leases that ran out are free again first. Of a cancelled run nothing is handed out.

    Raises:
        CatalogError: If the run is neither running nor cancelled.
        NotFoundError: If there is no such run.
    """
    with catalog.writing() as connection:
        if not _hands_out(connection, run_id):
            return []
        _free(connection, run_id, _has_run_out(), why="its lease ran out")
        wanted = select(Unit.key, Unit.spec, Unit.fence, Unit.attempt).where(
            Unit.run_id == run_id, Unit.state == UnitState.READY
        )
        wanted = wanted.order_by(Unit.ordinal, Unit.key).limit(limit).with_for_update(skip_locked=True, key_share=True)
        rows = connection.execute(wanted).all()
        taken = {"owner": owner, "lease_until": Now() + seconds, "leased_at": Now(), "state": UnitState.LEASED}
        for row in rows:
            counted = {"fence": row.fence + 1, "attempt": row.attempt + 1}
            connection.execute(update(Unit).where(_is(run_id, row.key)).values(**taken, **counted))
    return [
        LeasedUnit(spec=UnitSpec.model_validate_json(row.spec), fence=row.fence + 1, attempt=row.attempt + 1)
        for row in rows
    ]


@patient
def keep_leases(
    catalog: Catalog, run_id: int, owner: str, *, fences: Mapping[str, int], seconds: float
) -> dict[str, HeldLease]:
    """Hold some units of an owner for `seconds` from now on, and return all that it holds, by key.

    A unit that is not in the answer was taken from the owner: its lease ran out and another has it, or it failed. One
    whose `seconds_left` are not above 0 may be taken at any moment.

    Args:
        catalog: Where the run is.
        run_id: The run.
        owner: Who holds them.
        fences: Unit key -> fence of its lease, of the units to hold on to.
        seconds: By the database's clock.
    """
    mine = (Unit.run_id == run_id, Unit.state == UnitState.LEASED, Unit.owner == owner)
    query = select(Unit.key, Unit.fence, (Unit.lease_until - Now()).label("left")).where(*mine)
    with catalog.writing() if fences else catalog.reading() as connection:
        for key, fence in sorted(fences.items()):
            held = (*mine, Unit.key == key, Unit.fence == fence)
            connection.execute(update(Unit).where(*held).values(lease_until=Now() + seconds))
        return {row.key: HeldLease(row.fence, row.left) for row in connection.execute(query)}


@patient
def hand_back(catalog: Catalog, run_id: int, key: str, *, fence: int) -> None:
    """Make a unit ready again whose work was interrupted on purpose; the attempt is not counted.

    Raises:
        LeaseLostError: If another has it, or it is not leased any more.
    """
    values = {**_FREE, "state": UnitState.READY, "attempt": Unit.attempt - 1}
    with catalog.writing() as connection:
        change_held(connection, run_id, key, fence=fence, values=values)


@patient
def hand_back_all(catalog: Catalog, run_id: int, owner: str) -> int:
    """Return how many units of an owner that stops are ready again, those that it never heard of included.

    The attempts are not counted.
    """
    held = (Unit.run_id == run_id, Unit.state == UnitState.LEASED, Unit.owner == owner)
    values = {**_FREE, "state": UnitState.READY, "attempt": Unit.attempt - 1}
    with catalog.writing() as connection:
        keys = select(Unit.key).where(*held).order_by(Unit.key).with_for_update(key_share=True)
        for key in (rows := connection.scalars(keys).all()):
            connection.execute(update(Unit).where(_is(run_id, key), *held).values(**values))
        return len(rows)


@patient
def fail(catalog: Catalog, run_id: int, key: str, *, fence: int, reason: str) -> UnitState:
    """Return the state of a unit whose work failed: ready for another attempt, failed after the third.

    Raises:
        LeaseLostError: As `hand_back`.
    """
    values = {**_FREE, "state": _after_attempt(), "reason": storable_reason(reason), "finished_at": Now()}
    with catalog.writing() as connection:
        change_held(connection, run_id, key, fence=fence, values=values)
        return connection.execute(select(Unit.state).where(_is(run_id, key))).scalar_one()


@patient
def release_dead_owners(catalog: Catalog, run_id: int) -> int:
    """Return how many leases were broken: those that ran out, and those of processes that died on this machine."""
    with catalog.writing() as connection:
        expired = _free(connection, run_id, _has_run_out(), why="its lease ran out")
        owners = connection.scalars(
            select(Unit.owner).where(Unit.run_id == run_id, Unit.state == UnitState.LEASED).distinct()
        )
        dead = sorted(owner for owner in owners if owner is not None and is_dead_here(owner))
        why = "the process that worked on it ended"
        return expired + sum(_free(connection, run_id, Unit.owner == owner, why=why) for owner in dead)


@patient
def retry(catalog: Catalog, run_id: int, *, only: str | None = None) -> int:
    """Return how many failed units are ready again, with all their attempts; a run that has ended is running then.

    Args:
        catalog: Where the run is.
        run_id: The run.
        only: Part of the reason, in any case: the units that failed for another reason stay failed.
    """
    with catalog.writing() as connection:
        hold_run(connection, run_id)  # it must not be published meanwhile
        return ready_again(connection, run_id, only=only or "")


def ready_again(connection: Connection, run_id: int, *, only: str) -> int:
    """Return how many failed units of a run that this transaction holds are ready again; as `retry`."""
    ended = (UnitState.FAILED, UnitState.QUARANTINED)
    rows = connection.execute(
        select(Unit.key, Unit.reason)
        .where(Unit.run_id == run_id, Unit.state.in_(ended))
        .order_by(Unit.key)
        .with_for_update(key_share=True)
    ).all()
    keys = sorted(row.key for row in rows if only.casefold() in (row.reason or "").casefold())
    for key in keys:
        values = {"state": UnitState.READY, "attempt": 0, "reason": None, "finished_at": None}
        connection.execute(update(Unit).where(_is(run_id, key)).values(**values))
    if keys:
        move(connection, run_id, RunState.RUNNING)
    return len(keys)


@patient
def count_units(catalog: Catalog, run_id: int) -> dict[UnitState, int]:
    """Return how many units are in each state; every state is a key."""
    with catalog.reading() as connection:
        return counts(connection, run_id)


def counts(connection: Connection, run_id: int) -> dict[UnitState, int]:
    """Return how many units of a run are in each state, as this transaction sees them."""
    query = select(Unit.state, func.count()).where(Unit.run_id == run_id).group_by(Unit.state)
    found = dict(connection.execute(query).all())
    return {state: found.get(state, 0) for state in UnitState}


@patient
def units_of(catalog: Catalog, run_id: int) -> pl.DataFrame:
    """Return one row a unit, in the order they are handed out, without owners and times."""
    schema = {
        "ordinal": pl.Int64,
        "key": pl.String,
        "kind": pl.String,
        "plate": pl.String,
        "state": pl.String,
        "attempt": pl.Int32,
        "reason": pl.String,
        "n_sites": pl.Int32,
        "n_failed_sites": pl.Int32,
    }
    query = select(*(getattr(Unit, name) for name in schema)).where(Unit.run_id == run_id)
    with catalog.reading() as connection:
        return select_frame(connection, query, schema, by=["ordinal", "key"])


def change_held(connection: Connection, run_id: int, key: str, *, fence: int, values: dict[str, Any]) -> None:
    """Change a unit that is leased with this fence.

    Raises:
        LeaseLostError: If it is not, or is no unit of the run.
    """
    held = (_is(run_id, key), Unit.state == UnitState.LEASED, Unit.fence == fence)
    if connection.execute(update(Unit).where(*held).values(**values)).rowcount != 1:
        row = connection.execute(select(Unit.state, Unit.fence).where(_is(run_id, key))).first()
        now = "is no unit of this run" if row is None else f"is {row.state.value} with fence {row.fence}"
        raise LeaseLostError(
            f"unit {key[:12]} of run-{run_id} was to be changed by the owner with fence {fence}, but it {now}: "
            "someone else has it, or it is finished. Nothing was written; the result of the other counts."
        )


def _row(run_id: int, spec: UnitSpec, ordinal: int) -> dict[str, object]:
    return {
        "run_id": run_id,
        "key": spec.key,
        "ordinal": ordinal,
        "kind": spec.kind,
        "plate": spec.plate,
        "state": UnitState.READY,
        "fence": 0,
        "attempt": 0,
        "n_sites": n_sites_of(spec),
        "spec": spec.model_dump_json(),
    }


def _is(run_id: int, key: str) -> ColumnElement[bool]:
    return (Unit.run_id == run_id) & (Unit.key == key)


def _has_run_out() -> ColumnElement[bool]:
    return Unit.lease_until <= Now()


def _after_attempt() -> ColumnElement[UnitState]:
    state = Unit.state.type  # without it the names of the members would be stored, not their values
    return case((Unit.attempt < MAX_ATTEMPTS, literal(UnitState.READY, state)), else_=literal(UnitState.FAILED, state))


def _free(connection: Connection, run_id: int, *which: ColumnElement[bool], why: str) -> int:
    """Return how many leases were broken; a unit that was at its last attempt has failed.

    A unit that another transaction holds just now is being finished, kept or freed there: it is left to that one.
    """
    leased = select(Unit.key).where(Unit.run_id == run_id, *which, Unit.state == UnitState.LEASED).order_by(Unit.key)
    keys = connection.scalars(leased.with_for_update(skip_locked=True, key_share=True)).all()
    values = {**_FREE, "state": _after_attempt(), "reason": f"{why} before it came back"}
    for key in keys:
        connection.execute(update(Unit).where(_is(run_id, key)).values(**values))
    return len(keys)


def _state_of(connection: Connection, run_id: int) -> RunState:
    state = connection.scalar(select(Run.state).where(Run.id == run_id))
    if state is None:
        raise NotFoundError(f"the catalog holds no run-{run_id}, so it has no work; `hcs runs` lists those it holds.")
    return state


def _check_open(connection: Connection, run_id: int) -> None:
    state = _state_of(connection, run_id)
    if state in FINISHED:
        raise CatalogError(f"run-{run_id} is {state.value}: its results stand, and no work can be added to it.")


def _hands_out(connection: Connection, run_id: int) -> bool:
    state = _state_of(connection, run_id)
    if state not in (RunState.RUNNING, RunState.CANCELLED):
        raise CatalogError(f"work is handed out of a running run, but run-{run_id} is {state.value}.")
    return state is RunState.RUNNING
