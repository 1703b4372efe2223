"""Screens: the projects that a catalog holds."""

from __future__ import annotations

from fastapi import APIRouter

from hcs.catalog import list_screens
from schemas.api import Screen, ScreenPage
from services.api.context import Asked
from services.api.rows import rows_of

router = APIRouter(tags=["screens"])


@router.get("/screens", summary="List screens")
def screens(context: Asked) -> ScreenPage:
    """Every screen by name, with how many plates and runs it has."""
    items = tuple(Screen(**row) for row in rows_of(list_screens(context.catalog)))
    return ScreenPage(items=items, next_cursor=None)
