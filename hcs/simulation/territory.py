"""Divides the ground between cells: which pixel belongs to which, and where in the cell it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.morphology import Morphology

Pixels = NDArray[np.float32]
"""One number for each pixel that belongs to a cell, (M,)."""

_FAR: Final = 9.0


@dataclass(frozen=True)
class Territory:
    """Which pixels belong to which cell. All (M,): M pixels of a square frame that a cell covers.

    `x` and `y` are relative to the cell's centre in pixels; `depth` is 1 in the centre and 0 at the membrane, and
    `edge` the distance to the membrane in pixels, or to the neighbour where cells touch.
    """

    pixel: NDArray[np.intp]
    cell: NDArray[np.intp]
    y: Pixels
    x: Pixels
    depth: Pixels
    edge: Pixels


def divide_ground(
    centres: NDArray[np.float32], morphology: Morphology, chances: NDArray[np.float64], *, side: int
) -> Territory:
    """Return what belongs to which cell: star-shaped bodies, and a border half-way where two of them meet."""
    nearest = np.full((side, side), _FAR, dtype=np.float32)
    second = nearest.copy()
    owner = np.zeros((side, side), dtype=np.intp)
    lobes = morphology.protrusion[:, None] * np.exp(2j * np.pi * chances[:, 8:11]).astype(np.complex64)
    for cell, (y, x) in enumerate(centres.tolist()):
        reach = 1.5 * float(morphology.cell_radius[cell]) * float(morphology.cell_ratio[cell]) ** 0.5
        rows, columns = _window(y, reach, side), _window(x, reach, side)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            continue
        grid_y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - y
        grid_x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - x
        rho = _relative_radius(
            grid_y,
            grid_x,
            angle=float(morphology.angle[cell]),
            ratio=float(morphology.cell_ratio[cell]),
            radius=float(morphology.cell_radius[cell]),
            lobes=lobes[cell],
        )
        closest = nearest[rows, columns]
        is_closer = rho < closest
        second[rows, columns] = np.where(is_closer, closest, np.minimum(second[rows, columns], rho))
        np.copyto(closest, rho, where=is_closer)
        np.copyto(owner[rows, columns], cell, where=is_closer)
    return _territory(nearest, second, owner, centres, morphology.cell_radius)


def _window(centre: float, reach: float, side: int) -> slice:
    return slice(max(0, int(centre - reach)), min(side, int(centre + reach) + 2))


def _relative_radius(
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    *,
    angle: float,
    ratio: float,
    radius: float,
    lobes: NDArray[np.complex64],
) -> NDArray[np.float32]:
    """Return the distance from the centre, relative to the membrane in that direction: an ellipse with lobes."""
    turn_x, turn_y = math.cos(angle), math.sin(angle)
    along = (turn_x * x + turn_y * y) / (radius * ratio**0.5)
    across = (turn_x * y - turn_y * x) * (ratio**0.5 / radius)
    rho = np.sqrt(along * along + across * across) + 1e-6
    direction = (along + np.complex64(1j) * across) / rho
    squared = direction * direction
    star = ((0.6 * lobes[2] * direction + lobes[1]) * direction + lobes[0]) * squared
    relative: NDArray[np.float32] = rho / (1.0 + np.maximum(star.real, -0.4))
    return relative


def _territory(
    nearest: NDArray[np.float32],
    second: NDArray[np.float32],
    owner: NDArray[np.intp],
    centres: NDArray[np.float32],
    radius: NDArray[np.float32],
) -> Territory:
    pixel = np.flatnonzero(nearest < 1.0)
    cell, rho, other = owner.ravel()[pixel], nearest.ravel()[pixel], second.ravel()[pixel]
    rows, columns = np.divmod(pixel, nearest.shape[1])
    depth = np.minimum(1.0 - rho, 0.5 * (other - rho))
    return Territory(
        pixel=pixel,
        cell=cell,
        y=rows.astype(np.float32) - centres[cell, 0],
        x=columns.astype(np.float32) - centres[cell, 1],
        depth=1.0 - rho,
        edge=depth * radius[cell],
    )
