"""Pictures of a well or a whole plate of a run, composed of the images that the run has read, and of no others."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
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
from hcs.imaging.composite import (
    Colour,
    Picture,
    compose,
    contact_sheet,
    default_colours,
    in_rows,
    percentile_ranges,
    shrink,
)
from hcs.imaging.correct import correct_site
from hcs.imaging.scaling import IntensityRange
from hcs.imaging.survey import PlateSurvey
from hcs.io.pixels import read_site
from hcs.io.storage import exists, join
from hcs.io.wells import row_and_column, well_name
from hcs.pipeline.ahead import in_order
from hcs.pipeline.parts import read_parts
from hcs.pipeline.surveys import read_survey
from schemas.work import PlaneRef

Place = tuple[str, int]
"""A well and one of its sites."""
Progress = Callable[[int, int], None]
R = TypeVar("R")

LISTED = 12
"""Names that a message lists where none is near."""


@dataclass(frozen=True)
class View:
    """How sites are shown.

    Attributes:
        channels: Those shown, in any case; None shows all that the run has read.
        contrast: Percentiles of the pixels shown that become black and full colour; None takes the range that the
            survey found on the plate, so that its wells can be compared.
        raw: Whether to show pixels as delivered, without correcting the illumination.
        longest_side: Pixels of a site, at most; None shows it as large as it is.
    """

    channels: tuple[str, ...] | None = None
    contrast: tuple[float, float] | None = None
    raw: bool = False
    longest_side: int | None = None


WHOLE = View()


@dataclass(frozen=True)
class ShownChannel:
    """One channel of a picture: its colour, and which intensities are black and in full colour."""

    channel: str
    colour: Colour
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Composition:
    """A picture (Y, X, 3), uint8, and what it shows.

    `rows` says which site lies where (None: there is none), `holes` why a site that should be there is not, and `notes`
    how the picture differs from what was asked for.
    """

    picture: Picture
    channels: tuple[ShownChannel, ...]
    rows: tuple[tuple[Place | None, ...], ...]
    holes: tuple[str, ...]
    notes: tuple[str, ...]


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
    survey: PlateSurvey | None

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, sorted."""
        return tuple(self.images["channel"].unique().sort())


def plate_images(catalog: Catalog, run: RunRecord, plate: str) -> PlateImages:
    """Return what a run has read of a plate.

    Raises:
        NotFoundError: If the run has no such plate, or has read none of its images yet.
        DeliveryError: If the delivery does not lie any more where the run has read it.
        StorageError: If a part of the run is missing or is not the one that was registered.
    """
    plates = plates_of(catalog, run.id)
    roots = dict(plates.select("plate", "root_uri").iter_rows())
    if plate not in roots:
        raise NotFoundError(
            f"{run.name} has no plate {plate[:80]!r} (`--run` asks another run){_nearest(plate, list(roots))}"
        )
    tables = list(read_parts(catalog.parts_uri, visible_parts(catalog, run.id, kind="images", plate=plate)))
    if not any(table.height for table in tables):
        raise NotFoundError(
            f"{run.name} has read no image of plate {plate} that it could use; `hcs status {run.name}` says how far it "
            "is"
        )
    if not exists(roots[plate]):
        raise DeliveryError(
            f"{run.name}: expected the images of plate {plate} where it has read them, but nothing lies at "
            f"{roots[plate]}; put them back, or write their new place into the SCREEN.yaml and give `hcs run` once "
            "more: the run finds itself again, and computes nothing anew"
        )
    surveys = visible_parts(catalog, run.id, kind="survey", plate=plate)
    read = [
        read_survey(join(catalog.parts_uri, part["relative_path"]), expected_sha256=part["sha256"])
        for part in surveys.iter_rows(named=True)
    ]
    sites = site_rows(catalog, run.id, plate=plate).select("well", "site", "status", "reason")
    return PlateImages(run, plate, roots[plate], sites, pl.concat(tables), read[0] if read else None)


def picture_well(
    images: PlateImages, well: str, *, site: int | None = None, view: View = WHOLE, threads: int = 0
) -> Composition:
    """Return the picture of a well: its sites side by side in the order of their numbers, or one of them.

    A site that other wells of the plate have, and one that cannot be read, is a marked place.

    Args:
        images: Of its plate.
        well: In any spelling (`b3`).
        site: The one shown; None shows all.
        view: How.
        threads: That read ahead.

    Raises:
        NotFoundError: If the plate has no such well, site or channel; the nearest names are offered.
        InputRejectedError: If no site can be shown; says why the first of them cannot.
    """
    name = _known_well(images, well)
    numbers = [_known_site(images, site)] if site is not None else images.sites["site"].unique().sort().to_list()
    places: list[Place | None] = [(name, number) for number in numbers]
    return _show(images, in_rows(places), view=view, threads=threads)


