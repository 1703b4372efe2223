"""The check of a screen before anything runs: what came of each plate, against what should have come."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from hcs.embedding.registry import check_choice
from hcs.errors import HcsError
from hcs.pipeline.examination import ExaminedPlate, examine_screen
from schemas.acceptance import Verdict
from schemas.api import FieldError
from schemas.api_plates import PlateCheck, ScreenCheck
from schemas.keys import Scope
from schemas.screen import ScreenConfig
from services.api.access import needs
from services.api.bodies import json_object
from services.api.context import Asked
from services.api.mistakes import pointer
from services.api.problems import RequestError, kind_of
from services.api.submission import read_screen

WORST_LAST = (Verdict.ACCEPT, Verdict.ACCEPT_WITH_HOLES, Verdict.REJECT)

router = APIRouter(tags=["runs"])
submitting = [Depends(needs(Scope.SUBMIT))]


@router.post("/checks", summary="Check a screen before it is submitted", dependencies=submitting)
async def check(context: Asked, body: Annotated[dict[str, Any], Depends(json_object)]) -> ScreenCheck:
    """Takes what `POST /v1/runs` takes, and answers with the acceptance report of every plate. Nothing is written.

    It is what `hcs check SCREEN.yaml` says: the head of every image is read, which takes a second for some thousand on
    a local disk. Screens are checked one at a time. Weights are looked for by who performs the run.
    """
    config = await to_thread.run_sync(read_screen, body, context.roots)
    return await to_thread.run_sync(_checked, config, limiter=context.checks)


def _checked(config: ScreenConfig) -> ScreenCheck:
    notes = tuple(
        f"whether timm has an encoder {choice.name!r} is looked for when the run begins"
        for index, choice in enumerate(config.encoders)
        if not _is_known(config, index)
    )
    examined, _ = examine_screen(config, refuses_alone=False)
    plates = tuple(map(_plate, examined))
    worst = max((plate.verdict for plate in plates), key=WORST_LAST.index)
    return ScreenCheck(screen=config.screen, verdict=worst, plates=plates, notes=notes)


def _is_known(config: ScreenConfig, index: int) -> bool:
    try:
        return check_choice(config.encoders[index])
    except HcsError as error:
        place = pointer(("encoders", index))
        raise RequestError(
            kind_of(error), f"{place}: {error}", errors=[FieldError(pointer=place, detail=str(error))]
        ) from error


def _plate(examined: ExaminedPlate) -> PlateCheck:
    report = examined.report
    return PlateCheck(
        barcode=examined.plate,
        verdict=Verdict.REJECT if report is None else report.verdict,
        reason=examined.reason,
        report=report,
    )
