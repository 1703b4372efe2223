"""Draws cells: from their shapes, amounts and textures to the light that each channel emits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.library import CHANNELS
from hcs.simulation.morphology import INTERPHASE, Morphology
from hcs.simulation.nuclei import Nuclei, draw_nuclei
from hcs.simulation.territory import Pixels, Territory, divide_ground
from hcs.simulation.textures import SIDE, Map, textures


def draw_cells(
    centres: NDArray[np.float32], morphology: Morphology, chances: NDArray[np.float64], *, side: int
) -> NDArray[np.float32]:
    """Return the light of a frame of cells, (5, side, side) float32, channels as in `CHANNELS`.

    1 is about the brightness of an average cell's cytoplasm, or of its nucleus in the channel DNA. What lies outside
    of cells is 0.

    Args:
        centres: (N, 2), (y, x) in pixels of the frame.
        morphology: Of the N cells.
        chances: (N, 24), uniform numbers, see `hcs.simulation.morphology.N_CHANCES`.
        side: Of the frame in pixels.
    """
    light = np.zeros((len(CHANNELS), side * side), dtype=np.float32)
    if len(centres):
        ground = divide_ground(centres, morphology, chances, side=side)
        canvas = _Canvas(ground, morphology, chances, draw_nuclei(ground, morphology, chances))
        for channel, draw in enumerate((_dna, _rna, _er, _agp, _mito)):
            light[channel, ground.pixel] = draw(canvas)
    return light.reshape(len(CHANNELS), side, side)


@dataclass(frozen=True)
class _Canvas:
    """What every channel is drawn on; what several need is computed once."""

    ground: Territory
    morphology: Morphology
    chances: NDArray[np.float64]
    nuclei: Nuclei

    def of_cell(self, column: NDArray[np.float32]) -> Pixels:
        """Return one number a cell as one a pixel."""
        return column[self.ground.cell]

    @cached_property
    def outside_nucleus(self) -> Pixels:
        """How far a pixel is from the nucleus in pixels; 0 within."""
        radius = self.morphology.nuclear_radius * np.sqrt(self.morphology.n_nuclei, dtype=np.float32)
        outside: Pixels = np.maximum(self.from_centre - self.of_cell(radius), 0)
        return outside

    @cached_property
    def from_centre(self) -> Pixels:
        distance: Pixels = np.sqrt(self.ground.x**2 + self.ground.y**2)
        return distance

    @cached_property
    def cytoplasm(self) -> Pixels:
        """Thickness of the cytoplasm: thin at the rim, thick in the middle, none in the nucleus and in vacuoles."""
        rim = np.clip(self.ground.edge * 0.5, 0, 1)
        thickness = rim * (0.35 + 0.9 * np.clip(self.ground.depth, 0, 1))
        holes = 1.0 - self.of_cell(self.morphology.vacuoles) * (1.0 - self.texture(textures().holes))
        cytoplasm: Pixels = thickness * (1.0 - 0.85 * self.nuclei.cover) * holes
        return cytoplasm

    @cached_property
    def _place(self) -> NDArray[np.intp]:
        """Where in the textures each pixel lies: along the cell's axis, from an offset of its own."""
        turn_y, turn_x = np.sin(self.morphology.angle), np.cos(self.morphology.angle)
        offset = (self.chances[:, 8:10] * SIDE).astype(np.float32) + np.float32(SIDE)
        along = self.ground.x * self.of_cell(turn_x) + self.ground.y * self.of_cell(turn_y)
        across = self.ground.y * self.of_cell(turn_x) - self.ground.x * self.of_cell(turn_y)
        rows = (across + self.of_cell(offset[:, 0])).astype(np.intp) & (SIDE - 1)
        columns = (along + self.of_cell(offset[:, 1])).astype(np.intp) & (SIDE - 1)
        return rows * SIDE + columns

    def texture(self, texture: Map) -> Pixels:
        """Return the piece of a texture that each cell shows."""
        return texture.ravel().take(self._place)


