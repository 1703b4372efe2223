"""The illumination function of one channel of one plate: how much brighter the microscope makes each place of a field.

CellProfiler's method "Regular" (`CorrectIlluminationCalculate`): average over many fields, smooth with a large filter,
divide by a robust minimum. The average is taken of fields divided by their own mean, without the most extreme tenth at
either end, so that one field with bright debris does not draw its shape into every other.

The smoothing is a polynomial of total degree 4, the form in which Harmony stores its own flatfield profiles, fitted to
32 x 32 block means: it costs the same at 256 and at 2160 pixels, and unlike a Gaussian of a third of the field it does
not flatten the corners, where vignetting is strongest (by 8 % of the mean on Harmony's).
Each degree is shrunk by how much of it the spread between fields explains (James-Stein), so that cells which happen to
lie in one half of the field do not become illumination: a channel that is evenly lit comes out nearly flat.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs.errors import PixelsError

BLOCKS = 32
DEGREE = 4
TRIMMED = 0.1
"""Share of the fields left out at either end of each coefficient."""
MIN_FIELDS = 8
"""Fewer fields give a flat function. Measured on evenly lit fields of 256 px with 35 nuclei each, where all that is
found is cells showing through: 8 % rms of 4 fields, 4 % of 8, 3 % of 16, 1-2 % of 48. Under a vignette of 10 % rms the
estimate leaves 7-8 % of 8 fields, 5 % of 24, 3.5 % of 48, 2.5 % of 96; below 8 it is no better than none."""
ROBUST_MINIMUM = 0.02
_DARKEST = 0.1
"""Of the mean: a polynomial can dip below zero in a corner, light cannot."""
_LEAST = 0.5
"""Of the robust minimum: what no correction goes below."""


def estimate_illumination(fields: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
    """Return the illumination function that these fields of one channel share.

    Args:
        fields: Each (Y, X), any real dtype, all of one shape. Their order does not matter. Fields without any signal
            (a mean of zero or less) do not count.

    Returns:
        (Y, X), float32, without unit: a corrected image is the image divided by it. 98 % of it is 1 or more, and none
        below 0.5. All ones with fewer than `MIN_FIELDS` fields.

    Raises:
        PixelsError: If there is no field, or the fields differ in shape.
    """
    shapes = set()
    means = []
    for field in fields:
        shapes.add(field.shape)
        means.append(block_means(field))
    if len(shapes) != 1:
        raise PixelsError(
            f"an illumination function is estimated from fields of one shape, but {len(shapes)} shapes came "
            f"({', '.join(str(shape) for shape in sorted(shapes)) or 'no field at all'}); give those of one shape"
        )
    height, width = shapes.pop()
    return illumination_from_blocks(np.stack(means), height=height, width=width)


def block_means(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the means of a grid of nearly equal blocks, exact for integers.

    Args:
        pixels: (..., Y, X), any real dtype.

    Returns:
        (..., min(32, Y), min(32, X)), float64, in the pixels' unit.
    """
    height, width = pixels.shape[-2:]
    rows, columns = _block_edges(height), _block_edges(width)
    exact = np.float64 if pixels.dtype.kind == "f" else np.int64
    # Summing a band of rows first runs along memory; reduceat over rows would be five times slower.
    bands = np.stack(
        [pixels[..., top:bottom, :].sum(axis=-2, dtype=exact) for top, bottom in pairwise(rows)],
        axis=-2,
    )
    sums = np.add.reduceat(bands, columns[:-1], axis=-1)
    return sums / np.multiply.outer(np.diff(rows), np.diff(columns))


def illumination_from_blocks(blocks: NDArray[np.float64], *, height: int, width: int) -> NDArray[np.float32]:
    """Return the illumination function of fields that are already reduced to block means.

    Args:
        blocks: (N, By, Bx), of N fields of one channel, from `block_means`.
        height: Pixels of the fields.
        width: Pixels of the fields.

    Returns:
        (Y, X), float32, as `estimate_illumination`; all ones where fewer than `MIN_FIELDS` fields have any signal.
    """
    levels = blocks.mean(axis=(1, 2))
    lit = levels > 0
    if np.count_nonzero(lit) < MIN_FIELDS:
        return np.ones((height, width), dtype=np.float32)
    relative = blocks[lit] / levels[lit, None, None]
    rows, at_rows = _orthonormal_polynomials(height)
    columns, at_columns = _orthonormal_polynomials(width)
    # einsum without optimize never calls BLAS, whose sums depend on its number of threads.
    by_row = np.einsum("nyx,iy->nix", relative, rows) / rows.shape[1]
    coefficients = np.einsum("nix,jx->nij", by_row, columns) / columns.shape[1]
    surface = _evaluate(_shrunken_mean(coefficients), at_rows, at_columns)
    return _relative_to_darkest(surface)