def picture_plate(
    images: PlateImages,
    *,
    site: int | None = None,
    view: View = WHOLE,
    threads: int = 0,
    progress: Progress | None = None,
) -> Composition:
    """Return the contact sheet of a plate: one site a well, where the well lies, from the first row and column on.

    Args:
        images: Of the plate.
        site: The one shown of every well; None takes the first that a well has.
        view: How.
        threads: That read ahead.
        progress: Called with how many of how many sites are read.

    Raises:
        NotFoundError: If the plate has no such site or channel.
        InputRejectedError: If no site can be shown.
    """
    shown = dict(images.sites.group_by("well").agg(pl.col("site").min()).sort("well").iter_rows())
    if site is not None:
        shown = dict.fromkeys(shown, _known_site(images, site))
    by_place = {row_and_column(well): (well, number) for well, number in shown.items()}
    rows, columns = ([place[axis] for place in by_place] for axis in (0, 1))
    grid = [
        [by_place.get((row, column)) for column in range(min(columns), max(columns) + 1)]
        for row in range(min(rows), max(rows) + 1)
    ]
    return _show(images, grid, view=view, threads=threads, progress=progress)


def _show(
    images: PlateImages,
    grid: Sequence[Sequence[Place | None]],
    *,
    view: View,
    threads: int,
    progress: Progress | None = None,
) -> Composition:
    channels = _channels_of(images, view)
    colours = default_colours(channels)
    places = [place for row in grid for place in row if place is not None]
    each = partial(_each, places=places, threads=threads, progress=progress)
    read = partial(_read_place, images, channels, view)
    ranges = _ranges_of_plate(images, channels, view)
    if ranges is None:
        planes = each(read)
        ranges = _ranges_of_shown(planes, view)
        pictures = {place: _if_read(found, ranges, colours) for place, found in planes.items()}
    else:
        pictures = each(lambda place: compose(read(place), ranges=ranges, colours=colours))
    holes = {place: found for place, found in pictures.items() if isinstance(found, HcsError)}
    if len(holes) == len(pictures):
        raise next(iter(holes.values()))
    drawn = {place: found for place, found in pictures.items() if not isinstance(found, HcsError)}
    return Composition(
        picture=contact_sheet([[drawn.get(place) if place else None for place in row] for row in grid]),
        channels=tuple(
            ShownChannel(name, colour, limits.low, limits.high)
            for name, colour, limits in zip(channels, colours, ranges, strict=True)
        ),
        rows=tuple(tuple(row) for row in grid),
        holes=tuple(f"{well} site {number}: {error}" for (well, number), error in holes.items()),
        notes=_notes(images, view),
    )


def _each(
    work: Callable[[Place], R], *, places: Sequence[Place], threads: int, progress: Progress | None
) -> dict[Place, R | HcsError]:
    """Return what a function makes of every place, or why it cannot."""

    def tried(place: Place) -> R | HcsError:
        try:
            return work(place)
        except (InputRejectedError, NotFoundError) as error:
            return error

    found: dict[Place, R | HcsError] = {}
    with closing(in_order(tried, places, threads=threads)) as results:
        for place, result in zip(places, results, strict=True):
            found[place] = result
            if progress is not None:
                progress(len(found), len(places))
    return found


def _if_read(
    found: NDArray[Any] | HcsError, ranges: Sequence[IntensityRange], colours: Sequence[Colour]
) -> Picture | HcsError:
    return found if isinstance(found, HcsError) else compose(found, ranges=ranges, colours=colours)


def _read_place(images: PlateImages, channels: Sequence[str], view: View, place: Place) -> NDArray[Any]:
    """Return (C, Y, X) of a site as it is shown: corrected unless raw ones are asked for, and scaled down."""
    well, site = place
    rows = images.images.filter((pl.col("well") == well) & (pl.col("site") == site))
    if rows.is_empty():
        raise _why_not_read(images, place)
    planes = [
        PlaneRef(well=well, site=site, **row)
        for row in rows.select("channel", "relative_path", "size_bytes", "witness").iter_rows(named=True)
    ]
    read = read_site(images.root, planes, channels=channels, projection=images.run.config.pixels.projection)
    _refuse_changed(images, rows, read.witnesses)
    is_corrected = images.survey is not None and not view.raw
    pixels = correct_site(read.pixels, images.survey.only(channels)) if is_corrected and images.survey else read.pixels
    return pixels if view.longest_side is None else shrink(pixels, longest_side=view.longest_side)


