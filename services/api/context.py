"""What every handler may use, made once at the start and passed down."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends
from starlette.requests import Request

from hcs.catalog import Catalog, KeyRecord, RunRecord
from hcs.io.roots import Roots
from services.api.cursors import Cursors
from services.api.kept import Kept
from services.api.maps import MapRoom
from services.api.pictures import PictureRoom

KEPT_ANSWERS_BYTES = 64 << 20


class Answers:
    """Long answers of finished runs, which stay as they are: made one at a time, and kept.

    Two that are made at once take longer than one after the other, and short answers wait for both.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._kept: Kept[bytes] = Kept(bytes_at_most=KEPT_ANSWERS_BYTES)
        self._one_at_a_time = CapacityLimiter(1)

    async def show(self, run: RunRecord, question: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return what a function makes of a question about a run, or has made of it before."""
        key = (run.id, run.finished_at, question)

        def made() -> bytes:
            content = self._kept.find(key)
            if content is None:
                content = make()
                if run.is_finished:
                    self._kept.put(key, content, size_bytes=len(content))
            return content

        found = self._kept.find(key)
        return await to_thread.run_sync(made, limiter=self._one_at_a_time) if found is None else found


@dataclass(frozen=True)
class Context:
    """The catalog that is asked, where deliveries may lie, who signs cursors, and who makes what takes long.

    One screen is checked at a time: more at once would only wait for the same disk, and hold all their tables.
    """

    catalog: Catalog
    roots: Roots
    cursors: Cursors
    pictures: PictureRoom
    maps: MapRoom
    answers: Answers = field(default_factory=Answers)
    checks: CapacityLimiter = field(default_factory=partial(CapacityLimiter, 1))


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _key(request: Request) -> KeyRecord:
    key: KeyRecord = request.state.key
    return key


Asked = Annotated[Context, Depends(_context)]
AskedBy = Annotated[KeyRecord, Depends(_key)]
