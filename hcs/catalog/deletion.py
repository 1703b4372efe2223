"""Deletes a run with all its rows, and says which of its files no other run refers to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from hcs.catalog.dialects import Now
from hcs.catalog.engine import Catalog
from hcs.catalog.models import (
    Call,
    CallMechanism,
    Dispatch,
    FlaggedSite,
    Grouping,
    IdempotencyKey,
    Neighbour,
    Part,
    Profile,
    Run,
    RunPlate,
    RunWell,
    Site,
    SiteChannel,
    Submission,
    Unit,
)
from hcs.catalog.owners import is_dead_here
from hcs.catalog.patience import patient
from hcs.catalog.runs import run_record
from hcs.errors import ConflictError
from schemas.work import RunState, UnitState

_OF_RUN = (
    IdempotencyKey,
    Dispatch,
    Submission,
    CallMechanism,
    Call,
    Neighbour,
    Grouping,
    Profile,
    FlaggedSite,
    SiteChannel,
    Site,
    Part,
    Unit,
    RunWell,
    RunPlate,
)
"""Every table with rows of runs; what refers to another stands before it."""

_UNITS_AT_ONCE = 100


@dataclass(frozen=True)
class DeletedRun:
    """What is gone with a run: its rows, and the right of its files to be there.

    `orphaned_paths` are files of units and profiles, below `Catalog.parts_uri`, that no run refers to any more;
    `n_shared_paths` others are kept, because other runs took them over.
    """

    name: str
    n_units: int
    n_calls: int
    orphaned_paths: tuple[str, ...]
    n_shared_paths: int


@patient
def delete_run(catalog: Catalog, run_id: int) -> DeletedRun:
    """Delete a run with everything that belongs to it alone, in one transaction, and return what is gone.

    Units that other runs took over from it stay done there. Screens and plates stay, as does the number of the run: it
    is never given again. The caller removes the files afterwards.

    Raises:
        NotFoundError: If there is no such run.
        ConflictError: If processes that live work on it, or a dispatcher has claimed it.
    """
    with catalog.writing() as connection:
        return delete_in(connection, run_id)


def delete_in(connection: Connection, run_id: int) -> DeletedRun:
    """Delete a run in a writing transaction; as `delete_run`."""
    # Nobody refers to the run from here on: not who takes over its units (`adopt_finished`), nor who finishes one.
    connection.execute(select(Run.id).where(Run.id == run_id).with_for_update())
    run = run_record(connection, run_id)
    units = connection.scalars(select(Unit.key).where(Unit.run_id == run_id).with_for_update()).all()
    _check_is_left_alone(connection, run_id, state=run.state)
    paths = _paths(connection, run_id)
    shared = paths & _shared_paths(connection, run_id, units)
    n_calls = connection.scalar(select(func.count()).select_from(Call).where(Call.run_id == run_id)) or 0
    for model in _OF_RUN:
        connection.execute(delete(model).where(model.run_id == run_id))
    connection.execute(delete(Run).where(Run.id == run_id))
    return DeletedRun(
        name=run.name,
        n_units=len(units),
        n_calls=n_calls,
        orphaned_paths=tuple(sorted(paths - shared)),
        n_shared_paths=len(shared),
    )


def _check_is_left_alone(connection: Connection, run_id: int, *, state: RunState) -> None:
    leases = select(Unit.owner).where(
        Unit.run_id == run_id, Unit.state == UnitState.LEASED, Unit.lease_until > Now(), Unit.owner.is_not(None)
    )
    claims = select(Submission.owner).where(
        Submission.run_id == run_id, Submission.lease_until > Now(), Submission.owner.is_not(None)
    )
    is_claimable = state in (RunState.SUBMITTED, RunState.RUNNING)
    dispatchers = _alive(connection.scalars(claims.with_for_update())) if is_claimable else []
    drivers = _alive(connection.scalars(leases.distinct()))
    if drivers or dispatchers:
        who = "a dispatcher has claimed it" if dispatchers else f"{len(drivers)} of the processes on it live"
        raise ConflictError(
            f"run-{run_id} can be deleted when nobody works on it, but it is {state.value} and {who}. Stop it with "
            f"`hcs cancel run-{run_id}`, wait until what is in work has come back, and delete it then."
        )


def _alive(owners: Iterable[str | None]) -> list[str]:
    return sorted(owner for owner in owners if owner is not None and not is_dead_here(owner))


def _paths(connection: Connection, run_id: int) -> set[str]:
    parts = connection.scalars(select(Part.relative_path).where(Part.run_id == run_id).distinct())
    profiles = connection.scalars(select(Profile.relative_path).where(Profile.run_id == run_id))
    return {*parts, *profiles}


def _shared_paths(connection: Connection, run_id: int, units: Sequence[str]) -> set[str]:
    """Return files of other runs' rows of the same units, which one run took over from another.

    Units are looked up by their key, some at a time, so that no table is read throughout; the name of a file holds the
    key of its unit, so that no other unit refers to it.
    """
    found: set[str] = set()
    for start in range(0, len(units), _UNITS_AT_ONCE):
        some = units[start : start + _UNITS_AT_ONCE]
        for other in connection.scalars(
            select(Unit.run_id).where(Unit.key.in_(some), Unit.run_id != run_id).distinct()
        ):
            query = select(Part.relative_path).where(Part.run_id == other, Part.unit_key.in_(some))
            found.update(connection.scalars(query))
    return found
