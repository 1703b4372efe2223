"""Runs: submit one, look how far it is, cancel it, have its failures tried again, delete it."""

from __future__ import annotations

from typing import Annotated, Any

import polars as pl
import structlog
from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from hcs import __version__
from hcs.catalog import (
    Once,
    RunRecord,
    RunStatus,
    acceptance_reports,
    ask_again,
    cancel_run,
    failures_of,
    get_run,
    list_runs,
    plates_of,
    profiles_of,
    run_status,
    submit_run,
)
from hcs.catalog.runs import NEXT_STATES, time_of
from hcs.errors import CatalogError, ConflictError
from hcs.pipeline.deleting import delete_run_and_files
from schemas.api import (
    Failure,
    PlateProgress,
    Profile,
    ProfilePage,
    Progress,
    Run,
    RunDispatch,
    RunPage,
    RunPlate,
    RunPlatePage,
    RunSummary,
)
from schemas.keys import Scope
from schemas.screen import ScreenConfig
from schemas.work import RunState
from services.api.access import needs
from services.api.bodies import json_object
from services.api.context import Asked, AskedBy, Context
from services.api.paging import ROWS_OF_A_PAGE, link_to_next
from services.api.parameters import Cursor, Flag, Limit, RunPath
from services.api.rows import path_of, rows_of
from services.api.submission import read_screen, request_digest

MOST_FAILURES = 100
SECONDS_BETWEEN_LOOKS = 5
"""How soon it is worth asking again how far a run is."""

NEWEST_FIRST = {"path": "runs"}

log = structlog.get_logger(__name__)
router = APIRouter(tags=["runs"])
administering = [Depends(needs(Scope.ADMIN))]
submitting = [Depends(needs(Scope.SUBMIT))]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Any word of the client's. The same request with the same word is carried out once.",
    ),
]


@router.post("/runs", summary="Submit a screen", status_code=202, response_model=Run, dependencies=submitting)
def submit(
    *,
    response: Response,
    context: Asked,
    asked_by: AskedBy,
    body: Annotated[dict[str, Any], Depends(json_object)],
    new: Annotated[Flag, Query(description="Whether the same screen is run once more.")] = False,
    idempotency_key: IdempotencyKey = None,
) -> Run:
    """Takes a SCREEN.yaml as JSON and answers 202 with the run that a dispatcher performs.

    The same screen again, or the same request with the same `Idempotency-Key`, is answered 200 with the run that there
    is. URIs are absolute and lie under a root of the server.
    """
    config = read_screen(body, context.roots)
    once = None
    if idempotency_key is not None:
        once = Once(asked_by.id, idempotency_key, request_digest(body, new=new))
    made = submit_run(context.catalog, config, code_version=__version__, by=asked_by.name, new=new, once=once)
    response.status_code = 202 if made.is_new else 200
    return _answer(context, made.run, response)


@router.get("/runs", summary="List runs")
def runs(request: Request, response: Response, context: Asked, limit: Limit = None, cursor: Cursor = None) -> RunPage:
    """Runs in any state, newest first."""
    frame = list_runs(context.catalog).reverse()
    if cursor is not None:
        (after,) = context.cursors.read(cursor, query=NEWEST_FIRST)
        frame = frame.filter(pl.col("run").str.strip_prefix("run-").cast(pl.Int64) < after)
    page, following = frame.head(limit or ROWS_OF_A_PAGE), None
    if page.height < frame.height:
        last = int(page["run"][-1].removeprefix("run-"))
        following = context.cursors.issue((last,), query=NEWEST_FIRST)
        response.headers["Link"] = link_to_next(request, following)
    items = tuple(RunSummary(id=row["run"], **row) for row in rows_of(page))
    return RunPage(items=items, next_cursor=following)


@router.get("/runs/{run}", summary="One run and how far it is", response_model=Run)
def one_run(response: Response, context: Asked, run: RunPath) -> Run:
    """What it is, how far it is, what failed, and what people should know of its results.

    `latest` is the newest run in any state. While it is not at its end, `Retry-After` says when to look again.
    """
    return _answer(context, get_run(context.catalog, run, finished=False), response, is_located=False)


@router.get("/runs/{run}/screen", summary="The screen that a run was made of")
def screen(context: Asked, run: RunPath) -> ScreenConfig:
    """The configuration as it was submitted, its places resolved and its defaults filled in."""
    return get_run(context.catalog, run, finished=False).config


@router.get("/runs/{run}/plates", summary="Plates of a run")
def run_plates(context: Asked, run: RunPath) -> RunPlatePage:
    """Every plate of a run by barcode: what it was made with, where it lay, and what the check said."""
    record = get_run(context.catalog, run, finished=False)
    reports = acceptance_reports(context.catalog, record.id)
    rows = rows_of(plates_of(context.catalog, record.id))
    items = (
        RunPlate(
            barcode=row["plate"], run=record.name, uri=row["root_uri"], verdict=reports[row["plate"]].verdict, **row
        )
        for row in rows
        if row["plate"] in reports
    )
    return RunPlatePage(items=tuple(items), next_cursor=None, run=record.name)


