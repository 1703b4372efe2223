"""Finds nuclei in the DNA channel by a classical method: blobs of the size that the image itself shows.

The image is reduced, by cutting its cosine spectrum, until a nucleus has a radius of 4 pixels. Peaks of the Laplacian
of Gaussian at 0.6 radii are nuclei; two peaks are one nucleus where the response between them falls by less than 5 %.
The Laplacian ignores background, vignetting and the haze of cytoplasm, and separates touching nuclei.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, sparse
from scipy.spatial import KDTree
from skimage.segmentation import watershed

from hcs.imaging.nuclear_scale import estimate_scale

_STAINS = ("dna", "hoechst", "dapi", "draq5", "h2b", "nuclei", "nucleus", "nuclear")
_WORKING_RADIUS = 4.0
_SIGMA_PER_RADIUS = 0.6
_SADDLE = 0.95
_FAINTEST = 0.15
"""Of the typical response. Cytoplasm and debris lie below 0.1 on real plates; counts hardly change from 0.1 to 0.3."""
_NOISE_SIGMAS = 6.0
_LEAST_SKEW = 0.3
"""Skewness of the response: 0 for noise of any smoothness, over 2 for scattered nuclei, 0.5 where they cover 60 %."""
_RIM = 0.1
_INWARD = 1.1
"""Radii that a nucleus at the border must reach into the image for its centre to be inside."""


def nuclear_channel(channels: Sequence[str]) -> str | None:
    """Return the channel that stains nuclei, or None.

    A name matches if it, or one of its words, is DNA, Hoechst, DAPI, DRAQ5, H2B, nuclei, nucleus or nuclear in any
    case, possibly followed by a number (`Hoechst33342`). Of several the earliest in this list is taken, then the first
    by alphabet: the order of the channels does not matter.
    """
    ranked = sorted((rank, name) for name in channels if (rank := _stain_rank(name)) is not None)
    return ranked[0][1] if ranked else None


def count_nuclei(plane: NDArray[Any], *, diameter: float | None = None) -> int:
    """Return how many nuclei have their centre in the image; 0 for a blank one.

    Args:
        plane: (Y, X), any real dtype, raw or corrected.
        diameter: Of a typical nucleus in pixels; by default the image says it.
    """
    found = _find(plane, diameter)
    return 0 if found is None else int(np.count_nonzero(found.is_inside))


def segment_nuclei(plane: NDArray[Any], *, diameter: float | None = None) -> NDArray[np.int32]:
    """Return a label image; its largest label is what `count_nuclei` returns.

    Outlines lie where the Laplacian of Gaussian changes sign, to about a quarter of a radius.

    Args:
        plane: (Y, X), any real dtype, raw or corrected.
        diameter: Of a typical nucleus in pixels; by default the image says it.

    Returns:
        (Y, X), int32: 0 background, and nuclei that are cut by the border and have their centre outside; 1 to n one
        label a nucleus.
    """
    found = _find(plane, diameter)
    if found is None:
        return np.zeros(plane.shape, dtype=np.int32)
    markers = np.zeros(found.response.shape, dtype=np.int32)
    markers[tuple(found.peaks.T)] = np.arange(1, len(found.peaks) + 1)
    mask = found.response > _RIM * found.typical
    labels = watershed(-found.response, markers, mask=mask)  # type: ignore[no-untyped-call]  # skimage has no types
    numbers = np.zeros(len(found.peaks) + 1, dtype=np.int32)
    numbers[1:][found.is_inside] = np.arange(1, np.count_nonzero(found.is_inside) + 1)
    labels = numbers[labels]
    rows, columns = (
        np.arange(length) * reduced // length for length, reduced in zip(plane.shape, labels.shape, strict=True)
    )
    return np.asarray(labels[np.ix_(rows, columns)], dtype=np.int32)


@dataclass(frozen=True)
class _Nuclei:
    """Peaks (N, 2) of the response on the reduced grid, which lie in the image, and the response of a typical one."""

    response: NDArray[np.float32]
    peaks: NDArray[np.intp]
    is_inside: NDArray[np.bool_]
    typical: float


@dataclass(frozen=True)
class _Blobs:
    """The response of the Laplacian of Gaussian on the reduced grid, the radius there, and what noise does to it."""

    response: NDArray[np.float32]
    radius: float
    noise_sd: float


def _stain_rank(name: str) -> int | None:
    words = re.split(r"[^a-z0-9]+", name.lower())
    ranks = [rank for rank, stain in enumerate(_STAINS) for word in words if re.fullmatch(rf"{stain}\d*", word)]
    return min(ranks, default=None)


def _find(plane: NDArray[Any], diameter: float | None) -> _Nuclei | None:
    centred = np.subtract(plane, np.mean(plane, dtype=np.float64), dtype=np.float32, casting="unsafe")
    if not centred.any():
        return None
    scale = estimate_scale(centred)
    radius = scale.radius if diameter is None else diameter / 2
    if radius is None:
        return None
    blobs = _respond(centred, radius=radius, noise_sd=scale.noise_sd)
    if _skewness(blobs.response) < _LEAST_SKEW:
        return None
    return _pick(blobs)


def _respond(centred: NDArray[np.float32], *, radius: float, noise_sd: float) -> _Blobs:
    """Return the scale-normalized Laplacian of Gaussian of the reduced image, positive where it is bright.

    Cutting the cosine spectrum reduces by any factor, and continues the image by reflection at its borders.
    """
    height, width = centred.shape
    factor = min(1.0, _WORKING_RADIUS / radius)
    rows, columns = (min(length, max(16, round(length * factor))) for length in (height, width))
    shrink = float(np.sqrt(rows * columns / (height * width)))
    sigma = _SIGMA_PER_RADIUS * radius * shrink
    squared = np.add.outer((np.arange(rows) * np.pi / rows) ** 2, (np.arange(columns) * np.pi / columns) ** 2)
    transfer = sigma**2 * squared * np.exp(-0.5 * sigma**2 * squared)
    spectrum = fft.dctn(centred, norm="ortho")[:rows, :columns]
    response = fft.idctn(spectrum * (shrink * transfer).astype(np.float32), norm="ortho")
    noise = noise_sd * shrink * float(np.sqrt(np.mean(transfer**2)))
    return _Blobs(response=response, radius=radius * shrink, noise_sd=noise)


def _skewness(response: NDArray[np.float32]) -> float:
    """Return the third standardized moment about zero, which is the mean of a band-pass response."""
    values = response.astype(np.float64)
    squares = values * values
    variance = float(squares.mean())
    if variance == 0:
        return 0.0
    return float(np.mean(squares * values) / variance**1.5)


def _pick(blobs: _Blobs) -> _Nuclei | None:
    """Return the peaks that stand out of the noise and are not faint beside the others."""
    response = blobs.response
    is_peak = response == ndimage.maximum_filter(response, size=3)
    peaks = np.argwhere(is_peak & (response > _NOISE_SIGMAS * blobs.noise_sd))
    if len(peaks) == 0:
        return None
    heights = response[tuple(peaks.T)]
    # A twentieth may be debris of any brightness; what is far below the rest may be cytoplasm.
    bright = np.sort(heights)[::-1][len(heights) // 20]
    typical = float(np.median(heights[heights > 0.3 * bright]))
    strong = heights > _FAINTEST * typical
    peaks = _merge(response, peaks[strong], heights[strong], radius=blobs.radius)
    is_inside = _is_inside(response, peaks, radius=blobs.radius)
    return _Nuclei(response=response, peaks=peaks, is_inside=is_inside, typical=typical)


def _merge(
    response: NDArray[np.float32], peaks: NDArray[np.intp], heights: NDArray[np.float32], *, radius: float
) -> NDArray[np.intp]:
    """Return the peaks, only the highest of each group that no valley separates."""
    pairs = KDTree(peaks).query_pairs(2.2 * radius, output_type="ndarray")
    if len(pairs) == 0:
        return peaks
    first, second = peaks[pairs[:, 0]], peaks[pairs[:, 1]]
    along = np.linspace(0, 1, 9)[None, 1:-1, None]
    path = first[:, None] * (1 - along) + second[:, None] * along
    valley = ndimage.map_coordinates(response, path.reshape(-1, 2).T, order=1).reshape(len(pairs), -1).min(axis=1)
    joined = pairs[valley > _SADDLE * heights[pairs].min(axis=1)]
    links = sparse.coo_array((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=(len(peaks), len(peaks)))
    group = sparse.csgraph.connected_components(links, directed=False)[1]
    descending = np.lexsort((np.arange(len(peaks)), -heights))
    highest = descending[np.unique(group[descending], return_index=True)[1]]
    return peaks[np.sort(highest)]


def _is_inside(response: NDArray[np.float32], peaks: NDArray[np.intp], *, radius: float) -> NDArray[np.bool_]:
    """Return for each peak whether its nucleus has its centre in the image.

    Reflection makes one blob of a nucleus at the border and its mirror image, with its peak on the border whether the
    centre is inside or not. What reaches further in than a radius has its centre inside.
    """
    is_inside = np.ones(len(peaks), dtype=np.bool_)
    for axis, length in enumerate(response.shape):
        for border, step in ((0, 1), (length - 1, -1)):
            at_border = np.flatnonzero(peaks[:, axis] == border)
            inward = peaks[at_border].astype(np.float64)
            inward[:, axis] += step * _INWARD * radius
            reaches = ndimage.map_coordinates(response, inward.T, order=1, mode="nearest") > 0
            is_inside[at_border] &= reaches
    return is_inside
