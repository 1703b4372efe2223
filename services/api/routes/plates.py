"""Plates of a run: their acceptance report, and their wells with quality and scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import polars as pl
from anyio import to_thread
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from hcs.catalog import PlateRun as PlateOfRun
from hcs.catalog import RunRecord, find_plates, get_run, plate_runs
from hcs.catalog.names import NAME_LIMIT
from hcs.catalog.runs import FINISHED
from hcs.errors import NotFoundError
from hcs.hits.explain import doubts_of_call
from hcs.pipeline.wells import CALL_COLUMNS, count_plate, view_wells
from schemas.api import Plate, PlatePage, PlateQuality, PlateRun, PlateSummary, Well, WellCall, WellPage
from services.api.context import Asked, Context
from services.api.paging import ROWS_OF_A_PAGE, link_to_next
from services.api.parameters import Cursor, Limit, PlatePath, ProfileQuery, RunOfPlate
from services.api.rows import path_of, rows_of, well_image_path

router = APIRouter(tags=["plates"])


@router.get("/plates", summary="List plates")
def plates(
    *,
    request: Request,
    response: Response,
    context: Asked,
    screen: Annotated[str | None, Query(max_length=NAME_LIMIT, description="Only plates of this screen.")] = None,
    limit: Limit = None,
    cursor: Cursor = None,
) -> PlatePage:
    """Every physical plate by screen and barcode, with how many runs it took part in."""
    asked = {"path": "plates", "screen": screen}
    frame = find_plates(context.catalog, screen)
    if cursor is not None:
        after = context.cursors.read(cursor, query=asked)
        is_after = [place > after for place in frame.select("screen", "plate").iter_rows()]
        frame = frame.filter(pl.Series(is_after, dtype=pl.Boolean))
    page, following = frame.head(limit or ROWS_OF_A_PAGE), None
    if page.height < frame.height:
        following = context.cursors.issue(page.select("screen", "plate").row(-1), query=asked)
        response.headers["Link"] = link_to_next(request, following)
    items = tuple(PlateSummary(barcode=row["plate"], **row) for row in rows_of(page))
    return PlatePage(items=items, next_cursor=following)


@router.get("/plates/{barcode:path}/wells", summary="Wells of a plate with quality and scores", response_model=WellPage)
async def wells(
    context: Asked, barcode: PlatePath, run: RunOfPlate = None, profile: ProfileQuery = "combined"
) -> Response:
    """What was done to each well, what became of its sites, and what the run says of its treatment."""
    record = await to_thread.run_sync(run_of, context, barcode, run)
    make = partial(_wells_page, context, record, barcode, profile)
    content = await context.answers.show(record, ("wells", barcode, profile), make)
    return Response(content, media_type="application/json")


def _wells_page(context: Context, run: RunRecord, barcode: str, profile: str) -> bytes:
    rows = rows_of(view_wells(context.catalog, run, barcode, profile=profile))
    items = tuple(_well(row, barcode, run.name) for row in rows)
    page = WellPage(items=items, next_cursor=None, plate=barcode, run=run.name, profile=profile)
    return page.model_dump_json().encode()


@router.get("/plates/{barcode:path}", summary="One plate with its acceptance report")
def plate(context: Asked, barcode: PlatePath, run: RunOfPlate = None) -> Plate:
    """What a plate was made with, what the check said of its delivery, and what became of its wells and sites."""
    all_runs = plate_runs(context.catalog, barcode)
    record = get_run(context.catalog, _newest(barcode, all_runs) if run is None else run)
    found = next((item for item in all_runs if item.run_id == record.id), None)
    if found is None:
        took_part = ", ".join(item.run for item in all_runs[:10]) or "none any more"
        raise NotFoundError(f"{record.name} has no plate {barcode[:80]!r}, which took part in {took_part}")
    counts = count_plate(context.catalog, record, barcode)
    here = path_of("plates", barcode)
    return Plate(
        **found.description,
        screen=found.screen,
        barcode=barcode,
        run=record.name,
        uri=found.root_uri,
        layout=found.layout,
        manifest_sha256=found.manifest_sha256,
        verdict=found.report.verdict,
        report=found.report,
        runs=tuple(PlateRun(run=item.run, state=item.state, verdict=item.report.verdict) for item in all_runs),
        quality=PlateQuality(
            wells=counts.wells,
            sites=counts.sites,
            sites_failed=counts.sites_failed,
            sites_flagged=counts.flagged.height,
            median_negcon_cells=counts.median_negcon_cells,
        ),
        links={
            "self": f"{here}?run={record.name}",
            "run": path_of("runs", record.name),
            "wells": f"{here}/wells?run={record.name}",
            "measures": f"{here}/measures?run={record.name}",
            "sheet": f"{here}/sheet.webp?run={record.name}",
        },
    )


def run_of(context: Context, barcode: str, run: str | None) -> RunRecord:
    """Return the run that a plate is asked of; as `reference_of`."""
    return get_run(context.catalog, reference_of(context, barcode, run))


def reference_of(context: Context, barcode: str, run: str | None) -> str | int:
    """Return which run a plate is asked of: the one named, else the newest of this plate that finished.

    Raises:
        NotFoundError: If no run of the plate is there.
    """
    return _newest(barcode, plate_runs(context.catalog, barcode)) if run is None else run


def _newest(barcode: str, runs: Sequence[PlateOfRun]) -> int:
    if not runs:
        raise NotFoundError(f"all runs that the plate {barcode[:80]!r} took part in were deleted")
    return next((item.run_id for item in runs if item.state in FINISHED), runs[0].run_id)


def _well(row: dict[str, Any], plate: str, run: str) -> Well:
    columns = {name: row[name] for name in CALL_COLUMNS}
    said = None if row["call"] is None else WellCall(**columns, doubts=doubts_of_call(columns))
    image = well_image_path(plate, row["well"], run)
    return Well(**{**row, "call": said, "flags": tuple(row["flags"] or ()), "image": image})
