"""Composes pictures for whoever asks, a few at once, and keeps the last ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal

import polars as pl
from numpy.typing import NDArray

from hcs.catalog import Catalog, RunRecord, get_run
from hcs.errors import NotFoundError, StorageError
from hcs.io.pictures import picture_bytes
from hcs.io.storage import sha256_of_bytes
from hcs.pipeline.images import Place, PlateImages, known_channels, known_well, plate_images
from hcs.pipeline.pictures import Composition, View, picture_plate, picture_well, read_shown
from services.api.kept import Kept
from services.api.problems import BUSY, RequestError

KEPT_PICTURES_BYTES = 256 << 20
KEPT_PLATES_BYTES = 256 << 20
"""Of what was read of plates: which images there are, and how they are lit."""

KEPT_SITES_BYTES = 64 << 20
"""Of the planes of sites, as small as they are shown: about 18 of them in a dashboard. One that was seen alone is not
decoded again beside the others of its well, nor for another contrast or other colours."""

SITES_AT_ONCE, SHEETS_AT_ONCE = 2, 1
SITES_WAITING, SHEETS_WAITING = 400, 16
"""How many pictures are asked for and not composed, at most: a minute's work. Who leaves meanwhile does not end it."""

SECONDS_TO_COME_BACK = 10
"""How many are composed at the same time; whoever asks meanwhile waits. A sheet takes seconds, a site does not."""

MOST_VALUES = 100_000_000
"""Pixels times channels that are held of one picture, as float32. Beyond them, sites are shown smaller."""

READERS = 2


@dataclass(frozen=True)
class Wanted:
    """A picture that somebody asks for: of a plate, of a well of it, or of one site."""

    kind: Literal["plate", "well", "site"]
    plate: str
    view: View
    well: str = ""
    site: int | None = None


@dataclass(frozen=True)
class Made:
    """A picture as WebP, its tag, and whether all of it could be shown."""

    content: bytes
    etag: str
    is_whole: bool


