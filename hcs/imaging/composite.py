"""Pictures that people look at: channels in colours, one upon another, and many pictures on one sheet.

A picture is (Y, X, 3), uint8. Wells can be compared where their pictures are composed with the same ranges: those of
their plate's survey, or `percentile_ranges` of all the sites that are shown together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hcs.errors import ChannelMismatchError
from hcs.imaging.scaling import HIGH_PERCENTILE, LOW_PERCENTILE, IntensityRange

T = TypeVar("T")
Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]

WHITE: Colour = (255, 255, 255)
COLOURS_OF_STAINS: dict[str, Colour] = {
    "dna": (0, 70, 255),
    "er": (0, 220, 60),
    "rna": (230, 200, 0),
    "agp": (255, 110, 0),
    "mito": (255, 0, 60),
    "hoechst": (0, 70, 255),
    "dapi": (0, 70, 255),
    "gfp": (0, 220, 60),
    "fitc": (0, 220, 60),
    "tritc": (255, 110, 0),
    "cy3": (255, 110, 0),
    "texasred": (255, 0, 60),
    "cy5": (255, 0, 200),
    "brightfield": WHITE,
}
"""Cell Painting's five as most of its papers show them (Bray et al. 2016), then stains that are nearly always so."""
OTHER_COLOURS: tuple[Colour, ...] = (
    (0, 220, 60), (255, 0, 200), (0, 200, 230), (255, 110, 0), (0, 70, 255), (230, 200, 0), (255, 0, 60),
)  # fmt: skip
"""Of channels that no stain is known of, in the order of their names; those that are taken are left out."""

ROWS_AT_ONCE = 64
"""Of a site: what they take stays in the processor's cache from one step to the next."""

BACKGROUND = 70
PLACE, MARK = 24, 110
"""Grey of the margin, of a place whose picture is missing, and of the cross in it."""


def default_colours(channels: Sequence[str]) -> tuple[Colour, ...]:
    """Return a colour for every channel: that of its stain, else one that no other channel has while there are any.

    A channel by itself is grey: the eye tells more steps of grey than of any colour. The order of the channels does
    not matter.
    """
    if len(channels) == 1:
        return (WHITE,)
    known = {name: colour for name in channels if (colour := _colour_of_stain(name)) is not None}
    free = [colour for colour in OTHER_COLOURS if colour not in known.values()] or list(OTHER_COLOURS)
    others = sorted(set(channels) - set(known))
    given = {name: free[index % len(free)] for index, name in enumerate(others)}
    return tuple((known | given)[name] for name in channels)


def _colour_of_stain(channel: str) -> Colour | None:
    """Return the colour of a stain in any spelling, with a number behind it or none (`Hoechst 33342`)."""
    plain = "".join(letter for letter in channel.casefold() if letter.isalnum())
    return COLOURS_OF_STAINS.get(plain) or COLOURS_OF_STAINS.get(plain.rstrip("0123456789"))


def percentile_ranges(
    sites: Sequence[NDArray[Any]], *, low: float = LOW_PERCENTILE, high: float = HIGH_PERCENTILE
) -> tuple[IntensityRange, ...]:
    """Return for every channel the range between two percentiles of all pixels of these sites together.

    Args:
        sites: At least one, each (C, Y, X), any real dtype; Y and X may differ. What is not finite is left out.
        low: Percentile, in [0, 100], of what is shown black.
        high: Percentile, above `low`, of what is shown in full colour.

    Returns:
        C ranges. A constant channel, and one without a finite value, gets a range one unit wide from its value (or 0):
        all of it is black.
    """
    if not sites or not 0 <= low < high <= 100:
        raise ValueError(f"expected sites and percentiles 0 <= low < high <= 100, got {len(sites)}, {low} and {high}")
    return tuple(
        _range_between([site[channel] for site in sites], low=low, high=high) for channel in range(len(sites[0]))
    )


def _range_between(planes: Sequence[NDArray[Any]], *, low: float, high: float) -> IntensityRange:
    values = np.concatenate([plane[np.isfinite(plane)] for plane in planes])
    first, last = map(float, np.percentile(values, [low, high])) if values.size else (0.0, 0.0)
    return IntensityRange(low=first, high=last if last > first else max(first + 1, math.nextafter(first, math.inf)))


