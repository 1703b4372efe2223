"""How large the nuclei of an image are, from its spectrum alone, before any of them is found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_SMALLEST_SIGMA = 2.0
_STEPS = 36
_BANDS = 100
_RADIUS_PER_SIGMA = 1.25
"""Discs of radius r, blurred or not, have their largest energy at sigma = r / 1.1 when they cover 5 % of an image and
at r / 1.45 when they cover 40 %."""
_SMALLEST_BLOCK = 110
_MOST_BLOCKS = 4
_BLOCK_PER_SIGMA = 8
_NOISE_FROM = 0.8


@dataclass(frozen=True)
class NuclearScale:
    """What the spectrum says.

    Attributes:
        radius: Of a typical nucleus, in pixels; None where no scale stands out.
        noise_sd: Of the pixels' white noise, in the image's units.
    """

    radius: float | None
    noise_sd: float


def estimate_scale(plane: NDArray[np.float32]) -> NuclearScale:
    """Return the radius of a typical nucleus and the noise.

    The energy of the scale-normalized Laplacian of Gaussian, the sum over frequencies k of
    P(k) (s^2 k^2)^2 exp(-s^2 k^2), is largest where s fits the blobs of an image (Lindeberg, 1998). It is taken in up
    to 4 x 4 blocks, each with one vote if it holds more than noise would, so that one bright piece of debris decides in
    its own block only; and in the whole image where the blocks are too small to hold what they show. The noise is the
    power of the highest frequencies, which hold nothing else.

    Args:
        plane: (Y, X), float32, its mean subtracted.
    """
    voted = _vote(plane, *_grid(*plane.shape))
    if voted.radius is not None or _grid(*plane.shape) == (1, 1):
        return voted
    return NuclearScale(radius=_vote(plane, 1, 1).radius, noise_sd=voted.noise_sd)


@dataclass(frozen=True)
class _Filters:
    """For blocks of one shape: the band of each kept coefficient, and each scale's response to each band."""

    band: NDArray[np.intp]
    sigmas: NDArray[np.float64]
    response: NDArray[np.float64]
    per_band: NDArray[np.float64]


def _grid(height: int, width: int) -> tuple[int, int]:
    return (
        min(max(height // _SMALLEST_BLOCK, 1), _MOST_BLOCKS),
        min(max(width // _SMALLEST_BLOCK, 1), _MOST_BLOCKS),
    )


@lru_cache(maxsize=8)
def _filters(height: int, width: int) -> _Filters:
    """Only the lower half of the frequencies is kept: above it a sigma of 2 pixels responds to nothing."""
    rows, columns = np.arange(height // 2) / height, np.arange(width // 2) / width
    radius = np.sqrt(np.add.outer(rows**2, columns**2))
    band = np.minimum((radius * _BANDS).astype(np.intp), _BANDS - 1)
    centres = (np.arange(_BANDS) + 0.5) * np.pi / _BANDS
    largest = max(min(height, width) / _BLOCK_PER_SIGMA, _SMALLEST_SIGMA + 1)
    sigmas = np.geomspace(_SMALLEST_SIGMA, largest, _STEPS)
    scaled = np.multiply.outer(sigmas**2, centres**2)
    response: NDArray[np.float64] = scaled**2 * np.exp(-scaled)
    return _Filters(
        band=band.ravel(),
        sigmas=sigmas,
        response=response,
        per_band=np.bincount(band.ravel(), minlength=_BANDS).astype(np.float64),
    )


def _vote(plane: NDArray[np.float32], n_rows: int, n_columns: int) -> NuclearScale:
    height, width = plane.shape[0] // n_rows, plane.shape[1] // n_columns
    grid = plane[: n_rows * height, : n_columns * width].reshape(n_rows, height, n_columns, width)
    blocks = np.ascontiguousarray(grid.swapaxes(1, 2)).reshape(-1, height, width)
    spectra = fft.dctn(blocks, axes=(1, 2), norm="ortho")
    highest = spectra[:, int(_NOISE_FROM * height) :, int(_NOISE_FROM * width) :]
    noise = np.square(highest).mean(axis=(1, 2), dtype=np.float64)
    filters = _filters(height, width)
    power = np.square(spectra[:, : height // 2, : width // 2], dtype=np.float64).reshape(len(blocks), -1)
    power[:, 0] = 0
    by_band = np.stack([np.bincount(filters.band, weights=block, minlength=_BANDS) for block in power])
    signal = np.maximum(by_band - noise[:, None] * filters.per_band, 0)
    energy: NDArray[np.float64] = np.sum(filters.response * signal[:, None], axis=-1)
    per_scale: NDArray[np.float64] = np.sum(filters.response * filters.per_band, axis=-1)
    chance: NDArray[np.float64] = np.multiply.outer(noise, per_scale)
    best = energy.argmax(axis=1)
    each = np.arange(len(blocks))
    voting = energy[each, best] > chance[each, best]
    curve = (energy[voting] / energy[each, best][voting, None]).sum(axis=0)
    return NuclearScale(radius=_peak(curve, filters.sigmas), noise_sd=float(np.sqrt(np.median(noise))))


def _peak(curve: NDArray[np.float64], sigmas: NDArray[np.float64]) -> float | None:
    """Return the radius at the highest inner maximum; an energy that only grows or only falls shows no blobs."""
    inner = curve[1:-1]
    peaks = np.flatnonzero((inner >= curve[:-2]) & (inner >= curve[2:]) & (inner > 0))
    if len(peaks) == 0:
        return None
    return float(_RADIUS_PER_SIGMA * sigmas[1 + peaks[inner[peaks].argmax()]])
