"""What every handler may use, made once at the start and passed down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from hcs.catalog import Catalog, KeyRecord
from hcs.io.roots import Roots
from services.api.cursors import Cursors
from services.api.pictures import PictureRoom


@dataclass(frozen=True)
class Context:
    """The catalog that is asked, where deliveries may lie, and what signs cursors and composes pictures."""

    catalog: Catalog
    roots: Roots
    cursors: Cursors
    pictures: PictureRoom


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _key(request: Request) -> KeyRecord:
    key: KeyRecord = request.state.key
    return key


Asked = Annotated[Context, Depends(_context)]
AskedBy = Annotated[KeyRecord, Depends(_key)]
