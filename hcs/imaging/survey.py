"""What one plate's sites have in common: illumination and intensity range of every channel."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs.errors import ChannelMismatchError, PixelsError
from hcs.imaging.illumination import MIN_FIELDS, grid_means, illumination_from_grids, is_flat
from hcs.imaging.scaling import IntensityRange, count_intensities, histogram_axis, range_of


@dataclass(frozen=True, eq=False)
class PlateSurvey:
    """How every site of one plate is corrected and scaled, so that sites stay comparable with one another.

    Attributes:
        channels: Names, in the order of the arrays.
        illumination: (C, Y, X), float32, 1 or more in 98 % of the pixels.
        low: (C,), float32: the corrected intensity that scales to 0, in the file's units.
        high: (C,), float32, above `low`: the corrected intensity that scales to 1.
        n_sites: How many sites it was made from.
        pixel_type: Of the surveyed sites' files; None where it is not known. 8 and 16 bits are not one scale.
        notes: What was left out or could not be estimated, as sentences.
    """

    channels: tuple[str, ...]
    illumination: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    n_sites: int
    notes: tuple[str, ...]
    pixel_type: np.dtype[Any] | None = None

    def only(self, channels: Sequence[str]) -> PlateSurvey:
        """Return the survey of some of its channels, in the order given.

        Raises:
            ChannelMismatchError: If one of them was not surveyed.
        """
        unknown = [name for name in channels if name not in self.channels]
        if unknown:
            raise ChannelMismatchError(
                f"channels were expected of those that were surveyed, {', '.join(self.channels)}, but "
                f"{', '.join(unknown)} came; name others"
            )
        places = [self.channels.index(name) for name in channels]
        return replace(
            self,
            channels=tuple(channels),
            illumination=self.illumination[places],
            low=self.low[places],
            high=self.high[places],
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers of the survey; its channels and notes are texts, and go beside them."""
        arrays: dict[str, NDArray[Any]] = {
            "illumination": self.illumination,
            "low": self.low,
            "high": self.high,
            "n_sites": np.array([self.n_sites], dtype=np.int64),
        }
        if self.pixel_type is not None:
            arrays["pixel_type"] = np.zeros(0, dtype=self.pixel_type)
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], *, channels: Sequence[str], notes: Sequence[str] = ()
    ) -> PlateSurvey:
        """Return the survey whose numbers `to_arrays` gave."""
        return cls(
            channels=tuple(channels),
            illumination=np.asarray(arrays["illumination"], dtype=np.float32),
            low=np.asarray(arrays["low"], dtype=np.float32),
            high=np.asarray(arrays["high"], dtype=np.float32),
            n_sites=int(arrays["n_sites"].item()),
            notes=tuple(notes),
            pixel_type=arrays["pixel_type"].dtype if "pixel_type" in arrays else None,
        )


@dataclass(frozen=True)
class _SiteSummary:
    """What the first pass keeps of a site: 128 x 128 numbers a channel instead of its pixels."""

    grids: NDArray[np.float32]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    shape: tuple[int, int]
    pixel_type: np.dtype[Any]
    is_finite: bool


def survey_plate(sites: Sequence[NDArray[Any]], *, channels: Sequence[str]) -> PlateSurvey:
    """Return the survey of a plate from a sample of its sites. Their order does not matter.

    Args:
        sites: Each (C, Y, X), any real dtype. Taken twice, one at a time: a sequence that reads each site when it is
            asked for keeps one site in memory.
        channels: Names of the C channels.

    Returns:
        The survey of the shape and pixel type that most sites have (the larger of two that are equally frequent).
        Sites of others, and sites whose pixels are not all finite, are left out, with a note.

    Raises:
        ChannelMismatchError: If a site does not have C channels.
        PixelsError: If no site is left.
    """
    names = tuple(channels)
    summaries = [_summarize(site, names) for site in sites]
    shape, pixel_type = _majority(summaries)
    used = [
        index
        for index, summary in enumerate(summaries)
        if summary.is_finite and (summary.shape, summary.pixel_type) == (shape, pixel_type)
    ]
    illumination = _estimate([summaries[index] for index in used], shape=shape, n_channels=len(names))
    ranges = _measure_ranges(sites, used, summaries, illumination)
    return PlateSurvey(
        channels=names,
        illumination=illumination,
        low=np.array([item.low for item in ranges], dtype=np.float32),
        high=np.array([item.high for item in ranges], dtype=np.float32),
        n_sites=len(used),
        notes=_notes(summaries, used, names, illumination),
        pixel_type=pixel_type,
    )


