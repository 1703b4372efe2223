"""The images that a run has read of a plate, to be read again for people: those and no others."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl
from numpy.typing import NDArray

from hcs.catalog import Catalog, RunRecord, plates_of, site_rows, visible_parts
from hcs.errors import (
    DeliveryError,
    HcsError,
    InputChangedError,
    InputRejectedError,
    NotFoundError,
    UnreadableImageError,
    UsageError,
)
from hcs.imaging.correct import correct_site
from hcs.imaging.survey import PlateSurvey
from hcs.io.pixels import read_site
from hcs.io.storage import exists, join
from hcs.io.wells import well_name
from hcs.pipeline.ahead import in_order
from hcs.pipeline.fetching import fetch_site
from hcs.pipeline.parts import read_parts
from hcs.pipeline.surveys import read_survey
from schemas.work import PlaneRef

Place = tuple[str, int]
"""A well and one of its sites."""

LISTED = 12
"""Names that a message lists where none is near."""


@dataclass(frozen=True, eq=False)
class PlateImages:
    """What a run has read of one plate.

    `sites` has the columns `well, site, status, reason`; `images` those of `schemas.tables.ImageWitnesses`.
    """

    run: RunRecord
    plate: str
    root: str
    sites: pl.DataFrame
    images: pl.DataFrame
    survey: PlateSurvey

    @property
    def site_numbers(self) -> list[int]:
        """The sites that wells of the plate have, in order."""
        return [int(number) for number in self.sites["site"].unique().sort()]


def plate_images(catalog: Catalog, run: RunRecord, plate: str) -> PlateImages:
    """Return what a run has read of a plate.

    Raises:
        NotFoundError: If the run has no such plate, or has read none of its images yet.
        DeliveryError: If the delivery does not lie any more where the run has read it.
        StorageError: If a part of the run is missing or is not the one that was registered.
    """
    roots = dict(plates_of(catalog, run.id).select("plate", "root_uri").iter_rows())
    if plate not in roots:
        raise NotFoundError(
            f"{run.name} has no plate {plate[:80]!r} (`--run` asks another run){_nearest(plate, list(roots))}"
        )
    tables = list(read_parts(catalog.parts_uri, visible_parts(catalog, run.id, kind="images", plate=plate)))
    surveys = visible_parts(catalog, run.id, kind="survey", plate=plate)
    if surveys.is_empty() or not any(table.height for table in tables):
        raise NotFoundError(
            f"{run.name}: expected images of plate {plate} that it has read, but it could use none so far; "
            f"`hcs status {run.name}` says how far it is"
        )
    if not exists(roots[plate]):
        raise DeliveryError(
            f"{run.name}: expected the images of plate {plate} where it has read them, but nothing lies at "
            f"{roots[plate]}; put them back, or write their new place into the SCREEN.yaml and give `hcs run` once "
            "more: the run finds itself again, and computes nothing anew"
        )
    part = surveys.row(0, named=True)
    return PlateImages(
        run=run,
        plate=plate,
        root=roots[plate],
        sites=site_rows(catalog, run.id, plate=plate).select("well", "site", "status", "reason"),
        images=pl.concat(tables),
        survey=read_survey(join(catalog.parts_uri, part["relative_path"]), expected_sha256=part["sha256"]),
    )


def read_place(
    images: PlateImages, place: Place, *, channels: Sequence[str], raw: bool = False, threads: int = 0
) -> NDArray[Any]:
    """Return one site, (C, Y, X): evenly lit as float32, or raw as it was delivered.

    Args:
        images: Of its plate.
        place: The site.
        channels: As the run calls them.
        raw: Whether the illumination stays uncorrected.
        threads: That decode its files; 0 does it here.

    Raises:
        NotFoundError: If the run knows no such site.
        UnreadableImageError: If the run could not use the site, or an image cannot be read any more.
        InputChangedError: If an image is not the one that the run has read: a picture of it would show something else
            than what the results were made from.
    """
    well, site = place
    rows = images.images.filter((pl.col("well") == well) & (pl.col("site") == site))
    if rows.is_empty():
        raise _why_not_read(images, place)
    planes = tuple(  # without their witnesses: what was copied anew may be the same, and the hash decides
        PlaneRef(well=well, site=site, **row)
        for row in rows.select("channel", "relative_path", "size_bytes").iter_rows(named=True)
    )
    projection = images.run.config.pixels.projection
    fetched = fetch_site(images.root, planes, channels=channels)
    read = read_site(
        images.root,
        planes,
        channels=channels,
        projection=projection,
        fetched=fetched,
        each=partial(in_order, threads=threads),
    )
    expected = dict(rows.select("relative_path", "sha256").iter_rows())
    changed = [path for path, _, sha256 in read.witnesses if expected[path] != sha256]
    if changed:
        raise InputChangedError(
            f"{images.run.name}: expected the image that it has read, but the content of "
            f"{join(images.root, changed[0])} is another one now; put it back, or start anew with `hcs run --new`"
        )
    return read.pixels if raw else correct_site(read.pixels, images.survey.only(channels))


def _why_not_read(images: PlateImages, place: Place) -> HcsError:
    well, site = place
    known = images.sites.filter((pl.col("well") == well) & (pl.col("site") == site))
    if known.is_empty():
        return NotFoundError(
            f"{images.run.name} knows no site {site} of well {well} on plate {images.plate}: it was not delivered, or "
            "its turn has not come yet"
        )
    return UnreadableImageError(
        f"{images.run.name} could not use site {site} of well {well} on plate {images.plate}: {known['reason'][0]}"
    )


def known_channels(images: PlateImages, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Return channels as the run calls them, asked for in any case; all of them, sorted, where none are asked for.

    Raises:
        NotFoundError: If the run has read no such channel of the plate; the nearest are offered.
        UsageError: If one is named twice.
    """
    held = images.images["channel"].unique().sort().to_list()
    spelled = {name.casefold(): name for name in held}
    unknown = [name for name in asked or () if name.casefold() not in spelled]
    if unknown:
        raise NotFoundError(
            f"{images.run.name} has no channel {unknown[0][:80]!r} of plate {images.plate}{_nearest(unknown[0], held)}"
        )
    chosen = tuple(held if asked is None else (spelled[name.casefold()] for name in asked))
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"expected every channel once, got {', '.join(chosen)}; name each once")
    return chosen


def known_well(images: PlateImages, well: str) -> str:
    """Return the normal name of a well of the plate.

    Raises:
        NotFoundError: If the run has read no such well of the plate; the nearest are offered.
    """
    try:
        name = well_name(well)
    except InputRejectedError as error:
        raise NotFoundError(str(error)) from error
    known = images.sites["well"].unique().sort().to_list()
    if name not in known:
        raise NotFoundError(
            f"{images.run.name} has read no well {name} of plate {images.plate}: it was not delivered, or its turn has "
            f"not come yet{_nearest(name, known)}"
        )
    return name


def known_site(images: PlateImages, site: int) -> int:
    """Return the number of a site that wells of the plate have.

    Raises:
        NotFoundError: If none has it.
    """
    if site not in images.site_numbers:
        raise NotFoundError(
            f"{images.run.name} knows no site {site} of plate {images.plate}; it has "
            f"{_listed(list(map(str, images.site_numbers)))}"
        )
    return site


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return what else could have been meant, for messages."""
    folded = {item.casefold(): item for item in known}
    near = [folded[item] for item in difflib.get_close_matches(name.casefold(), list(folded), n=3)]
    return f"; did you mean {', '.join(near)}?" if near else f"; it has {_listed(known)}"


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "none") + more