def _why_not_read(images: PlateImages, place: Place) -> HcsError:
    well, site = place
    known = images.sites.filter((pl.col("well") == well) & (pl.col("site") == site))
    if known.is_empty():
        return NotFoundError(f"{images.run.name} knows no site {site} of well {well} on plate {images.plate}")
    return UnreadableImageError(f"{images.run.name} could not use it: {known['reason'][0]}")


def _refuse_changed(images: PlateImages, rows: pl.DataFrame, witnesses: Sequence[tuple[str, int, str]]) -> None:
    """Refuse an image that is not the one which the run has read: a picture shows what the results were made from."""
    expected = dict(rows.select("relative_path", "sha256").iter_rows())
    changed = [path for path, _, sha256 in witnesses if expected[path] != sha256]
    if changed:
        raise InputChangedError(
            f"{images.run.name}: expected the image that it has read, but the content of "
            f"{join(images.root, changed[0])} is another one now; put it back, or start anew with `hcs run --new`"
        )


def _ranges_of_plate(images: PlateImages, channels: Sequence[str], view: View) -> tuple[IntensityRange, ...] | None:
    """Return the ranges that the survey found on the plate; None where the pixels shown are to say it.

    Pixels as delivered are brighter than corrected ones by the illumination, and their ranges are so on average.
    """
    if view.contrast is not None or images.survey is None:
        return None
    survey = images.survey.only(channels)
    gains = survey.illumination.mean(axis=(1, 2), dtype=np.float64) if view.raw else np.ones(len(channels))
    return tuple(
        IntensityRange(low=float(low * gain), high=float(high * gain))
        for low, high, gain in zip(survey.low, survey.high, gains, strict=True)
    )


def _ranges_of_shown(planes: Mapping[Place, NDArray[Any] | HcsError], view: View) -> tuple[IntensityRange, ...]:
    usable = [found for found in planes.values() if not isinstance(found, HcsError)]
    if not usable:
        raise next(found for found in planes.values() if isinstance(found, HcsError))
    return (
        percentile_ranges(usable)
        if view.contrast is None
        else percentile_ranges(usable, low=view.contrast[0], high=view.contrast[1])
    )


def _notes(images: PlateImages, view: View) -> tuple[str, ...]:
    if images.survey is not None:
        return ()
    return (
        f"{images.run.name} has no survey of plate {images.plate}: pixels are shown as delivered, and the range is "
        "that of the pixels shown, so that pictures of other wells have another one",
    )


def _channels_of(images: PlateImages, view: View) -> tuple[str, ...]:
    """Return the channels shown, as the run calls them.

    Raises:
        NotFoundError: If the run has read no such channel of the plate.
        UsageError: If one is named twice.
    """
    if view.channels is None:
        return images.channels
    spelled = {name.casefold(): name for name in images.channels}
    unknown = [name for name in view.channels if name.casefold() not in spelled]
    if unknown:
        raise NotFoundError(
            f"{images.run.name} has no channel {unknown[0][:80]!r} of plate {images.plate}"
            f"{_nearest(unknown[0], images.channels)}"
        )
    chosen = tuple(spelled[name.casefold()] for name in view.channels)
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"expected every channel once, got {', '.join(view.channels)}; name each once")
    return chosen


def _known_well(images: PlateImages, well: str) -> str:
    try:
        name = well_name(well)
    except InputRejectedError as error:
        raise NotFoundError(str(error)) from error
    known = images.sites["well"].unique().sort().to_list()
    if name not in known:
        raise NotFoundError(
            f"{images.run.name} has read no well {name} of plate {images.plate}: it was not delivered, or "
            f"its turn has not come yet{_nearest(name, known)}"
        )
    return name


def _known_site(images: PlateImages, site: int) -> int:
    known = images.sites["site"].unique().sort().to_list()
    if site not in known:
        raise NotFoundError(
            f"{images.run.name} knows no site {site} of plate {images.plate}; it has {_listed(list(map(str, known)))}"
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