@router.get("/runs/{run}/profiles", summary="Profiles that a run published")
def profiles(context: Asked, run: RunPath) -> ProfilePage:
    """The tables of well profiles: one an encoder, and `combined`."""
    record = get_run(context.catalog, run)
    names = Profile.model_fields
    items = tuple(
        Profile(**receipt.model_dump(include=set(names))) for receipt in profiles_of(context.catalog, record.id)
    )
    return ProfilePage(items=items, next_cursor=None, run=record.name)


@router.post("/runs/{run}/cancel", summary="Cancel a run", status_code=202, response_model=Run, dependencies=submitting)
def cancel(response: Response, context: Asked, run: RunPath) -> Run:
    """No unit of it is begun from now on; what is finished is kept, and `retry` goes on from there."""
    record = get_run(context.catalog, run, finished=False)
    try:
        record = cancel_run(context.catalog, record.id)
    except CatalogError as error:
        now = get_run(context.catalog, record.id)
        if RunState.CANCELLED in NEXT_STATES[now.state]:
            raise
        raise ConflictError(
            f"{now.name} is {now.state.value}, and only a run that is not complete can be cancelled"
        ) from error
    return _answer(context, record, response)


@router.post(
    "/runs/{run}/retry", summary="Try failures again", status_code=202, response_model=Run, dependencies=submitting
)
def retry(
    *,
    response: Response,
    context: Asked,
    asked_by: AskedBy,
    run: RunPath,
    only: Annotated[str, Query(max_length=200, description="Only units whose reason holds this text.")] = "",
) -> Run:
    """Units that failed are tried once more by a dispatcher; a run that was cancelled or failed goes on."""
    record = get_run(context.catalog, run, finished=False)
    ask_again(context.catalog, record.id, only=only, by=asked_by.name)
    return _answer(context, get_run(context.catalog, record.id), response)


@router.delete("/runs/{run}", summary="Delete a run", status_code=204, dependencies=administering)
def delete(context: Asked, run: RunPath) -> None:
    """All that the catalog holds of a run, and its files. One that goes on is refused: cancel it first."""
    removal = delete_run_and_files(context.catalog, get_run(context.catalog, run, finished=False).id)
    for path, reason in removal.failures.items():
        log.warning("a file of a deleted run is still there", path=path, reason=reason)


def _answer(context: Context, record: RunRecord, response: Response, *, is_located: bool = True) -> Run:
    if is_located:
        response.headers["Location"] = path_of("runs", record.name)
    if record.state in {RunState.SUBMITTED, RunState.RUNNING}:
        response.headers["Retry-After"] = str(SECONDS_BETWEEN_LOOKS)
    return _view(context, record)


def _view(context: Context, record: RunRecord) -> Run:
    status = run_status(context.catalog, record.id)
    failures = failures_of(context.catalog, record.id)
    here = path_of("runs", record.name)
    links = {"self": here, "screen": f"{here}/screen", "plates": f"{here}/plates"}
    if record.is_finished:
        links |= {name: f"/v1/{name}?run={record.name}" for name in ("hits", "mechanisms")}
        links["profiles"] = f"{here}/profiles"
    return Run(
        id=record.name,
        screen=record.screen,
        state=record.state,
        is_finished=record.is_finished,
        code_version=record.code_version,
        config_sha256=record.config_sha256,
        pin=record.pin,
        encoders=record.encoders,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        notes=record.notes,
        progress=_progress(status),
        dispatch=_dispatch(status),
        failures=tuple(Failure(sites=row["n_sites"], **row) for row in rows_of(failures.head(MOST_FAILURES))),
        n_failures=failures.height,
        links=links,
    )


def _dispatch(status: RunStatus) -> RunDispatch | None:
    last = status.dispatch
    if last is None:
        return None
    changed_at = time_of(last.changed_at)
    return RunDispatch(
        attempt=last.attempt, name=last.name, state=last.state, message=last.message, changed_at=changed_at
    )


def _progress(status: RunStatus) -> Progress:
    plates = (
        PlateProgress(
            barcode=plate.plate,
            **{name: getattr(plate, name) for name in PlateProgress.model_fields if name != "barcode"},
        )
        for plate in status.plates
    )
    return Progress(
        units={state.value: count for state, count in status.units.items()},
        sites=status.sites,
        sites_done=status.sites_done,
        sites_failed=status.sites_failed,
        sites_per_second=status.sites_per_second,
        eta_seconds=status.eta_seconds,
        drivers=status.drivers,
        plates=tuple(plates),
    )
