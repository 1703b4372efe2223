"""The illumination function of one channel of one plate: how much brighter the microscope makes each place of a field.

CellProfiler's method "Regular" (`CorrectIlluminationCalculate`): average over many fields, smooth with a large filter,
divide by a robust minimum. Three things are done so that 24 to 48 fields are enough where a plain mean takes hundreds:

- The smoothing is a polynomial of total degree 4, the form in which Harmony stores its own flatfield profiles, fitted
  to 32 x 32 block means. It costs the same at 256 and at 2160 pixels, and unlike a Gaussian of a third of the field it
  does not flatten the corners, where vignetting is strongest (by 8 % of the mean on Harmony's profiles). Each degree
  is shrunk by how much of it the spread between fields explains (James-Stein): an evenly lit channel comes out nearly
  flat.
- Cells that happen to lie in one half of the fields are not illumination. What the area covered by bright pixels
  explains of a block's brightness within its field is removed (a control variate: covered area is spread evenly over
  many fields). Covered is what lies above Otsu's threshold of the field, after correction by the estimate so far.
- The average is taken of fields divided by their own mean, without the most extreme tenth at either end of each
  coefficient, so that one field with bright debris does not draw its shape into every other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs.errors import PixelsError

CELLS = 128
"""Cells of the grid that a field is reduced to, a side: fine enough to tell nuclei from background."""
BLOCKS = 32
DEGREE = 4
TRIMMED = 0.1
"""Share of the fields left out at either end of each coefficient."""
MIN_FIELDS = 8
"""Fewer fields give a flat function. Measured on simulated fields of 256 px with 45 cells: of evenly lit ones the
estimate shows cells as 4 % rms from 4 fields, 2.3 % from 8, 1.5 % from 16, 0.7 % from 48; of a vignette of 6.5 % rms it
leaves 4.9 % from 4 fields, 3.7 % from 8, 2.7 % from 16, 2.4 % from 24, 1.9 % from 48. Below 8 it is hardly better than
none."""
ROBUST_MINIMUM = 0.02
_REFINEMENTS = 3
_FAINTEST = 1e-3
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
        means.append(grid_means(field))
    if len(shapes) != 1:
        raise PixelsError(
            f"an illumination function is estimated from fields of one shape, but {len(shapes)} shapes came "
            f"({', '.join(str(shape) for shape in sorted(shapes)) or 'no field at all'}); give those of one shape"
        )
    height, width = shapes.pop()
    return illumination_from_grids(np.stack(means), height=height, width=width)


def grid_means(pixels: NDArray[Any], cells: int = CELLS) -> NDArray[np.float64]:
    """Return the means of a grid of nearly equal cells, exact for integers.

    Args:
        pixels: (..., Y, X), any real dtype.
        cells: How many a side at most.

    Returns:
        (..., min(cells, Y), min(cells, X)), float64, in the pixels' unit.
    """
    height, width = pixels.shape[-2:]
    rows, columns = _edges(height, cells), _edges(width, cells)
    exact = np.float64 if pixels.dtype.kind == "f" else np.int64
    # Summing a band of rows first runs along memory; reduceat over rows would be five times slower.
    bands = np.stack([pixels[..., top:bottom, :].sum(axis=-2, dtype=exact) for top, bottom in pairwise(rows)], axis=-2)
    sums = np.add.reduceat(bands, columns[:-1], axis=-1)
    return np.divide(sums, np.multiply.outer(np.diff(rows), np.diff(columns)))


def illumination_from_grids(grids: NDArray[np.floating[Any]], *, height: int, width: int) -> NDArray[np.float32]:
    """Return the illumination function of fields that are already reduced.

    Args:
        grids: (N, Gy, Gx), of N fields of one channel, from `grid_means`.
        height: Pixels of the fields.
        width: Pixels of the fields.

    Returns:
        (Y, X), float32, as `estimate_illumination`; all ones where fewer than `MIN_FIELDS` fields have any signal.
    """
    levels = grids.mean(axis=(1, 2), dtype=np.float64)
    lit = levels > 0
    if np.count_nonzero(lit) < MIN_FIELDS:
        return np.ones((height, width), dtype=np.float32)
    relative = grids[lit] / levels[lit, None, None]
    rows, columns = _polynomials(height), _polynomials(width)
    estimate = _shrunken_mean(_project(grid_means(relative, BLOCKS), rows, columns))
    for _ in range(_REFINEMENTS):
        surface = _evaluate(estimate, rows.at_cells, columns.at_cells)
        even = _without_coverage(relative / surface)
        estimate = _shrunken_mean(_project(even * grid_means(surface, BLOCKS), rows, columns))
    return _relative_to_darkest(_evaluate(estimate, rows.at_pixels, columns.at_pixels))


def is_flat(illumination: NDArray[np.float32]) -> bool:
    """Return whether dividing by the function changes nothing."""
    return bool((illumination == 1).all())


@dataclass(frozen=True)
class _Polynomials:
    """Polynomials of degree 0 to K - 1 along one side, (K, places), orthonormal over the blocks."""

    at_blocks: NDArray[np.float64]
    at_cells: NDArray[np.float64]
    at_pixels: NDArray[np.float64]


def _edges(length: int, cells: int) -> NDArray[np.intp]:
    cells = min(cells, length)
    return np.arange(cells + 1, dtype=np.intp) * length // cells


def _polynomials(length: int) -> _Polynomials:
    """Build them by the Stieltjes recurrence. A side of fewer than five blocks has fewer than five."""
    places = []
    for cells in (BLOCKS, CELLS, length):
        edges = _edges(length, cells)
        places.append((edges[:-1] + edges[1:]) / length - 1)
    blocks = places[0]
    values = [[np.ones(len(place))] for place in places]
    before = [np.zeros(len(place)) for place in places]
    norm = 0.0
    for _ in range(min(DEGREE, len(blocks) - 1)):
        centre = float((blocks * values[0][-1] ** 2).mean())
        raw = [
            (place - centre) * value[-1] - norm * last
            for place, value, last in zip(places, values, before, strict=True)
        ]
        before = [value[-1] for value in values]
        norm = float(np.sqrt((raw[0] ** 2).mean()))
        for value, new in zip(values, raw, strict=True):
            value.append(new / norm)
    return _Polynomials(*(np.stack(value) for value in values))


def _project(blocks: NDArray[np.float64], rows: _Polynomials, columns: _Polynomials) -> NDArray[np.float64]:
    """Return the (N, I, J) coefficients of (N, By, Bx) block means.

    einsum without `optimize` never calls BLAS, whose sums depend on its number of threads.
    """
    by_row = np.einsum("nyx,iy->nix", blocks, rows.at_blocks) / rows.at_blocks.shape[1]
    coefficients: NDArray[np.float64] = np.einsum("nix,jx->nij", by_row, columns.at_blocks) / columns.at_blocks.shape[1]
    return coefficients


def _without_coverage(fields: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return block means of fields (N, Gy, Gx) of mean 1, less what their covered area explains within each field."""
    blocks = grid_means(fields, BLOCKS)
    logarithms = np.log(np.maximum(fields, _FAINTEST))
    covered = grid_means(np.stack([field > _otsu(field) for field in logarithms]), BLOCKS)
    area = covered - covered.mean(axis=(1, 2), keepdims=True)
    brightness = blocks - blocks.mean(axis=(1, 2), keepdims=True)
    spread = np.maximum((area**2).sum(axis=(1, 2), keepdims=True), _FAINTEST)
    slope = (area * brightness).sum(axis=(1, 2), keepdims=True) / spread
    rest: NDArray[np.float64] = blocks - slope * area
    return rest


