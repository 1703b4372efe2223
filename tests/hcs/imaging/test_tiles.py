from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.imaging.tiles import cut_tiles, tile_origins

SIDES = st.integers(1, 300)
TILES = st.integers(1, 120)


@settings(deadline=None, max_examples=100)
@given(height=SIDES, width=SIDES, tile=TILES)
def test_there_are_as_many_tiles_as_fit_side_by_side_rounded_up(height, width, tile):
    assert tile_origins(height, width, tile).shape == (-(-height // tile) * -(-width // tile), 2)


@settings(deadline=None, max_examples=100)
@given(height=SIDES, width=SIDES, tile=TILES)
def test_every_pixel_is_covered(height, width, tile):
    seen = np.zeros((height, width), dtype=int)
    for row, column in tile_origins(height, width, tile):
        seen[row : row + tile, column : column + tile] += 1

    assert seen.min() >= 1


@settings(deadline=None, max_examples=100)
@given(height=SIDES, width=SIDES, tile=TILES)
def test_origins_lie_within_bounds_and_are_evenly_spaced(height, width, tile):
    origins = tile_origins(height, width, tile)

    for axis, length in enumerate((height, width)):
        starts = np.unique(origins[:, axis])
        assert starts[0] == 0
        assert starts[-1] == max(0, length - tile)
        assert np.ptp(np.diff(starts)) <= 1 if len(starts) > 2 else True


@settings(deadline=None, max_examples=50)
@given(height=SIDES, width=SIDES, tile=TILES)
def test_transposing_a_site_transposes_its_grid(height, width, tile):
    once = {(int(row), int(column)) for row, column in tile_origins(height, width, tile)}

    assert {(int(column), int(row)) for row, column in tile_origins(width, height, tile)} == once


@settings(deadline=None, max_examples=50)
@given(height=st.integers(1, 90), width=st.integers(1, 90), tile=st.integers(1, 60))
def test_tiles_hold_the_pixels_at_their_origins(height, width, tile):
    pixels = np.arange(2 * height * width, dtype=np.float32).reshape(2, height, width)

    tiles = cut_tiles(pixels, tile)

    origins = tile_origins(height, width, tile)
    assert tiles.shape == (len(origins), 2, tile, tile)
    for cut, (row, column) in zip(tiles, origins, strict=True):
        inside = pixels[:, row : row + tile, column : column + tile]
        np.testing.assert_array_equal(cut[:, : inside.shape[1], : inside.shape[2]], inside)


@settings(deadline=None, max_examples=50)
@given(length=st.integers(1, 30), tile=st.integers(1, 100))
def test_a_smaller_site_is_continued_by_reflection(length, tile):
    pixels = np.arange(length, dtype=np.float32).reshape(1, length, 1)

    column = cut_tiles(pixels, tile)[0, 0, :, 0]

    period = max(1, 2 * (length - 1))
    place = np.arange(tile) % period
    np.testing.assert_array_equal(column, np.minimum(place, period - place)[: len(column)] if length > 1 else 0)


def test_permuting_channels_permutes_the_tiles():
    pixels = np.random.default_rng(0).random((3, 50, 70), dtype=np.float32)

    np.testing.assert_array_equal(cut_tiles(pixels[[2, 0, 1]], 32), cut_tiles(pixels, 32)[:, [2, 0, 1]])


@pytest.mark.parametrize(
    ("length", "tile", "starts"),
    [(7, 2, [0, 2, 3, 5]), (1080, 224, [0, 214, 428, 642, 856]), (640, 128, [0, 128, 256, 384, 512]), (9, 20, [0])],
)
def test_places_between_pixels_are_rounded(length, tile, starts):
    assert tile_origins(length, 1, tile)[:, 0].tolist() == starts


@pytest.mark.parametrize(("side", "tile", "n"), [(256, 128, 4), (1080, 224, 25), (2160, 224, 100), (100, 224, 1)])
def test_usual_sizes(side, tile, n):
    assert len(tile_origins(side, side, tile)) == n
