"""Which dispatcher performs a submitted run: one at a time, as long as it says that it lives.

A claim is counted before the work starts, so that a run which kills who performs it is not taken up for ever. Rows are
locked in one order, the submission before its run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, or_, select, update

from hcs.catalog.dialects import Now
from hcs.catalog.engine import Catalog
from hcs.catalog.ledger import MAX_ATTEMPTS
from hcs.catalog.models import Run, Submission
from hcs.catalog.owners import is_dead_here
from hcs.catalog.patience import patient
from hcs.catalog.runs import RunRecord, append_notes, hold_run, move, run_record
from schemas.work import RunState

OPEN = (RunState.SUBMITTED, RunState.RUNNING)
"""The states of a run that a dispatcher may take up."""

_FREE = {"owner": None, "lease_until": None}


@dataclass(frozen=True)
class Claim:
    """A run that a dispatcher may perform, for the `attempt`th time; `retry_only` is what was asked to be retried."""

    run: RunRecord
    attempt: int
    retry_only: str | None


@patient
def is_run_waiting(catalog: Catalog, *, besides: Collection[int] = (), only: int | None = None) -> bool:
    """Return whether `claim_run` would find a run. Nothing is written.

    Args:
        catalog: Where to look.
        besides: Runs that do not count.
        only: The one run that counts, if there is one.
    """
    with catalog.reading() as connection:
        return connection.execute(_claimable(_dead_owners(connection), besides, only)).first() is not None


@patient
def claim_run(
    catalog: Catalog, owner: str, *, seconds: float, besides: Collection[int] = (), only: int | None = None
) -> Claim | None:
    """Return the oldest run that waits for a dispatcher, now held by `owner`; None if there is none.

    Taken up are runs that nobody has claimed, whose claim ran out by the database's clock, or whose dispatcher died on
    this machine. A run whose last three dispatchers were never heard of again fails with a note.

    Args:
        catalog: Where to look.
        owner: Who performs it.
        seconds: For how long, unless `keep_claim` prolongs it.
        besides: Runs that are left to others.
        only: The one run that is wanted; None for whichever waits.
    """
    with catalog.writing() as connection:
        found = _claimable(_dead_owners(connection), besides, only)
        found = found.with_for_update(of=Submission, skip_locked=True, key_share=True)
        while (row := connection.execute(found).first()) is not None:
            hold_run(connection, row.run_id)
            if connection.scalar(select(Run.state).where(Run.id == row.run_id)) not in OPEN:
                continue  # it was cancelled a moment ago: the next look sees that
            if row.attempts >= MAX_ATTEMPTS:
                fail_if_open(connection, row.run_id, _given_up(row.attempts))
                continue
            taken = {"owner": owner, "lease_until": Now() + seconds, "attempts": row.attempts + 1}
            connection.execute(update(Submission).where(Submission.run_id == row.run_id).values(**taken))
            return Claim(run_record(connection, row.run_id), row.attempts + 1, row.retry_only)
    return None


@patient
def keep_claim(catalog: Catalog, run_id: int, owner: str, *, seconds: float, has_moved: bool = False) -> bool:
    """Hold a run for `seconds` from now on; return False if another has it.

    Args:
        catalog: Where the run is.
        run_id: The run.
        owner: Who has claimed it.
        seconds: By the database's clock.
        has_moved: Whether work on it was finished since it was claimed: earlier attempts do not count any more.
    """
    values: dict[str, Any] = {"lease_until": Now() + seconds}
    with catalog.writing() as connection:
        return _change_held(connection, run_id, owner, {**values, "attempts": 1} if has_moved else values)


@patient
def release_claim(catalog: Catalog, run_id: int, owner: str, *, is_counted: bool = False) -> bool:
    """Hand a run back; return False if another has it.

    Args:
        catalog: Where the run is.
        run_id: The run.
        owner: Who has claimed it.
        is_counted: Whether the attempt counts, as one does that came to nothing for reasons that nobody understands.
    """
    with catalog.writing() as connection:
        return _change_held(connection, run_id, owner, _FREE if is_counted else _free_and_uncounted())


@patient
def release_claims(catalog: Catalog, owner: str) -> int:
    """Hand back whatever somebody still holds, uncounted, and return how many runs that are.

    A request to end comes at the end of a transaction where one is under way: then a run may have been claimed of which
    nobody has taken note.
    """
    with catalog.writing() as connection:
        held = update(Submission).where(Submission.owner == owner).values(**_free_and_uncounted())
        return connection.execute(held).rowcount


def _free_and_uncounted() -> dict[str, Any]:
    return {**_FREE, "attempts": case((Submission.attempts > 0, Submission.attempts - 1), else_=0)}


@patient
def fail_claimed(catalog: Catalog, run_id: int, owner: str, *, reason: str) -> bool:
    """Let a claimed run fail with a note; return False if another has it, or if it has ended by now."""
    with catalog.writing() as connection:
        is_held = _change_held(connection, run_id, owner, _FREE)
        return is_held and fail_if_open(connection, run_id, reason)


def _claimable(dead: Collection[str], besides: Collection[int], only: int | None) -> Select[int, int, str | None]:
    """Return the query for the oldest run that may be claimed."""
    is_free = or_(Submission.owner.is_(None), Submission.lease_until <= Now(), Submission.owner.in_(dead))
    query = select(Submission.run_id, Submission.attempts, Submission.retry_only).where(*_is_open(), is_free)
    if only is not None:
        query = query.where(Submission.run_id == only)
    if besides:
        query = query.where(Submission.run_id.not_in(besides))
    return query.order_by(Submission.run_id).limit(1)


def _is_open() -> tuple[ColumnElement[bool], ...]:
    return (Run.id == Submission.run_id, Run.state.in_(OPEN))


def _dead_owners(connection: Connection) -> list[str]:
    """Return who has claimed a run and died on this machine: nobody waits for what they have claimed to run out."""
    owners = select(Submission.owner).where(*_is_open(), Submission.owner.is_not(None)).distinct()
    return sorted(owner for owner in connection.scalars(owners) if owner is not None and is_dead_here(owner))


def _change_held(connection: Connection, run_id: int, owner: str, values: dict[str, Any]) -> bool:
    held = (Submission.run_id == run_id, Submission.owner == owner)
    return connection.execute(update(Submission).where(*held).values(**values)).rowcount == 1


def fail_if_open(connection: Connection, run_id: int, reason: str) -> bool:
    """Return whether the run failed now, and not otherwise before."""
    hold_run(connection, run_id)
    is_open = connection.scalar(select(Run.state).where(Run.id == run_id)) in OPEN
    if is_open:
        move(connection, run_id, RunState.FAILED)
        append_notes(connection, run_id, [reason])
        connection.execute(update(Submission).where(Submission.run_id == run_id).values(**_FREE))
    return is_open


def _given_up(attempts: int) -> str:
    return (
        f"given up: {attempts} dispatchers that took it up one after another ended without a word and without "
        "progress, as those do that run out of memory. Look at the memory and the logs of their machines, and ask for "
        "it again"
    )
