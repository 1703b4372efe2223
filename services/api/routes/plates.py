"""Plates of a run: their acceptance report, and their wells with quality and scores."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from hcs.catalog import acceptance_reports, get_run, plates_of
from hcs.errors import NotFoundError
from hcs.pipeline.wells import CALL_COLUMNS, count_plate, view_wells
from schemas.acceptance import AcceptanceReport
from schemas.api import Plate, PlatePage, PlateQuality, PlateSummary, Well, WellCall, WellPage
from services.api.context import Asked
from services.api.parameters import PlatePath, ProfileQuery, RunQuery
from services.api.rows import path_of, rows_of, well_image_path

router = APIRouter(tags=["plates"])


@router.get("/plates", summary="List the plates of a run")
def plates(context: Asked, run: RunQuery = "latest") -> PlatePage:
    """Every plate of a run by barcode: what it was made with, where it lies, and what the check said."""
    record = get_run(context.catalog, run)
    reports = acceptance_reports(context.catalog, record.id)
    rows = rows_of(plates_of(context.catalog, record.id))
    items = tuple(PlateSummary(**_summary(row, record.name, reports[row["plate"]])) for row in rows)
    return PlatePage(items=items, next_cursor=None)


@router.get("/plates/{barcode:path}/wells", summary="Wells of a plate with quality and scores")
def wells(context: Asked, barcode: PlatePath, run: RunQuery = "latest", profile: ProfileQuery = "combined") -> WellPage:
    """What was done to each well, what became of its sites, and what the run says of its treatment."""
    record = get_run(context.catalog, run)
    rows = rows_of(view_wells(context.catalog, record, barcode, profile=profile))
    items = tuple(_well(row, barcode, record.name) for row in rows)
    return WellPage(items=items, next_cursor=None, plate=barcode, run=record.name, profile=profile)


@router.get("/plates/{barcode:path}", summary="One plate with its acceptance report")
def plate(context: Asked, barcode: PlatePath, run: RunQuery = "latest") -> Plate:
    """What a plate was made with, what the check said of its delivery, and what became of its wells and sites."""
    record = get_run(context.catalog, run)
    counts = count_plate(context.catalog, record, barcode)
    rows = [row for row in rows_of(plates_of(context.catalog, record.id)) if row["plate"] == barcode]
    report = acceptance_reports(context.catalog, record.id).get(barcode)
    if not rows or report is None:
        raise NotFoundError(f"{record.name} has no plate {barcode[:80]!r}")
    here = path_of("plates", barcode)
    return Plate(
        **_summary(rows[0], record.name, report),
        manifest_sha256=rows[0]["manifest_sha256"],
        report=report,
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
            "sheet": f"{here}/sheet.webp?run={record.name}",
        },
    )


def _summary(row: dict[str, Any], run: str, report: AcceptanceReport) -> dict[str, Any]:
    known = {name: row[name] for name in PlateSummary.model_fields if name in row}
    return {**known, "barcode": row["plate"], "run": run, "uri": row["root_uri"], "verdict": report.verdict}


def _well(row: dict[str, Any], plate: str, run: str) -> Well:
    said = None if row["call"] is None else WellCall(**{name: row[name] for name in CALL_COLUMNS})
    image = well_image_path(plate, row["well"], run)
    return Well(**{**row, "call": said, "flags": tuple(row["flags"] or ()), "image": image})