def _summarize(site: NDArray[Any], channels: tuple[str, ...]) -> _SiteSummary:
    if site.ndim != 3 or site.shape[0] != len(channels):
        raise ChannelMismatchError(
            f"a site of this plate was expected as {len(channels)} channels ({', '.join(channels)}) x rows x columns, "
            f"but one came with shape {site.shape}; read the same channels of every site"
        )
    lowest, highest = site.min(axis=(1, 2)), site.max(axis=(1, 2))
    return _SiteSummary(
        grids=grid_means(site).astype(np.float32),
        lowest=np.asarray(lowest, dtype=np.float64),
        highest=np.asarray(highest, dtype=np.float64),
        shape=(site.shape[1], site.shape[2]),
        pixel_type=site.dtype.newbyteorder("="),
        # A NaN anywhere is the minimum of its channel, and an infinity the minimum or the maximum.
        is_finite=bool(np.isfinite(lowest).all() and np.isfinite(highest).all()),
    )


def _majority(summaries: Sequence[_SiteSummary]) -> tuple[tuple[int, int], np.dtype[Any]]:
    counts = Counter((summary.shape, summary.pixel_type) for summary in summaries if summary.is_finite)
    if not counts:
        raise PixelsError(
            f"a survey of a plate needs at least one readable site, but of {len(summaries)} sites none has finite "
            "pixels in every channel; check the images of the plate with hcs check"
        )
    return max(counts, key=lambda kind: (counts[kind], math.prod(kind[0]), kind[0], kind[1].itemsize, kind[1].str))


def _estimate(summaries: Sequence[_SiteSummary], *, shape: tuple[int, int], n_channels: int) -> NDArray[np.float32]:
    grids = np.stack([summary.grids for summary in summaries])
    illumination = np.empty((n_channels, *shape), dtype=np.float32)
    for channel in range(n_channels):
        illumination[channel] = illumination_from_grids(grids[:, channel], height=shape[0], width=shape[1])
    return illumination


def _measure_ranges(
    sites: Sequence[NDArray[Any]],
    used: Sequence[int],
    summaries: Sequence[_SiteSummary],
    illumination: NDArray[np.float32],
) -> list[IntensityRange]:
    lowest = np.min([summaries[index].lowest for index in used], axis=0)
    highest = np.max([summaries[index].highest for index in used], axis=0)
    axes = [
        histogram_axis(float(low), float(high), dimmest=float(surface.min()), brightest=float(surface.max()))
        for low, high, surface in zip(lowest, highest, illumination, strict=True)
    ]
    counts = [np.zeros(1, dtype=np.int64) for _ in axes]
    for index in used:
        site = sites[index]
        for channel, axis in enumerate(axes):
            corrected = np.divide(site[channel], illumination[channel], dtype=np.float32, casting="same_kind")
            counts[channel] = counts[channel] + count_intensities(corrected, axis)
    return [range_of(count, axis) for count, axis in zip(counts, axes, strict=True)]


def _notes(
    summaries: Sequence[_SiteSummary],
    used: Sequence[int],
    channels: tuple[str, ...],
    illumination: NDArray[np.float32],
) -> tuple[str, ...]:
    notes = []
    shape, pixel_type = summaries[used[0]].shape, summaries[used[0]].pixel_type
    total = len(summaries)
    broken = sum(not summary.is_finite for summary in summaries)
    if broken:
        notes.append(f"{broken} of {total} sites hold values that are not finite and were left out of the survey.")
    other_type = sum(summary.is_finite and summary.pixel_type != pixel_type for summary in summaries)
    if other_type:
        notes.append(
            f"{other_type} of {total} sites are not {pixel_type} like most of the plate and were left out of the "
            "survey."
        )
    other = total - broken - other_type - len(used)
    if other:
        notes.append(
            f"{other} of {total} sites are not {shape[0]} x {shape[1]} pixels like most of the plate and were left out "
            "of the survey."
        )
    if len(used) < MIN_FIELDS:
        notes.append(
            f"Illumination is not corrected: {len(used)} sites were surveyed, and with fewer than {MIN_FIELDS} the "
            "cells themselves would show through."
        )
    lowest = np.min([summaries[index].lowest for index in used], axis=0)
    highest = np.max([summaries[index].highest for index in used], axis=0)
    for channel, name in enumerate(channels):
        if lowest[channel] == highest[channel]:
            notes.append(f"Channel {name} is constant ({lowest[channel]:g}) in every surveyed site.")
        elif len(used) >= MIN_FIELDS and is_flat(illumination[channel]):
            notes.append(f"Channel {name} shows no uneven illumination beyond chance and is not corrected.")
    return tuple(notes)