def compose(planes: NDArray[Any], *, ranges: Sequence[IntensityRange], colours: Sequence[Colour]) -> Picture:
    """Return the picture of a site: each channel in its colour, added up and clipped.

    Each channel becomes 256 steps of grey between the ends of its range first, as viewers do it. What is added up are
    whole numbers, so that the order of the channels changes nothing.

    Args:
        planes: (C, Y, X), any real dtype. NaN is black.
        ranges: C, in the planes' units: what is black, and what is in full colour.
        colours: C, as of `default_colours`.

    Returns:
        (Y, X, 3), uint8.

    Raises:
        ChannelMismatchError: If there are not as many ranges and colours as channels.
    """
    if planes.ndim != 3 or not len(planes) == len(ranges) == len(colours):
        raise ChannelMismatchError(
            f"a picture was expected of channel x row x column with a range and a colour for each channel, but shape "
            f"{planes.shape}, {len(ranges)} ranges and {len(colours)} colours came; give one of each for each channel"
        )
    picture = np.empty((*planes.shape[1:], 3), dtype=np.uint8)
    for start in range(0, planes.shape[1], ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        _add_up(planes[:, rows], ranges, colours, out=picture[rows])
    return picture


def _add_up(
    planes: NDArray[Any], ranges: Sequence[IntensityRange], colours: Sequence[Colour], *, out: NDArray[np.uint8]
) -> None:
    """Write the picture of some rows of a site; where a colour has no red, nothing is added to red."""
    levels = [_grey_levels(plane, limits) for plane, limits in zip(planes, ranges, strict=True)]
    for axis in range(3):
        total = np.zeros(planes.shape[1:], dtype=np.uint32)
        for grey, colour in zip(levels, colours, strict=True):
            if colour[axis]:
                total += _steps_to(colour[axis])[grey]
        np.minimum(total, 255, out=total)
        out[..., axis] = total


def _grey_levels(plane: NDArray[Any], limits: IntensityRange) -> NDArray[np.uint8]:
    """Return (Y, X), uint8: 0 up to `low`, 255 from `high` on."""
    with np.errstate(over="ignore", invalid="ignore"):
        grey: NDArray[np.float64] = np.subtract(plane, limits.low, dtype=np.float64)
        grey /= limits.high - limits.low
    np.fmax(grey, 0, out=grey)  # of NaN and 0 it is 0
    np.minimum(grey, 1, out=grey)
    grey *= 255
    return np.rint(grey, out=grey).astype(np.uint8)


def _steps_to(value: int) -> NDArray[np.uint32]:
    """Return (256,): one component of a colour at every step of grey."""
    steps: NDArray[np.uint32] = np.rint(np.arange(256) * (value / 255)).astype(np.uint32)
    return steps


def shrink(planes: NDArray[Any], *, longest_side: int) -> NDArray[Any]:
    """Return planes scaled down so that their longer side has at most so many pixels; smaller ones as they are.

    Every new pixel is the mean of the area that it covers, with the shares of pixels at its border, so that no cell is
    missed and the mean of the plane stays. Values that are not finite are left out of these means.

    Args:
        planes: (..., Y, X), any real dtype.
        longest_side: Pixels, at least 1.

    Returns:
        (..., Y', X'), float32, or the planes themselves.
    """
    height, width = planes.shape[-2:]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return planes
    if planes.ndim > 2:  # one after the other, since the running sums take several times the memory of what is summed
        return np.stack([shrink(plane, longest_side=longest_side) for plane in planes])
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    is_known = np.isfinite(planes)
    if is_known.all():
        return _area_means(planes, shape).astype(np.float32)
    share = _area_means(is_known, shape)
    means = _area_means(np.where(is_known, planes, 0), shape) / np.where(share > _LEAST_SHARE, share, np.nan)
    return means.astype(np.float32)


_LEAST_SHARE = 1e-9
"""Of an area: less than this is what rounding leaves of nothing."""


def _area_means(planes: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
    means = planes.astype(np.float64)
    for axis, size in zip((-2, -1), shape, strict=True):
        means = _interval_means(means, size, axis)
    return means


def _interval_means(values: NDArray[np.float64], size: int, axis: int) -> NDArray[np.float64]:
    """Return the means of equal intervals of an axis, step by step: every first place, every second one, ..."""
    along = np.moveaxis(values, axis, 0)
    length = along.shape[0]
    ends = np.arange(size + 1) * length / size
    firsts = ends[:-1].astype(np.intp)
    sums = np.zeros((size, *along.shape[1:]))
    for step in range(math.ceil(length / size) + 1):
        places = firsts + step
        shares = np.clip(np.minimum(ends[1:], places + 1) - np.maximum(ends[:-1], places), 0, None)
        sums += along[np.minimum(places, length - 1)] * shares.reshape(-1, *(1,) * (along.ndim - 1))
    return np.moveaxis(sums * (size / length), 0, axis)


def contact_sheet(rows: Sequence[Sequence[Picture | None]], *, margin: int = 4) -> Picture:
    """Return pictures side by side in rows, with a margin around each; a missing one is a dark place with a cross.

    Args:
        rows: At least one picture in all of them. Each has a place as large as the largest of all, and lies at its top
            left; rows that are shorter end with bare background.
        margin: Pixels.

    Returns:
        (Y, X, 3), uint8.
    """
    pictures = [picture for row in rows for picture in row if picture is not None]
    if not pictures:
        raise ValueError("expected at least one picture for a contact sheet, got none")
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    n_columns = max(len(row) for row in rows)
    sheet = np.full(
        (len(rows) * (height + margin) + margin, n_columns * (width + margin) + margin, 3), BACKGROUND, dtype=np.uint8
    )
    empty = _missing_place(height, width)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = y * (height + margin) + margin, x * (width + margin) + margin
            shown = empty if picture is None else picture
            sheet[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return sheet


def _missing_place(height: int, width: int) -> Picture:
    place = np.full((height, width, 3), PLACE, dtype=np.uint8)
    steps = np.arange(2 * max(height, width))
    y, x = steps * height // len(steps), steps * width // len(steps)
    place[y, x] = MARK
    place[y, width - 1 - x] = MARK
    return place


def in_rows(items: Sequence[T]) -> list[list[T]]:
    """Return items in rows, from left to right and top to bottom, about as many rows as columns."""
    n_columns = max(1, math.ceil(math.sqrt(len(items))))
    return [list(items[start : start + n_columns]) for start in range(0, len(items), n_columns)]
