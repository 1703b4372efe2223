"""Runs that are submitted before anyone has looked at what was delivered, and asked for again when they ended badly."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, insert, select, update

from hcs.catalog import models
from hcs.catalog.dialects import Now, insert_missing
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import canonical_json, sha256_of_json
from hcs.catalog.ledger import ready_again
from hcs.catalog.models import ApiKey, IdempotencyKey, Run
from hcs.catalog.names import TEXT_LIMIT, check_name
from hcs.catalog.owners import is_dead_here
from hcs.catalog.patience import patient
from hcs.catalog.registration import DESCRIPTION, hold_screen, insert_run, next_repetition
from hcs.catalog.runs import FINISHED, RunRecord, hold_run, move, replace_notes, run_record
from hcs.errors import ConflictError
from schemas.screen import ScreenConfig
from schemas.work import RunState

NOTHING_KNOWN = {"pin": "null", "encoders": "[]"}
"""What the row of a run says until somebody has looked at its delivery."""

_ENDED_BADLY = (RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True)
class Once:
    """A request that must not be carried out twice: who sent it, under which key, and the hash of what it says."""

    key_id: int
    key: str
    request_sha256: str


@dataclass(frozen=True)
class Submission:
    """A submitted run, and whether this submission made it."""

    run: RunRecord
    is_new: bool


@dataclass(frozen=True)
class SubmissionRecord:
    """What the catalog knows of a run's submission.

    It `is_claimed` while a dispatcher works on it. `attempts` counts dispatchers that took it up and were never heard
    of again, the present one included. `retry_only` is what was asked for the last time, None if no retry was.
    """

    run_id: int
    submitted_by: str | None
    attempts: int
    retry_only: str | None
    is_claimed: bool


@patient
def submit_run(
    catalog: Catalog,
    config: ScreenConfig,
    *,
    code_version: str,
    by: str | None = None,
    new: bool = False,
    once: Once | None = None,
) -> Submission:
    """Return the run of this submission: one that waits for a dispatcher, or the newest of the same submission.

    A run that failed or was cancelled is none that is returned: the submission after it makes another.

    Args:
        catalog: Where to register.
        config: The screen, with places that a dispatcher can find.
        code_version: Recorded beside the run.
        by: Who submits.
        new: Whether a new run is made even if the same was submitted before.
        once: Has the same request carried out once: sent again, it is answered with the run that it made.

    Raises:
        ConflictError: If the key of `once` came before with another request.
        UsageError: If a name cannot be stored.
    """
    _check_submission(config, by, once)
    digest = sha256_of_json(config.model_dump(mode="json"))
    with catalog.writing() as connection:
        earlier = None if once is None else _carried_out(connection, once)
        if earlier is not None:
            return Submission(run_record(connection, earlier), is_new=False)
        screen_id = hold_screen(connection, config.screen)  # the same submission a moment later waits here
        known = None if new else _newest_of(connection, digest)
        run_id = known
        if run_id is None:
            values = {
                "screen_id": screen_id,
                "config_sha256": digest,
                "repetition": next_repetition(connection, digest),
                "config": canonical_json(config.model_dump(mode="json")),
                "code_version": code_version,
                **NOTHING_KNOWN,
            }
            run_id = insert_run(connection, values)
            row = {"run_id": run_id, "submission_sha256": digest, "submitted_by": by, "attempts": 0}
            connection.execute(insert(models.Submission).values(**row))
        if once is not None:
            _remember(connection, once, run_id)
        return Submission(run_record(connection, run_id), is_new=known is None)


@patient
def submission_of(catalog: Catalog, run_id: int) -> SubmissionRecord | None:
    """Return what is known of a run's submission; None for a run that was not submitted."""
    table = models.Submission
    holds = (table.lease_until > Now()).label("holds")
    with catalog.reading() as connection:
        row = connection.execute(select(*table.__table__.columns, holds).where(table.run_id == run_id)).first()
    if row is None:
        return None
    is_claimed = row.owner is not None and bool(row.holds) and not is_dead_here(row.owner)
    return SubmissionRecord(row.run_id, row.submitted_by, row.attempts, row.retry_only, is_claimed)