def is_flat(illumination: NDArray[np.float32]) -> bool:
    """Return whether dividing by the function changes nothing."""
    return bool((illumination == 1).all())


def _block_edges(length: int) -> NDArray[np.intp]:
    blocks = min(BLOCKS, length)
    return np.arange(blocks + 1, dtype=np.intp) * length // blocks


def _orthonormal_polynomials(length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return polynomials that are orthonormal over the block centres, there (K, B) and at every pixel (K, length).

    Built by the Stieltjes recurrence. A side of fewer than five blocks has fewer than five polynomials.
    """
    edges = _block_edges(length)
    centres = (edges[:-1] + edges[1:]) / length - 1
    pixels = (2 * np.arange(length) + 1) / length - 1
    at_blocks, at_pixels = [np.ones(len(centres))], [np.ones(length)]
    before_blocks, before_pixels, norm = np.zeros(len(centres)), np.zeros(length), 0.0
    for _ in range(min(DEGREE, len(centres) - 1)):
        shift = (centres * at_blocks[-1] ** 2).mean()
        raw_blocks = (centres - shift) * at_blocks[-1] - norm * before_blocks
        raw_pixels = (pixels - shift) * at_pixels[-1] - norm * before_pixels
        before_blocks, before_pixels = at_blocks[-1], at_pixels[-1]
        norm = np.sqrt((raw_blocks**2).mean())
        at_blocks.append(raw_blocks / norm)
        at_pixels.append(raw_pixels / norm)
    return np.stack(at_blocks), np.stack(at_pixels)


def _shrunken_mean(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the trimmed mean over fields of (N, I, J) coefficients, each total degree shrunk by its noise.

    The variance of a trimmed mean is that of the winsorized fields over (1 - 2 x trimmed)^2 N (Tukey & McLaughlin,
    1963). Sorting first makes the sums independent of the order of the fields.
    """
    n_fields = len(coefficients)
    cut = int(TRIMMED * n_fields)
    ordered = np.sort(coefficients, axis=0)
    mean: NDArray[np.float64] = ordered[cut : n_fields - cut].mean(axis=0)
    winsorized = np.sort(np.clip(coefficients, ordered[cut], ordered[n_fields - 1 - cut]), axis=0)
    kept = 1 - 2 * cut / n_fields
    variance = winsorized.var(axis=0, ddof=1) / (kept**2 * n_fields)
    degrees = np.add.outer(np.arange(mean.shape[0]), np.arange(mean.shape[1]))
    shrunken = np.zeros_like(mean)
    shrunken[0, 0] = mean[0, 0]
    for degree in range(1, DEGREE + 1):
        terms = degrees == degree
        signal, noise = (mean[terms] ** 2).sum(), variance[terms].sum()
        if signal > noise:
            shrunken[terms] = mean[terms] * (1 - noise / signal)
    return shrunken


def _evaluate(
    coefficients: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return sum_ij c_ij p_i(y) q_j(x) as (Y, X)."""
    by_column = np.einsum("ij,iy->jy", coefficients, rows)
    surface: NDArray[np.float64] = np.zeros((rows.shape[1], columns.shape[1]))
    for profile, polynomial in zip(by_column, columns, strict=True):
        np.add(surface, np.multiply.outer(profile, polynomial), out=surface)
    return surface


def _relative_to_darkest(surface: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the surface divided by its 2nd percentile.

    CellProfiler also raises what is darker to 1, because a median-filtered mean is noisy there. A polynomial is not, and
    raising it would leave 1 to 2 % rms of a strong vignette uncorrected, all of it in the corners.
    """
    surface = np.maximum(surface, _DARKEST * surface.mean())
    rank = int(surface.size * ROBUST_MINIMUM)
    darkest = np.partition(surface, rank, axis=None)[rank]
    rescaled: NDArray[np.float64] = np.maximum(surface / darkest, _LEAST)
    return rescaled.astype(np.float32)
