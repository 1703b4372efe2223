"""Whether the process is there, and whether its database is."""

from __future__ import annotations

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter

from hcs import __version__
from hcs.catalog import check_answers
from schemas.api import Health
from services.api.context import Asked

OWN_THREAD = CapacityLimiter(1)
"""While the database is away, all others are taken by requests that wait for it."""

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Whether the process is there")
async def healthz() -> Health:
    """Answers as long as the process lives, whatever became of its database. Takes no key."""
    return Health(version=__version__)


@router.get("/readyz", summary="Whether the database answers")
async def readyz(context: Asked) -> Health:
    """Answers 200 if the database does, else 503, and does not wait for it. Takes no key."""
    await to_thread.run_sync(check_answers, context.catalog, limiter=OWN_THREAD)
    return Health(version=__version__)
