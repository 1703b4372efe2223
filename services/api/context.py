"""What every handler may use, made once at the start and passed down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from hcs.catalog import Catalog, KeyRecord
from hcs.io.roots import Roots
from services.api.cursors import Cursors
from services.api.kept import Kept
from services.api.pictures import PictureRoom

KEPT_ANSWERS_BYTES = 64 << 20


def _no_answers() -> Kept[bytes]:
    return Kept(bytes_at_most=KEPT_ANSWERS_BYTES)


@dataclass(frozen=True)
class Context:
    """The catalog that is asked, where deliveries may lie, and what signs cursors and composes pictures.

    `answers` are those of finished runs that took long to make; what such a run says stays as it is.
    """

    catalog: Catalog
    roots: Roots
    cursors: Cursors
    pictures: PictureRoom
    answers: Kept[bytes] = field(default_factory=_no_answers)


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _key(request: Request) -> KeyRecord:
    key: KeyRecord = request.state.key
    return key


Asked = Annotated[Context, Depends(_context)]
AskedBy = Annotated[KeyRecord, Depends(_key)]