def _dna(canvas: _Canvas) -> Pixels:
    grains = np.exp(canvas.of_cell(canvas.morphology.chromatin_contrast) * canvas.texture(textures().chromatin))
    light: Pixels = canvas.nuclei.genome * grains * (1.0 - 0.35 * np.minimum(canvas.nuclei.nucleoli, 1))
    return light


def _rna(canvas: _Canvas) -> Pixels:
    """Nucleoli, and ribosomes in the cytoplasm; the nucleus between its nucleoli is darker."""
    ribosomes = canvas.cytoplasm * (0.6 + 0.4 * canvas.texture(textures().grain))
    near = np.exp(-canvas.outside_nucleus / 14)
    cytoplasm = canvas.of_cell(canvas.morphology.rna_amount) * ribosomes * (0.5 + 0.7 * near)
    light: Pixels = cytoplasm + 0.38 * canvas.nuclei.cover + 1.9 * canvas.nuclei.nucleoli
    return light


def _er(canvas: _Canvas) -> Pixels:
    """A network that is densest around the nucleus, with the nuclear envelope as a rim."""
    around = np.exp(-canvas.outside_nucleus / canvas.of_cell(canvas.morphology.er_range))
    network = canvas.cytoplasm * canvas.texture(textures().reticulum) * (0.2 + 1.3 * around)
    envelope = 0.8 * canvas.nuclei.cover * (1.0 - canvas.nuclei.cover)
    light: Pixels = network + envelope + 0.15 * canvas.nuclei.cover
    return light * canvas.of_cell(canvas.morphology.er_amount)


def _agp(canvas: _Canvas) -> Pixels:
    """Actin under the membrane and in fibres along the cell, the Golgi on one side of the nucleus, the membrane."""
    morphology = canvas.morphology
    cortex = canvas.of_cell(morphology.cortex_amount) * np.exp(-0.55 * canvas.ground.edge)
    inner = np.clip(canvas.ground.edge * 0.4, 0, 1)
    fibres = canvas.of_cell(morphology.fibre_amount) * inner * canvas.texture(textures().fibres)
    membrane = 0.25 * canvas.cytoplasm * canvas.texture(textures().grain)
    light: Pixels = 1.25 * cortex + 0.3 * fibres + membrane + 1.6 * _golgi(canvas)
    covered: Pixels = light * (1.0 - 0.35 * canvas.nuclei.cover)
    return covered


def _golgi(canvas: _Canvas) -> Pixels:
    """A compact ribbon beside the nucleus; dispersed it is as much light in small pieces over a larger area."""
    morphology = canvas.morphology
    way = (morphology.angle + 2 * np.pi * canvas.chances[:, 11]).astype(np.float32)
    far = morphology.nuclear_radius * 1.15
    y = canvas.ground.y - canvas.of_cell(far * np.sin(way))
    x = canvas.ground.x - canvas.of_cell(far * np.cos(way))
    sharpness = -0.5 / morphology.golgi_spread**2
    amount = morphology.golgi_amount * (2.6 / morphology.golgi_spread)
    pieces: Pixels = 0.4 + 0.6 * canvas.texture(textures().granules)
    light: Pixels = canvas.of_cell(amount) * np.exp(canvas.of_cell(sharpness) * (y * y + x * x)) * pieces
    return light


def _mito(canvas: _Canvas) -> Pixels:
    """Tubules around the nucleus; fragmented they are granules."""
    fragments = canvas.of_cell(canvas.morphology.mito_fragments)
    bodies = (1.0 - fragments) * canvas.texture(textures().tubules) + fragments * canvas.texture(textures().granules)
    is_whole = canvas.of_cell((canvas.morphology.state == INTERPHASE).astype(np.float32))
    pattern: Pixels = is_whole * bodies + (1.0 - is_whole)
    around: Pixels = 0.12 + np.exp(-canvas.outside_nucleus / canvas.of_cell(canvas.morphology.mito_range))
    return canvas.of_cell(canvas.morphology.mito_amount) * canvas.cytoplasm * pattern * around
