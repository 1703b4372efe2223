"""Pictures of plates, wells and sites, composed of the images that a run has read."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from hcs.errors import HcsError
from hcs.imaging.composite import Colour
from hcs.imaging.scaling import HIGH_PERCENTILE, LOW_PERCENTILE
from hcs.pipeline.pictures import View
from services.api.context import Asked, Context
from services.api.parameters import NUMBER, WHOLE, Flag, PlatePath, RunOfPlate, WellPath, exactly
from services.api.pictures import Made, Wanted
from services.api.problems import explained
from services.api.routes.plates import run_of

WEBP = "image/webp"
KEPT_BY_CLIENTS = "private, max-age=3600"
ASKED_EVERY_TIME = "private, no-cache"

SIDE_ON_A_SHEET, SIDE_IN_A_WELL = 160, 512
LARGEST_SIDE = 4096
MIDDLE = 50
"""No contrast makes more than half of the pixels black, or of full colour."""

CHANNEL = r"[^,:\x00-\x1f]{1,100}(?::[0-9a-fA-F]{6})?"
CHANNELS = f"^{CHANNEL}(?:,{CHANNEL})*$"
SPELLED = exactly(re.compile(CHANNELS), "a list such as DNA or DNA:0046ff,ER, with colours as RRGGBB,")

router = APIRouter(tags=["pictures"])

SiteNumber = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]
SitePath = Annotated[SiteNumber, Path(description="Number of the site.", examples=[1])]
SiteQuery = Annotated[
    SiteNumber | None, Query(description="Only this site; by default all of a well, or the first of each.")
]
Size = Annotated[
    Annotated[int, Field(ge=8, le=LARGEST_SIDE), WHOLE] | None,
    Query(description="Pixels of a site's longer side, at most.", examples=[512]),
]


def _view(
    channels: Annotated[
        Annotated[str, Field(max_length=1000, pattern=CHANNELS), SPELLED] | None,
        Query(
            description="Only these, in any case, each with its colour or without: `DNA:0046ff,ER`. One alone is grey.",
            examples=["DNA:0046ff,AGP"],
        ),
    ] = None,
    low: Annotated[
        Annotated[float, Field(ge=0, lt=MIDDLE), NUMBER] | None,
        Query(
            description="Percentile of the pixels shown that is black; by default (and where `high` "
            "is not given either) the range that the run found on the plate, the same for all wells.",
        ),
    ] = None,
    high: Annotated[
        Annotated[float, Field(gt=MIDDLE, le=100), NUMBER] | None,
        Query(description="Percentile of the pixels shown that is full colour."),
    ] = None,
    raw: Annotated[
        Flag, Query(description="Whether pixels are shown as delivered, the illumination uncorrected.")
    ] = False,
    size: Size = None,
) -> View:
    names, colours = _channels(channels)
    contrast = (LOW_PERCENTILE if low is None else low, HIGH_PERCENTILE if high is None else high)
    return View(
        channels=names,
        contrast=None if low is None and high is None else contrast,
        raw=raw,
        longest_side=size,
        colours=colours,
    )


def _channels(text: str | None) -> tuple[tuple[str, ...] | None, tuple[tuple[str, Colour], ...]]:
    """Return the channels that a text names, and those of them that it gives a colour."""
    if text is None:
        return None, ()
    pairs = [item.strip().partition(":") for item in text.split(",")]
    coloured = [(name, bytes.fromhex(digits)) for name, _, digits in pairs if digits]
    return tuple(name for name, _, _ in pairs), tuple((name, (rgb[0], rgb[1], rgb[2])) for name, rgb in coloured)


Asking = Annotated[View, Depends(_view)]
PICTURE: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"content": {WEBP: {"schema": {"type": "string", "format": "binary"}}}}},
}


@router.get("/plates/{barcode:path}/sheet.webp", summary="Contact sheet of a plate", **PICTURE)
async def sheet(
    *,
    request: Request,
    context: Asked,
    barcode: PlatePath,
    view: Asking,
    run: RunOfPlate = None,
    site: SiteQuery = None,
) -> Response:
    """One site of every well, where the well lies. A place with a cross is a site that is missing or cannot be read."""
    view = _sized(view, SIDE_ON_A_SHEET)
    return await _answer(request, context, run, Wanted("plate", barcode, view, site=site))


@router.get("/plates/{barcode:path}/wells/{well}/image.webp", summary="Picture of a well", **PICTURE)
async def well_image(
    *,
    request: Request,
    context: Asked,
    barcode: PlatePath,
    well: WellPath,
    view: Asking,
    run: RunOfPlate = None,
) -> Response:
    """All sites of a well side by side, in the order of their numbers."""
    view = _sized(view, SIDE_IN_A_WELL)
    return await _answer(request, context, run, Wanted("well", barcode, view, well=well))


@router.get("/plates/{barcode:path}/wells/{well}/sites/{site}/image.webp", summary="Picture of a site", **PICTURE)
async def site_image(
    *,
    request: Request,
    context: Asked,
    barcode: PlatePath,
    well: WellPath,
    site: SitePath,
    view: Asking,
    run: RunOfPlate = None,
) -> Response:
    """One site, as large as it is unless `size` says otherwise."""
    return await _answer(request, context, run, Wanted("site", barcode, view, well=well, site=site))


def _sized(view: View, side: int) -> View:
    return replace(view, longest_side=view.longest_side or side)


async def _answer(request: Request, context: Context, reference: str | None, wanted: Wanted) -> Response:
    run = await to_thread.run_sync(run_of, context, wanted.plate, reference)
    try:
        made = await context.pictures.show(run, wanted)
    except HcsError as error:
        raise explained(error, reads=True) from error
    stays = made.is_whole and run.is_finished and reference in {run.name, str(run.id)}
    headers = {"ETag": made.etag, "Cache-Control": KEPT_BY_CLIENTS if stays else ASKED_EVERY_TIME}
    if _is_known(request, made):
        return Response(status_code=304, headers=headers)
    return Response(made.content, media_type=WEBP, headers=headers)


def _is_known(request: Request, made: Made) -> bool:
    """Return whether the client holds this picture already."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return made.etag in tags or "*" in tags
