"""The grid of tiles: equal squares, evenly spaced, that together cover every pixel of a site."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tile_origins(height: int, width: int, tile: int) -> NDArray[np.intp]:
    """Return the upper left corners of the tiles of a site, row by row.

    ceil(Y / t) x ceil(X / t) tiles; the first touches the upper left border and the last the lower right one, and the
    steps between them differ by one pixel at most. A side shorter than the tile has one origin, 0.

    Args:
        height: Pixels of the site.
        width: Pixels of the site.
        tile: Side of a tile in pixels.

    Returns:
        (T, 2), row and column of each tile's first pixel.
    """
    rows, columns = _starts(height, tile), _starts(width, tile)
    return np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))], axis=1)


def cut_tiles(pixels: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
    """Return the tiles of a site.

    Args:
        pixels: (C, Y, X). A side shorter than the tile is continued by reflection at its lower or right border,
            as often as needed.
        tile: Side of a tile in pixels.

    Returns:
        (T, C, t, t), a copy in the order of `tile_origins`.
    """
    channels, height, width = pixels.shape
    missing = (max(0, tile - height), max(0, tile - width))
    if any(missing):
        pixels = np.pad(pixels, ((0, 0), (0, missing[0]), (0, missing[1])), mode="reflect")
    origins = tile_origins(height, width, tile)
    tiles = np.empty((len(origins), channels, tile, tile), dtype=pixels.dtype)
    for cut, (row, column) in zip(tiles, origins, strict=True):
        cut[:] = pixels[:, row : row + tile, column : column + tile]
    return tiles


def _starts(length: int, tile: int) -> NDArray[np.intp]:
    """Return ceil(length / tile) starts from 0 to length - tile; halves are rounded up."""
    n = max(1, -(-length // tile))
    if n == 1:
        return np.zeros(1, dtype=np.intp)
    gaps = n - 1
    return (2 * np.arange(n, dtype=np.intp) * (length - tile) + gaps) // (2 * gaps)
