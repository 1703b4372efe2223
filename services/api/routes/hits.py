"""Hits: the main question, answered page by page or as a table."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from hcs.catalog import RunRecord, find_hits, get_run
from hcs.catalog.names import NAME_LIMIT
from hcs.io.tables import table_bytes
from schemas.api import Hit, HitPage
from services.api.context import Asked, Context
from services.api.cursors import Position, gone
from services.api.negotiation import prefers
from services.api.paging import link_to_next
from services.api.parameters import Cursor, Flag, Limit, Number, ProfileQuery, RunQuery, Whole
from services.api.rows import rows_of

CSV = "text/csv"
ROWS_OF_A_PAGE = 100
MOST_BATCHES = 100_000

router = APIRouter(tags=["hits"])


@router.get(
    "/hits",
    summary="Hits, by mechanism and whatever else is asked",
    response_model=HitPage,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
def hits(
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
    q_max: Annotated[Number, Query(gt=0, le=1, description="Largest q value; 1 keeps rows without one too.")] = 0.05,
    not_toxic: Annotated[Flag, Query(description="Only where `cell_count_ratio` is at least 0.5.")] = False,
    min_batches: Annotated[
        Whole | None, Query(ge=1, le=MOST_BATCHES, description="Seen in at least so many batches.")
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
    query = {
        "mechanism": mechanism,
        "q_max": q_max,
        "not_toxic": not_toxic,
        "min_batches": min_batches,
        "profile": profile,
        "control_types": ("treatment", "poscon") if control_type is None else (control_type,),
    }
    is_csv = prefers(request, CSV)
    record, offset = _begin(context, run, cursor, query)
    rows_at_most = None if is_csv and limit is None and cursor is None else limit or ROWS_OF_A_PAGE
    frame, has_more = _page(context, record, query, rows_at_most, offset)
    following = None
    if has_more:
        position = Position(record.id, results_of(record), offset + frame.height)
        following = context.cursors.issue(position, query={**query, "run": run})
        response.headers["Link"] = link_to_next(request, following)
    if is_csv:
        return Response(table_bytes(frame, ending="csv"), media_type=CSV, headers=dict(response.headers))
    return HitPage(
        items=tuple(Hit(**row) for row in rows_of(frame)), next_cursor=following, run=record.name, profile=profile
    )


def _begin(context: Context, run: str, cursor: str | None, query: dict[str, Any]) -> tuple[RunRecord, int]:
    """Return the run that is asked, and behind how many of its rows the page begins.

    A cursor stays with its run, also where `latest` is another one by now.
    """
    if cursor is None:
        return get_run(context.catalog, run), 0
    position = context.cursors.read(cursor, query={**query, "run": run})
    record = get_run(context.catalog, position.run_id)
    if results_of(record) != position.results:
        raise gone()
    return record, position.offset


def results_of(record: RunRecord) -> str:
    """Return what tells the results of a run from those that it publishes after a retry."""
    return "" if record.finished_at is None else record.finished_at.isoformat()


def _page(
    context: Context, record: RunRecord, query: dict[str, Any], limit: int | None, offset: int
) -> tuple[pl.DataFrame, bool]:
    found = find_hits(context.catalog, run=record.id, **query)
    found = found.sort("q_value", pl.col("effect").neg(), nulls_last=True, maintain_order=True)
    return found.slice(offset, limit), limit is not None and found.height > offset + limit