def _otsu(values: NDArray[np.float64]) -> float:
    """Return the value that splits the others into two classes with the largest variance between them (Otsu, 1979)."""
    ordered = np.sort(values, axis=None)
    if len(ordered) == 1:
        return float(ordered[0])
    below = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    means_below = sums[:-1] / below
    means_above = (sums[-1] - sums[:-1]) / (len(ordered) - below)
    between = below * (len(ordered) - below) * (means_above - means_below) ** 2
    return float(ordered[int(between.argmax())])


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
    """Return sum_ij c_ij p_i(y) q_j(x) as (Y, X), nowhere below a tenth of its mean."""
    by_column = np.einsum("ij,iy->jy", coefficients, rows)
    surface: NDArray[np.float64] = np.zeros((rows.shape[1], columns.shape[1]))
    for profile, polynomial in zip(by_column, columns, strict=True):
        surface += np.multiply.outer(profile, polynomial)
    lifted: NDArray[np.float64] = np.maximum(surface, _DARKEST * surface.mean())
    return lifted


def _relative_to_darkest(surface: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the surface divided by its 2nd percentile.

    CellProfiler also raises what is darker to 1, because a median-filtered mean is noisy there. A polynomial is not,
    and raising it would leave 1 to 2 % rms of a strong vignette uncorrected, all of it in the corners.
    """
    rank = int(surface.size * ROBUST_MINIMUM)
    darkest = np.partition(surface, rank, axis=None)[rank]
    rescaled: NDArray[np.float64] = np.maximum(surface / darkest, _LEAST)
    return rescaled.astype(np.float32)