class PictureRoom:
    """Where pictures are composed. The same one is never composed twice at once, however many ask for it."""

    def __init__(self, catalog: Catalog) -> None:
        """Begin with nothing."""
        self._catalog = catalog
        self._pictures: Kept[Made] = Kept(bytes_at_most=KEPT_PICTURES_BYTES)
        self._plates: Kept[PlateImages] = Kept(bytes_at_most=KEPT_PLATES_BYTES)
        self._sites: Kept[NDArray[Any]] = Kept(bytes_at_most=KEPT_SITES_BYTES)
        self._under_way: dict[tuple[int, datetime | None, Wanted], asyncio.Future[Made]] = {}
        sheets, sites = (ThreadPoolExecutor(n, "pictures") for n in (SHEETS_AT_ONCE, SITES_AT_ONCE))
        self._composers = {"plate": sheets, "well": sites, "site": sites}  # few threads: each keeps memory to itself

    async def show(self, run: RunRecord, wanted: Wanted) -> Made:
        """Return a picture of what a run has read.

        Raises:
            NotFoundError: If the run has no such plate, well, site or channel, or is not there any more.
            InputRejectedError: If nothing of it can be shown.
            RequestError: If too many others are asked for.
        """
        key = (run.id, run.finished_at, wanted)
        found = self._pictures.find(key)
        if found is not None:
            return found
        if key not in self._under_way:
            self._refuse_too_many(wanted)
            composer = self._composers[wanted.kind]
            work = asyncio.get_running_loop().run_in_executor(composer, self._make, run, wanted)
            self._under_way[key] = work
            work.add_done_callback(lambda _: self._under_way.pop(key))
        made = await asyncio.shield(self._under_way[key])  # one who leaves does not end it for the others
        if made.is_whole and run.is_finished:
            self._pictures.put(key, made, size_bytes=len(made.content))
        return made

    def _refuse_too_many(self, wanted: Wanted) -> None:
        """Refuse a picture behind which others would wait too long.

        Raises:
            RequestError: 429, with the time after which there is room again.
        """
        is_sheet, most = wanted.kind == "plate", SHEETS_WAITING if wanted.kind == "plate" else SITES_WAITING
        waiting = sum((other.kind == "plate") == is_sheet for _, _, other in self._under_way)
        if waiting >= most:
            raise RequestError(
                BUSY,
                f"at most {most} {'contact sheets' if is_sheet else 'pictures'} are composed or wait for it, and so "
                f"many do; ask again in {SECONDS_TO_COME_BACK} seconds",
                headers={"Retry-After": str(SECONDS_TO_COME_BACK)},
            )

    def _make(self, run: RunRecord, wanted: Wanted) -> Made:
        try:
            composed = _compose(self._images(run, wanted.plate), wanted, self._planes)
        except StorageError:
            get_run(self._catalog, run.id)  # where it was deleted meanwhile, that is what is said
            raise
        content = picture_bytes(composed.picture, form="WEBP")
        return Made(content, etag=f'"{sha256_of_bytes(content)[:32]}"', is_whole=not composed.holes)

    def _images(self, run: RunRecord, plate: str) -> PlateImages:
        """Return what a run has read of a plate; what a finished run has read stays as it is."""
        key = (run.id, run.finished_at, plate)
        found = self._plates.find(key) if run.is_finished else None
        if found is None:
            found = plate_images(self._catalog, run, plate)
            if run.is_finished:
                size = found.survey.illumination.nbytes + found.images.estimated_size() + found.sites.estimated_size()
                self._plates.put(key, found, size_bytes=int(size))
        return found

    def _planes(
        self, images: PlateImages, place: Place, *, channels: Sequence[str], view: View, threads: int
    ) -> NDArray[Any]:
        """Return the planes of a site that is shown alone or in a well, those of a finished run from memory if kept."""
        run = images.run
        key = (run.id, run.finished_at, images.plate, place, tuple(channels), view.raw, view.longest_side)
        found = self._sites.find(key) if run.is_finished else None
        if found is None:
            found = read_shown(images, place, channels=channels, view=view, threads=threads)
            if run.is_finished:
                self._sites.put(key, found, size_bytes=found.nbytes)
        return found


def _compose(images: PlateImages, wanted: Wanted, reader: Callable[..., NDArray[Any]]) -> Composition:
    n_channels = len(known_channels(images, wanted.view.channels))
    if wanted.kind == "plate":
        view = fitting(wanted.view, n_sites=images.sites["well"].n_unique(), n_channels=n_channels)
        return picture_plate(images, site=wanted.site, view=view, threads=READERS)
    _refuse_unread(images, wanted)
    n_sites = len(images.site_numbers) if wanted.site is None else 1
    view = fitting(wanted.view, n_sites=n_sites, n_channels=n_channels)
    of_site = partial(reader, threads=READERS if n_sites == 1 else 0)  # of several sites, each is read by one thread
    return picture_well(images, wanted.well, site=wanted.site, view=view, threads=READERS, reader=of_site)


def _refuse_unread(images: PlateImages, wanted: Wanted) -> None:
    """Refuse a well or site of which the run itself could use nothing: there never was a picture of it.

    Raises:
        NotFoundError: With the reason that the run has noted.
    """
    name = known_well(images, wanted.well)
    asked = images.sites.filter(pl.col("well") == name)
    if wanted.site is not None:
        asked = asked.filter(pl.col("site") == wanted.site)
    if asked.height and (asked["status"] == "failed").all():
        raise NotFoundError(
            f"{images.run.name} could use no site of well {name} on plate {images.plate} that was asked for, so that "
            f"there is no picture: {asked['reason'][0]}"
        )


def fitting(view: View, *, n_sites: int, n_channels: int) -> View:
    """Return the view with sites no larger than memory allows: the size that is asked for is the largest wanted."""
    largest = int((MOST_VALUES / max(n_sites * n_channels, 1)) ** 0.5)
    return replace(view, longest_side=min(view.longest_side or largest, largest))
