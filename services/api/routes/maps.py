"""All treatments of a run at once: where they lie, and which hits another run or profile has not."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import polars as pl
from anyio import to_thread
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import JSONResponse, Response

from hcs.catalog import compare_hits, get_run
from hcs.catalog.comparing import FIGURES
from hcs.catalog.names import NAME_LIMIT
from schemas.api_results import CallFigures, ComparedCall, Comparison, MapUnderWay, RunMap
from services.api.context import Asked, Context
from services.api.parameters import NUMBER, Flag, ProfileQuery, RunPath
from services.api.rows import rows_of

SECONDS_BETWEEN_LOOKS = 3
"""How soon it is worth asking again for a map."""

router = APIRouter(tags=["hits"])


@router.get(
    "/runs/{run}/map",
    summary="Where the treatments of a run lie",
    response_model=RunMap,
    responses={202: {"model": MapUnderWay, "description": "It is being made; `Retry-After` says when to look again"}},
)
async def treatment_map(
    *,
    context: Asked,
    run: RunPath,
    profile: ProfileQuery = "combined",
    everything: Annotated[Flag, Query(description="Whether treatments that are no hits are in it too.")] = False,
) -> Any:
    """UMAP of the hits, their clusters with the most enriched mechanism, and figures beside those of chance.

    Making it takes seconds, many for thousands of treatments: whoever asks first is answered 202, and asks again. Then
    it is kept, until the run publishes other results or is deleted.
    """
    record = await to_thread.run_sync(get_run, context.catalog, run)
    content = await context.maps.show(record, profile=profile, everything=everything)
    if content is not None:
        return Response(content, media_type="application/json")
    headers = {"Retry-After": str(SECONDS_BETWEEN_LOOKS)}
    return JSONResponse(MapUnderWay().model_dump(), status_code=202, headers=headers)


@router.get("/runs/{run}/compare", summary="Hits gained and lost", response_model=Comparison)
async def compare(
    *,
    context: Asked,
    run: RunPath,
    other: Annotated[
        str,
        Query(
            max_length=40,
            description="The run that it is held against, or the same one with `other_profile`.",
            examples=["run-1"],
        ),
    ],
    profile: ProfileQuery = "combined",
    other_profile: Annotated[
        str | None,
        Query(max_length=NAME_LIMIT, description="Profile of the other run; by default that of the run."),
    ] = None,
    q_max: Annotated[float, Field(gt=0, le=1), NUMBER, Query(description="Largest q value of a hit.")] = 0.05,
) -> Response:
    """Treatments that are hits of the run, of the other one, or of both, with what either says of them.

    A hit of the run alone is gained, one of the other alone is lost. Doses are compared one by one.
    """
    after, before = [await to_thread.run_sync(get_run, context.catalog, name) for name in (run, other)]
    names = (profile, profile if other_profile is None else other_profile)
    make = partial(_comparison, context, (after.id, before.id), names, q_max)
    if before.is_finished:
        question = ("compare", before.id, before.finished_at, names, q_max)
        content = await context.answers.show(after, question, make)
    else:
        content = await to_thread.run_sync(make)
    return Response(content, media_type="application/json")


def _comparison(context: Context, runs: tuple[int, int], profiles: tuple[str, str], q_max: float) -> bytes:
    found = compare_hits(
        context.catalog, run=runs[0], other=runs[1], profile=profiles[0], other_profile=profiles[1], q_max=q_max
    )
    body = Comparison(
        run=f"run-{found.run_id}",
        other=f"run-{found.other_id}",
        profile=found.profile,
        other_profile=found.other_profile,
        q_max=found.q_max,
        gained=found.count("gained"),
        lost=found.count("lost"),
        both=found.count("both"),
        items=_items(found.calls),
    )
    return body.model_dump_json().encode()


def _items(calls: pl.DataFrame) -> tuple[ComparedCall, ...]:
    return tuple(
        ComparedCall(**{**row, "before": _figures(row, "before"), "after": _figures(row, "after")})
        for row in rows_of(calls)
    )


def _figures(row: dict[str, Any], side: str) -> CallFigures | None:
    figures = {name: row[f"{side}_{name}"] for name in FIGURES}
    return None if figures["call"] is None else CallFigures(**figures)