@patient
def ask_again(catalog: Catalog, run_id: int, *, only: str = "", by: str | None = None) -> int:
    """Return how many failed units are ready again, for a dispatcher to try them.

    A run that failed or was cancelled goes on where it stopped, also without a failed unit. One that finished goes on
    if there is a failed unit to try, and stays as it is otherwise. A run that was never submitted is from now on.

    Args:
        catalog: Where the run is.
        run_id: The run.
        only: Part of the reason, in any case: the units that failed for another reason stay failed.
        by: Who asks; a run that was submitted before keeps the name that it has.

    Raises:
        NotFoundError: If there is no such run.
    """
    check_name(by or "", what="name of who asks")
    with catalog.writing() as connection:
        connection.execute(select(models.Submission.run_id).where(_of(run_id)).with_for_update(key_share=True))
        hold_run(connection, run_id)
        run = run_record(connection, run_id)
        n_units = ready_again(connection, run_id, only=only)
        if run.state in _ENDED_BADLY:
            if run.state is RunState.FAILED:
                replace_notes(connection, run_id, [])  # why it failed then is no longer true
            move(connection, run_id, RunState.RUNNING if run.is_looked_at else RunState.SUBMITTED)
        elif run.state in FINISHED and not n_units:
            return 0
        digest = sha256_of_json(run.config.model_dump(mode="json"))
        row = {"run_id": run_id, "submission_sha256": digest, "submitted_by": by, "attempts": 0}
        insert_missing(connection, models.Submission, [row], key=["run_id"])
        asked = {"attempts": 0, "retry_only": only}
        connection.execute(update(models.Submission).where(_of(run_id)).values(**asked))
        dispatched = update(models.Dispatch).where(models.Dispatch.run_id == run_id)
        connection.execute(dispatched.values(is_counted=False))
        return n_units


def _check_submission(config: ScreenConfig, by: str | None, once: Once | None) -> None:
    check_name(once.key if once else "", what="Idempotency-Key")
    check_name(by or "", what="name of who submits")
    check_name(config.screen, what="screen's name")
    for entry in config.plates:
        check_name(entry.uri, what="delivery's URI", limit=TEXT_LIMIT)
        for field in ("barcode", *DESCRIPTION):
            check_name(getattr(entry, field) or "", what=f"plate's {field}")


def _of(run_id: int) -> ColumnElement[bool]:
    return models.Submission.run_id == run_id


def _newest_of(connection: Connection, digest: str) -> int | None:
    """Return the newest run of a submission that did not end badly."""
    query = (
        select(models.Submission.run_id)
        .join(Run, Run.id == models.Submission.run_id)
        .where(models.Submission.submission_sha256 == digest, Run.state.not_in(_ENDED_BADLY))
    )
    return connection.scalar(query.order_by(models.Submission.run_id.desc()).limit(1))


def _carried_out(connection: Connection, once: Once) -> int | None:
    """Return the run that the same request made before; requests of one API key wait in line from here on.

    Raises:
        ConflictError: If it was another request.
    """
    connection.execute(select(ApiKey.id).where(ApiKey.id == once.key_id).with_for_update(key_share=True))
    sent = (IdempotencyKey.api_key_id == once.key_id, IdempotencyKey.key == once.key)
    row = connection.execute(select(IdempotencyKey.request_sha256, IdempotencyKey.run_id).where(*sent)).first()
    if row is not None and row.request_sha256 != once.request_sha256:
        raise ConflictError(
            f"a request with the Idempotency-Key {once.key[:40]!r} is sent again as it was, but this one says "
            f"something else than the one that made run-{row.run_id}. Send a new request under a new key."
        )
    return None if row is None else row.run_id


def _remember(connection: Connection, once: Once, run_id: int) -> None:
    row = {"api_key_id": once.key_id, "key": once.key, "request_sha256": once.request_sha256, "run_id": run_id}
    connection.execute(insert(IdempotencyKey).values(**row, created_at=Now()))
