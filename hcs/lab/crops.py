"""Deals crops of fields in batches, each from a random stream of its own: a training may stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcs.lab.fields import Fields
from hcs.lab.recipe import Recipe
from hcs.simulation.library import N_AXES

N_TARGETS: Final = N_AXES + 1
"""The axes of the phenotype, and the density of cells."""
_GAIN_SD, _GAMMA_SD, _NOISE = 0.08, 0.06, 0.012
"""Of the logarithm of a plane's brightness and contrast, and of grey values: what a plate's scale leaves over."""
_CELLS_A_PIXEL: Final = 48.0 / 256**2
_AHEAD: Final = 3
_MOST_CELLS: Final = 12
"""Of a crop, whose place is told; a few more in dense crops are not."""
_WHOLE: Final = 5.0
"""Pixels that a cell's centre keeps from the border of a crop, so that enough of it is seen."""


class Batch(NamedTuple):
    """B crops: `planes` (B, Y, X) float32 in [0, 1], `channels` (B,), and `targets` (B, 17) float32.

    Targets are the mean phenotype of the cells that have their centre in the crop, and the logarithm of their density
    relative to an ordinary field. `n_cells` (B,) says how many there are: a crop without cells has only a density.
    `places` (B, K, 2) are centres of cells as (x, y) from -1 to 1 over the crop, and `phenotypes` (B, K, 16) what these
    cells are like; NaN where there are fewer.
    """

    planes: NDArray[np.float32]
    channels: NDArray[np.int64]
    targets: NDArray[np.float32]
    n_cells: NDArray[np.float32]
    places: NDArray[np.float32]
    phenotypes: NDArray[np.float32]


def deal_crops(fields: Fields, *, size: int, n: int, rng: np.random.Generator, is_disturbed: bool = True) -> Batch:
    """Return random crops of random channels, turned and mirrored.

    Args:
        fields: What they are cut from.
        size: Side of a crop.
        n: How many.
        rng: Everything random follows from it.
        is_disturbed: Whether brightness, contrast and noise vary too.
    """
    n_channels, side = fields.planes.shape[1], fields.planes.shape[2]
    sites = rng.integers(fields.n_sites, size=n)
    channels = rng.integers(n_channels, size=n)
    corners = rng.integers(side - size + 1, size=(n, 2))
    turns = rng.integers(8, size=n)
    batch = Batch(
        planes=np.empty((n, size, size), np.float32),
        channels=channels,
        targets=np.zeros((n, N_TARGETS), np.float32),
        n_cells=np.empty(n, np.float32),
        places=np.full((n, _MOST_CELLS, 2), np.nan, np.float32),
        phenotypes=np.full((n, _MOST_CELLS, N_AXES), np.nan, np.float32),
    )
    for index, (site, channel, corner, turn) in enumerate(zip(sites, channels, corners, turns.tolist(), strict=True)):
        row, column = corner
        crop = fields.planes[site, channel, row : row + size, column : column + size]
        batch.planes[index] = _turned(crop, turn)
        cells = fields.cells_of(int(site))
        _tell(batch, index, fields.centres[cells] - corner.astype(np.float32), fields.phenotypes[cells], turn=turn)
    batch.planes[:] *= np.float32(1 / 255)
    if is_disturbed:
        _disturb(batch.planes, rng)
    return batch


def _turned(crop: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    turned = np.rot90(crop, turn % 4)
    return turned if turn < 4 else turned[:, ::-1]


def _tell(batch: Batch, index: int, place: NDArray[np.float32], phenotypes: NDArray[np.float32], *, turn: int) -> None:
    """Fill in what is true of one crop, by the cells of its site and their places from its corner."""
    size = batch.planes.shape[1]
    inside = np.all((place >= 0) & (place < size), axis=1)
    n = int(inside.sum())
    batch.n_cells[index] = n
    batch.targets[index, -1] = np.log((n + 0.5) / (_CELLS_A_PIXEL * size**2 + 0.5))
    if n:
        batch.targets[index, :-1] = phenotypes[inside].mean(axis=0)
    whole = np.flatnonzero(np.all((place >= _WHOLE) & (place < size - _WHOLE), axis=1))[:_MOST_CELLS]
    batch.places[index, : len(whole)] = _turned_places(2 * place[whole] / size - 1, turn)
    batch.phenotypes[index, : len(whole)] = phenotypes[whole]


def _turned_places(places: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """Return places, (K, 2) as (y, x) from -1 to 1, as (x, y) after the turn of `_turned`."""
    y, x = places[:, 0], places[:, 1]
    for _ in range(turn % 4):
        y, x = -x, y
    return np.stack([-x if turn >= 4 else x, y], axis=1)


def _disturb(planes: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Change brightness, contrast and noise of every plane, in place."""
    n = len(planes)
    gain = np.exp(_GAIN_SD * rng.standard_normal((n, 1, 1), np.float32))
    gamma = np.exp(_GAMMA_SD * rng.standard_normal((n, 1, 1), np.float32))
    np.power(planes, gamma, out=planes)
    planes *= gain
    planes += np.float32(_NOISE) * rng.standard_normal(planes.shape, np.float32) * rng.random((n, 1, 1), np.float32)
    np.clip(planes, 0, 1, out=planes)


def batches(fields: Fields, recipe: Recipe, *, first_step: int = 0) -> Iterator[Batch]:
    """Yield the batch of every step from one on, dealt in a thread ahead of who learns.

    A batch follows from the recipe's seed and its step alone.
    """

    def deal(step: int) -> Batch:
        stage = recipe.stage_at(step)
        rng = np.random.default_rng([recipe.seed, step])
        return deal_crops(fields, size=stage.size, n=stage.batch, rng=rng)

    with ThreadPoolExecutor(1, thread_name_prefix="crops") as dealer:
        waiting = [dealer.submit(deal, step) for step in range(first_step, min(first_step + _AHEAD, recipe.n_steps))]
        for step in range(first_step, recipe.n_steps):
            batch = waiting.pop(0).result()
            if step + _AHEAD < recipe.n_steps:
                waiting.append(dealer.submit(deal, step + _AHEAD))
            yield batch
