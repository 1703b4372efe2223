"""Pictures of a well or a whole plate of a run, for the command line and whoever else shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import HcsError, InputRejectedError, NotFoundError
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
from hcs.imaging.scaling import IntensityRange
from hcs.io.wells import row_and_column
from hcs.pipeline.ahead import in_order
from hcs.pipeline.images import Place, PlateImages, known_channels, known_site, known_well, read_place

R = TypeVar("R")
Progress = Callable[[int, int], None]
Grid = Sequence[Sequence[Place | None]]


@dataclass(frozen=True)
class View:
    """How sites are shown.

    Attributes:
        channels: Those shown, in any case; None shows all that the run has read.
        contrast: Percentiles of the pixels shown that become black and full colour; None takes the range that the
            survey found on the plate, so that its wells can be compared.
        raw: Whether to show pixels as delivered, without correcting the illumination.
        longest_side: Pixels of a site, at most; None shows it as large as it is.
        colours: Channels (in any case) and their colours, where those of the stains are not wanted.
    """

    channels: tuple[str, ...] | None = None
    contrast: tuple[float, float] | None = None
    raw: bool = False
    longest_side: int | None = None
    colours: tuple[tuple[str, Colour], ...] = ()


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

    `grid` says which site lies where (None: there is none), and `holes` why a site that should be there is not.
    """

    picture: Picture
    channels: tuple[ShownChannel, ...]
    grid: tuple[tuple[Place | None, ...], ...]
    holes: tuple[str, ...]


class SiteReader(Protocol):
    """Reads the planes of a site as a picture needs them; who shows many pictures may keep what was read."""

    def __call__(self, images: PlateImages, place: Place, *, channels: Sequence[str], view: View) -> NDArray[Any]:
        """Return (C, Y, X), as `read_shown`."""


def read_shown(
    images: PlateImages, place: Place, *, channels: Sequence[str], view: View, threads: int = 0
) -> NDArray[Any]:
    """Return the planes of one site, (C, Y, X), no larger than a view shows them: neither contrast nor colours matter.

    Args:
        images: Of its plate.
        place: The site.
        channels: As the run calls them.
        view: Whether they are raw, and how large.
        threads: That decode and shrink; 0 does it here. They shorten the wait for a site that is shown alone.

    Raises:
        HcsError: As `read_place`.
    """
    planes = read_place(images, place, channels=channels, raw=view.raw, threads=threads)
    if view.longest_side is None:
        return planes
    return np.stack(list(in_order(partial(shrink, longest_side=view.longest_side), planes, threads=threads)))


def picture_well(
    images: PlateImages,
    well: str,
    *,
    site: int | None = None,
    view: View = WHOLE,
    threads: int = 0,
    reader: SiteReader = read_shown,
) -> Composition:
    """Return the picture of a well: its sites side by side in the order of their numbers, or one of them.

    A site that other wells of the plate have, and one that cannot be read, is a marked place.

    Args:
        images: Of its plate.
        well: In any spelling (`b3`).
        site: The one shown; None shows all.
        view: How.
        threads: That read ahead.
        reader: Of each site.

    Raises:
        NotFoundError: If the plate has no such well, site or channel; the nearest names are offered.
        InputRejectedError: If no site can be shown; says why the first of them cannot.
    """
    name = known_well(images, well)
    numbers = images.site_numbers if site is None else [known_site(images, site)]
    return _show(images, in_rows([(name, number) for number in numbers]), view=view, threads=threads, reader=reader)


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
    shown = dict(images.sites.group_by("well").agg(pl.col("site").min()).iter_rows())
    if site is not None:
        shown = dict.fromkeys(shown, known_site(images, site))
    by_place = {row_and_column(well): (well, number) for well, number in shown.items()}
    rows, columns = ([place[axis] for place in by_place] for axis in (0, 1))
    grid = [
        [by_place.get((row, column)) for column in range(min(columns), max(columns) + 1)]
        for row in range(min(rows), max(rows) + 1)
    ]
    return _show(images, grid, view=view, threads=threads, progress=progress)


def _show(
    images: PlateImages,
    grid: Grid,
    *,
    view: View,
    threads: int,
    progress: Progress | None = None,
    reader: SiteReader = read_shown,
) -> Composition:
    channels = known_channels(images, view.channels)
    colours = _colours(channels, view)
    places = [place for row in grid for place in row if place is not None]
    each = partial(_each, places=places, threads=threads, progress=progress)

    def read(place: Place) -> NDArray[Any]:
        return reader(images, place, channels=channels, view=view)

    if view.contrast is None:
        ranges = _ranges_of_plate(images, channels, raw=view.raw)
        pictures, holes = each(lambda place: compose(read(place), ranges=ranges, colours=colours))
    else:
        planes, holes = each(read)
        ranges = percentile_ranges(list(planes.values()), low=view.contrast[0], high=view.contrast[1])
        pictures = {place: compose(found, ranges=ranges, colours=colours) for place, found in planes.items()}
    return Composition(
        picture=contact_sheet([[pictures.get(place) if place else None for place in row] for row in grid]),
        channels=tuple(
            ShownChannel(name, colour, limits.low, limits.high)
            for name, colour, limits in zip(channels, colours, ranges, strict=True)
        ),
        grid=tuple(tuple(row) for row in grid),
        holes=tuple(f"{well} site {number}: {error}" for (well, number), error in holes.items()),
    )


def _colours(channels: Sequence[str], view: View) -> tuple[Colour, ...]:
    """Return a colour for every channel: the one asked for, else the one it would have anyway."""
    asked = {name.casefold(): colour for name, colour in view.colours}
    usual = zip(channels, default_colours(channels), strict=True)
    return tuple(asked.get(name.casefold(), colour) for name, colour in usual)


def _each(
    work: Callable[[Place], R], *, places: Sequence[Place], threads: int, progress: Progress | None
) -> tuple[dict[Place, R], dict[Place, HcsError]]:
    """Return what a function makes of every place, and why it can make nothing of some; at least one must succeed."""

    def tried(place: Place) -> R | HcsError:
        try:
            return work(place)
        except (InputRejectedError, NotFoundError) as error:
            return error

    made: dict[Place, R] = {}
    holes: dict[Place, HcsError] = {}
    with closing(in_order(tried, places, threads=threads)) as results:
        for place, result in zip(places, results, strict=True):
            if isinstance(result, HcsError):
                holes[place] = result
            else:
                made[place] = result
            if progress is not None:
                progress(len(made) + len(holes), len(places))
    if not made:
        raise holes[places[0]]
    return made, holes


def _ranges_of_plate(images: PlateImages, channels: Sequence[str], *, raw: bool) -> tuple[IntensityRange, ...]:
    """Return the ranges that the survey found on the plate.

    Pixels as delivered are brighter than corrected ones by the illumination, and their ranges are so on average.
    """
    survey = images.survey.only(channels)
    gains = survey.illumination.mean(axis=(1, 2), dtype=np.float64) if raw else np.ones(len(channels))
    return tuple(
        IntensityRange(low=float(low * gain), high=float(high * gain))
        for low, high, gain in zip(survey.low, survey.high, gains, strict=True)
    )
