"""Hits: the main question, answered page by page or as a table, and the mechanisms to ask by."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from hcs.catalog import HitLimits, count_mechanisms, get_run, hits_page
from hcs.catalog.hit_limits import LARGEST_NUMBER, TREATMENT_TYPES
from hcs.catalog.names import NAME_LIMIT
from hcs.io.tables import table_bytes
from schemas.api import HitPage, Mechanism, MechanismPage
from services.api.context import Asked
from services.api.cursors import gone
from services.api.negotiation import prefers
from services.api.paging import ROWS_OF_A_PAGE, link_to_next
from services.api.parameters import NUMBER, WHOLE, Cursor, Flag, Limit, ProfileQuery, RunQuery
from services.api.rows import hit_of, rows_of

CSV = "text/csv"
MOST_BATCHES = 100_000

router = APIRouter(tags=["hits"])


@router.get(
    "/hits",
    summary="Hits, by mechanism and whatever else is asked",
    response_model=HitPage,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
def hits(
    *,
    request: Request,
    response: Response,
    context: Asked,
    run: RunQuery = "latest",
    mechanism: Annotated[
        str | None,
        Query(
            max_length=NAME_LIMIT,
            description="One label in any case, annotated or predicted.",
            examples=["tubulin inhibitor"],
        ),
    ] = None,
    q_max: Annotated[
        float, Field(gt=0, le=1), NUMBER, Query(description="Largest q value; 1 keeps rows without one too.")
    ] = 0.05,
    not_toxic: Annotated[Flag, Query(description="Only where `cell_count_ratio` is at least 0.5.")] = False,
    not_by_count: Annotated[
        Flag, Query(description="Without those that the number of cells explains; what cannot be told stays.")
    ] = False,
    not_one_channel: Annotated[
        Flag, Query(description="Without those that show in one channel alone; what cannot be told stays.")
    ] = False,
    not_flagged: Annotated[
        Flag,
        Query(description="Without those whose wells are flagged more than controls; what cannot be told stays."),
    ] = False,
    min_batches: Annotated[
        Annotated[int, Field(ge=1, le=MOST_BATCHES), WHOLE] | None,
        Query(
            description="Holds in at least so many batches by itself (`n_batches_holding`). Batches with too few wells "
            "to tell do not count, and hits for which it was not tested are left out."
        ),
    ] = None,
    profile: ProfileQuery = "combined",
    control_type: Annotated[
        Literal["treatment", "poscon"] | None, Query(description="One family of calls; by default both.")
    ] = None,
    limit: Limit = None,
    cursor: Cursor = None,
) -> Any:
    """The smallest q first, then the largest effect; defaults as of `hcs hits`.

    With `Accept: text/csv` it is a table: of all rows, unless `limit` or `cursor` ask for a page. Cells that a
    spreadsheet would take for a formula begin with an apostrophe there.
    """
    limits = HitLimits(
        mechanism=mechanism,
        q_max=q_max,
        not_toxic=not_toxic,
        not_by_count=not_by_count,
        not_one_channel=not_one_channel,
        not_flagged=not_flagged,
        min_batches=min_batches,
        control_types=TREATMENT_TYPES if control_type is None else (control_type,),
    )
    if prefers(request, CSV) and limit is None and cursor is None:
        everything = hits_page(context.catalog, limits, run=run, profile=profile, limit=LARGEST_NUMBER)
        return _table(everything.hits, {})
    asked = {**asdict(limits), "profile": profile, "run": run}
    run_id, results, offset = (run, None, 0) if cursor is None else context.cursors.read(cursor, query=asked)
    page = hits_page(  # a cursor stays with its run where `latest` is another by now
        context.catalog, limits, run=run_id, profile=profile, limit=limit or ROWS_OF_A_PAGE, offset=offset
    )
    if cursor is not None and page.results_sha256 != results:
        raise gone()
    following = None
    if page.has_more:
        end = (page.run_id, page.results_sha256, offset + page.hits.height)
        following = context.cursors.issue(end, query=asked)
        response.headers["Link"] = link_to_next(request, following)
    if prefers(request, CSV):
        return _table(page.hits, dict(response.headers))
    items = tuple(map(hit_of, rows_of(page.hits)))
    return HitPage(items=items, next_cursor=following, run=f"run-{page.run_id}", profile=profile)


def _table(frame: pl.DataFrame, headers: dict[str, str]) -> Response:
    return Response(table_bytes(frame, ending="csv"), media_type=CSV, headers=headers)


@router.get("/mechanisms", summary="Mechanisms that were found")
def mechanisms(context: Asked, run: RunQuery = "latest", profile: ProfileQuery = "combined") -> MechanismPage:
    """Every label that `mechanism` of the hits can ask for, with how many treatments have it and how many are hits."""
    record = get_run(context.catalog, run)
    items = tuple(Mechanism(**row) for row in rows_of(count_mechanisms(context.catalog, record.id, profile=profile)))
    return MechanismPage(items=items, next_cursor=None, run=record.name, profile=profile)
