"""Draws nuclei: their outlines, their genome, and the nucleoli in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.morphology import APOPTOTIC, MAX_NUCLEI, MAX_NUCLEOLI, Morphology
from hcs.simulation.territory import Pixels, Territory

_TYPICAL_RADIUS: Final = 6.5


@dataclass(frozen=True)
class Nuclei:
    """What nuclei add to each pixel of a territory, (M,) float32.

    `cover` is the share of a pixel that a nucleus covers, `genome` the DNA in it (1 in an average nucleus before its
    genome doubles), `nucleoli` is 1 in the middle of a nucleolus.
    """

    cover: Pixels
    genome: Pixels
    nucleoli: Pixels


def draw_nuclei(ground: Territory, morphology: Morphology, chances: NDArray[np.float64]) -> Nuclei:
    """Return the nuclei of all cells, each within its cell.

    Cells with several nuclei have them side by side and smaller; in apoptosis the nucleus is in fragments.
    """
    cover, genome, nucleoli = (np.zeros(len(ground.pixel), dtype=np.float32) for _ in range(3))
    reach = 2.4 * morphology.nuclear_radius + 2.0
    near = np.flatnonzero(ground.x**2 + ground.y**2 < (reach**2)[ground.cell])
    for index in range(MAX_NUCLEI):
        pixels = near[index < morphology.n_nuclei[ground.cell[near]]]
        if len(pixels):
            share, dome = _one_nucleus(ground, morphology, chances, pixels, index)
            cover[pixels] = np.maximum(cover[pixels], share)
            genome[pixels] = np.maximum(genome[pixels], share * dome)
    inside = near[cover[near] > 0]
    genome[inside] *= _density(morphology)[ground.cell[inside]]
    nucleoli[inside] = cover[inside] * _nucleoli(ground, morphology, chances, inside)
    return Nuclei(cover=cover, genome=genome, nucleoli=nucleoli)


def _one_nucleus(
    ground: Territory, morphology: Morphology, chances: NDArray[np.float64], pixels: NDArray[np.intp], index: int
) -> tuple[Pixels, Pixels]:
    """Return the cover and the dome-like brightness of every cell's index-th nucleus, both (len(pixels),)."""
    cell = ground.cell[pixels]
    n = morphology.n_nuclei.astype(np.float32)
    variation = chances[:, 12 + index] - 0.5
    size = (morphology.nuclear_radius * n**-0.36 * (1 + 0.5 * variation * (n > 1))).astype(np.float32)
    spread = np.where(morphology.state == APOPTOTIC, 1.6 + variation, 0.95) * size * (n > 1)
    way = morphology.angle + 2 * np.pi * (index + variation) / n
    dy = ground.y[pixels] - (spread * np.sin(way)).astype(np.float32)[cell]
    dx = ground.x[pixels] - (spread * np.cos(way)).astype(np.float32)[cell]
    turn, stretch = morphology.angle + np.float32(0.8 * index), np.sqrt(morphology.nuclear_ratio)
    along = (np.cos(turn)[cell] * dx + np.sin(turn)[cell] * dy) / stretch[cell]
    across = (np.cos(turn)[cell] * dy - np.sin(turn)[cell] * dx) * stretch[cell]
    radius = np.sqrt(along * along + across * across) + 1e-6
    direction = (along + np.complex64(1j) * across) / radius
    lobes = morphology.nuclear_irregularity[:, None] * np.exp(2j * np.pi * (chances[:, 8:10] + 0.37 * index))
    first, second = lobes.astype(np.complex64).T
    bumps = (second[cell] * direction + first[cell]) * direction * direction
    border = size[cell] * (1.0 + bumps.real)
    relative = radius / border
    cover = np.clip(border - radius + 0.5, 0, 1)
    return cover, np.sqrt(np.clip(1.25 - relative * relative, 0.2, None))


def _density(morphology: Morphology) -> Pixels:
    """Return how densely a nucleus is packed: its content over its area, softened since nuclei flatten as they grow."""
    density = morphology.dna_content * (_TYPICAL_RADIUS / morphology.nuclear_radius) ** 1.3
    return density.astype(np.float32)


def _nucleoli(
    ground: Territory, morphology: Morphology, chances: NDArray[np.float64], inside: NDArray[np.intp]
) -> Pixels:
    cell = ground.cell[inside]
    way = 2 * np.pi * chances[:, 12 : 12 + MAX_NUCLEOLI]
    far = 0.68 * np.sqrt(chances[:, 12 + MAX_NUCLEOLI : 12 + 2 * MAX_NUCLEOLI]) * morphology.nuclear_radius[:, None]
    y, x = (far * np.sin(way)).astype(np.float32), (far * np.cos(way)).astype(np.float32)
    size = morphology.nucleolar_radius[:, None] * (1.25 - 0.5 * chances[:, 12 : 12 + MAX_NUCLEOLI])
    sharpness = (-0.5 / size**2).astype(np.float32)
    nucleoli = np.zeros(len(inside), dtype=np.float32)
    for index in range(MAX_NUCLEOLI):
        here = np.flatnonzero(index < morphology.n_nucleoli[cell])
        owner, place = cell[here], inside[here]
        gap = (ground.y[place] - y[owner, index]) ** 2 + (ground.x[place] - x[owner, index]) ** 2
        nucleoli[here] = np.maximum(nucleoli[here], np.exp(sharpness[owner, index] * gap))
    return nucleoli * morphology.nucleolar_amount[cell]
