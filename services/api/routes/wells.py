"""The wells of a plate as maps, what one of them was made from, and how far each of them is."""

from __future__ import annotations

from functools import partial

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from hcs.catalog import RunRecord, get_run, plate_standing, plates_of
from hcs.errors import NotFoundError, StorageError
from hcs.io.storage import join
from hcs.io.wells import smallest_format
from hcs.pipeline.measures import measure_plate
from hcs.pipeline.provenance import images_of_well
from schemas.api_plates import ImageFile, PlateMeasure, PlateMeasures, WellProgress, WellProvenance, WellStanding
from schemas.work import RunState
from services.api.context import Asked, Context
from services.api.parameters import PlatePath, RunOfPlate, RunPath, WellPath
from services.api.routes.plates import run_of
from services.api.rows import rows_of

SECONDS_BETWEEN_LOOKS = 2
"""How soon it is worth asking again how far wells are, of a run that is not at its end."""

router = APIRouter(tags=["plates"])


@router.get(
    "/plates/{barcode:path}/measures", summary="Maps of everything measured on a plate", response_model=PlateMeasures
)
async def measures(context: Asked, barcode: PlatePath, run: RunOfPlate = None) -> Response:
    """Cell count, focus, intensity and saturation of every well, and what is said of its treatment.

    Each as it is, and without what rows and columns add to it. Effect and mean average precision are those on the
    profile `combined`.
    """
    record = await to_thread.run_sync(run_of, context, barcode, run)
    content = await context.answers.show(record, ("measures", barcode), partial(_measures, context, record, barcode))
    return Response(content, media_type="application/json")


def _measures(context: Context, run: RunRecord, barcode: str) -> bytes:
    found = measure_plate(context.catalog, run, barcode)
    answer = PlateMeasures.model_validate(
        {
            "plate": barcode,
            "run": run.name,
            "rows": found.n_rows,
            "columns": found.n_columns,
            "wells": found.wells,
            "control_type": found.control_types,
            "measures": [
                PlateMeasure(
                    name=measure.name,
                    unit=measure.unit,
                    description=measure.description,
                    raw=raw,
                    corrected=corrected,
                )
                for measure, raw, corrected in found.measures
            ],
        }
    )
    return answer.model_dump_json().encode()


@router.get("/plates/{barcode:path}/wells/{well}/provenance", summary="What the results of a well were made from")
def provenance(context: Asked, barcode: PlatePath, well: WellPath, run: RunOfPlate = None) -> WellProvenance:
    """From the run's configuration and code to the hash of the weights of each encoder, and of each image."""
    record = run_of(context, barcode, run)
    rows = {row["plate"]: row for row in plates_of(context.catalog, record.id).iter_rows(named=True)}
    if barcode not in rows:
        raise NotFoundError(f"{record.name} has no plate {barcode[:80]!r}; it has {', '.join(list(rows)[:10])}")
    try:
        name, images = images_of_well(context.catalog, record, barcode, well)
    except StorageError:
        get_run(context.catalog, record.id)  # where it was deleted meanwhile, that is what is said
        raise
    return WellProvenance(
        plate=barcode,
        well=name,
        run=record.name,
        config_sha256=record.config_sha256,
        code_version=record.code_version,
        manifest_sha256=rows[barcode]["manifest_sha256"],
        pin=record.pin,
        encoders=record.encoders,
        images=tuple(
            ImageFile(uri=join(rows[barcode]["root_uri"], row["relative_path"]), **row) for row in rows_of(images)
        ),
    )


@router.get("/runs/{run}/plates/{barcode:path}/progress", summary="How far the wells of a plate are")
def progress(response: Response, context: Asked, run: RunPath, barcode: PlatePath) -> WellProgress:
    """Which wells wait, are under work, done or failed, as the ledger says now.

    `latest` is the newest run in any state. While it is not at its end, `Retry-After` says when to look again.
    """
    record = get_run(context.catalog, run, finished=False)
    standing = plate_standing(context.catalog, record.id, barcode)
    if record.state in {RunState.SUBMITTED, RunState.RUNNING}:
        response.headers["Retry-After"] = str(SECONDS_BETWEEN_LOOKS)
    rows, columns = smallest_format(standing.known)
    return WellProgress(
        run=record.name,
        plate=barcode,
        rows=rows,
        columns=columns,
        wells=tuple(
            WellStanding(well=one.well, state=one.state, sites=one.sites, sites_failed=one.sites_failed)
            for one in standing.wells
        ),
    )
