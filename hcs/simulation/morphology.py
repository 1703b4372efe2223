"""The fixed maps from the latent phenotype of cells to their shapes, amounts and textures.

The maps are the same for every mechanism, screen and seed. Sizes are in pixels, amounts relative to an average
untreated cell, and everything is smooth in the phenotype: small shifts make small differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.library import AXES, N_AXES

Column = NDArray[np.float32]

N_CHANCES: Final = 24
"""Uniform numbers that decide about a cell: its cycle (0, 1), nuclei (2 to 5), axis (6, 7), outline (8 to 10), which
piece of the textures it shows (8, 9), where its Golgi (11) and its nucleoli (12 to 23) lie."""
MAX_NUCLEI: Final = 4
MAX_NUCLEOLI: Final = 6

INTERPHASE, MITOTIC, APOPTOTIC = 0, 1, 2
"""States of a cell."""


@dataclass(frozen=True)
class Morphology:
    """What cells look like, one entry a cell: (N,) float32 unless it says otherwise."""

    state: NDArray[np.int8]
    n_nuclei: NDArray[np.int8]
    n_nucleoli: NDArray[np.int8]
    dna_content: Column
    """1 before the genome is doubled, 2 after."""
    nuclear_radius: Column
    nuclear_ratio: Column
    nuclear_irregularity: Column
    chromatin_contrast: Column
    cell_radius: Column
    cell_ratio: Column
    protrusion: Column
    er_amount: Column
    er_range: Column
    nucleolar_amount: Column
    nucleolar_radius: Column
    rna_amount: Column
    fibre_amount: Column
    cortex_amount: Column
    golgi_amount: Column
    golgi_spread: Column
    vacuoles: Column
    mito_amount: Column
    mito_fragments: Column
    mito_range: Column
    angle: Column
    """Of the long axis, radians."""


def express(phenotypes: NDArray[np.float64], chances: NDArray[np.float64]) -> Morphology:
    """Return the morphology of cells.

    Args:
        phenotypes: (N, 16), along `AXES`, in standard deviations between untreated cells.
        chances: (N, 24), uniform in [0, 1): what is left to chance in each cell.
    """
    if phenotypes.shape[1:] != (N_AXES,) or chances.shape != (len(phenotypes), N_CHANCES):
        raise ValueError(
            f"(N, {N_AXES}) and (N, {N_CHANCES}) were expected, got {phenotypes.shape} and {chances.shape}"
        )
    u = {axis: phenotypes[:, index] for index, axis in enumerate(AXES)}
    state = _states(u, chances)
    content = np.where(state == MITOTIC, 2.0, _dna_content(chances[:, 1]))
    n_nuclei = _n_nuclei(u["multinucleation"], state, chances)
    columns = {
        "dna_content": content * (1.0 + 0.25 * (n_nuclei - 1)),
        **_nucleus(u, content, state, chances),
        **_body(u, state, chances),
        **_contents(u, state),
        "angle": 2 * np.pi * chances[:, 6],
    }
    return Morphology(
        state=state,
        n_nuclei=n_nuclei,
        n_nucleoli=np.clip(np.round(1.5 + 3.0 * chances[:, 5] + 0.4 * u["nucleoli"]), 1, MAX_NUCLEOLI).astype(np.int8),
        **{name: np.asarray(values, dtype=np.float32) for name, values in columns.items()},
    )


Axes = dict[str, NDArray[np.float64]]


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-values))


def _states(u: Axes, chances: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the state of every cell: 3 % in mitosis and 1.5 % in apoptosis when untreated."""
    dying = chances[:, 0] < _sigmoid(-4.4 + 1.2 * u["apoptosis"])
    dividing = 1.0 - chances[:, 0] < _sigmoid(-3.7 + 1.1 * u["mitotic_arrest"])
    return np.where(dying, APOPTOTIC, np.where(dividing, MITOTIC, INTERPHASE)).astype(np.int8)


def _dna_content(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 in G1 (58 %), 1 to 2 in S (22 %), 2 in G2 (20 %)."""
    return np.clip(1.0 + (chance - 0.58) / 0.22, 1.0, 2.0)


def _n_nuclei(
    multinucleation: NDArray[np.float64], state: NDArray[np.int8], chances: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Return how many nuclei or fragments of nuclei a cell has: 3 % have two when untreated."""
    more = sum(
        (chances[:, 2 + step] < _sigmoid(-3.9 + 1.15 * multinucleation + 0.6 * step)).astype(np.int8) * factor
        for step, factor in ((0, 1), (1, 1))
    )
    alive = 1 + np.asarray(more) * (chances[:, 2] < _sigmoid(-3.9 + 1.15 * multinucleation))
    return np.where(state == APOPTOTIC, MAX_NUCLEI, np.where(state == MITOTIC, 1, alive)).astype(np.int8)


def _nucleus(u: Axes, content: NDArray[np.float64], state: NDArray[np.int8], chances: NDArray[np.float64]) -> Axes:
    radius = 6.1 * content**0.3 * np.exp(0.085 * u["nuclear_area"])
    ratio = 1.12 + 0.25 * chances[:, 4] * np.exp(0.3 * u["nuclear_irregularity"]) + 0.02 * np.abs(u["cell_elongation"])
    return {
        "nuclear_radius": np.select([state == MITOTIC, state == APOPTOTIC], [0.75 * radius, 0.42 * radius], radius),
        "nuclear_ratio": np.where(state == MITOTIC, 2.6, ratio),
        "nuclear_irregularity": 0.035 * np.exp(0.45 * u["nuclear_irregularity"]),
        "chromatin_contrast": 0.16 * np.exp(0.35 * u["chromatin_texture"]),
        "nucleolar_amount": np.exp(0.3 * u["nucleoli"]) * (state == INTERPHASE),
        "nucleolar_radius": 1.45 * np.exp(0.1 * u["nucleoli"]) * (radius / 6.5) ** 0.5,
    }


def _body(u: Axes, state: NDArray[np.int8], chances: NDArray[np.float64]) -> Axes:
    is_round = state != INTERPHASE
    radius = 21.5 * np.exp(0.13 * u["cell_spread"])
    ratio = 1.12 + 0.5 * chances[:, 7] * np.exp(0.1 * u["cell_elongation"]) + 0.25 * _softplus(u["cell_elongation"])
    return {
        "cell_radius": np.select([state == MITOTIC, state == APOPTOTIC], [0.62 * radius, 0.5 * radius], radius),
        "cell_ratio": np.where(is_round, 1.05, ratio),
        "protrusion": np.where(is_round, 0.02, 0.13 * np.exp(0.25 * u["cell_elongation"] - 0.15 * u["cell_spread"])),
    }


def _softplus(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.logaddexp(0.0, values)


def _contents(u: Axes, state: NDArray[np.int8]) -> Axes:
    """Return amounts per area; a cell that spreads is thinner and so dimmer, one that rounds up is brighter."""
    thickness = np.exp(-0.13 * u["cell_spread"]) * np.select([state == MITOTIC, state == APOPTOTIC], [1.7, 2.2], 1.0)
    return {
        "er_amount": thickness * np.exp(0.24 * u["er_amount"]),
        "er_range": 9.0 * np.exp(-0.22 * u["er_perinuclear"] + 0.1 * u["cell_spread"]),
        "rna_amount": thickness * np.exp(0.24 * u["cytoplasmic_rna"]),
        "fibre_amount": np.exp(0.38 * u["stress_fibres"]) * (state == INTERPHASE),
        "cortex_amount": thickness**0.5 * np.exp(0.12 * u["stress_fibres"] - 0.08 * u["golgi_dispersal"]),
        "golgi_amount": np.exp(-0.12 * u["golgi_dispersal"]) * (state == INTERPHASE),
        "golgi_spread": 2.6 * np.exp(0.3 * u["golgi_dispersal"]),
        "vacuoles": np.clip(_softplus(0.5 * (u["golgi_dispersal"] + u["er_amount"]) - 1.6), 0.0, 1.0),
        "mito_amount": thickness * np.exp(0.27 * u["mito_amount"]),
        "mito_fragments": _sigmoid(-1.6 + 0.95 * u["mito_fragmentation"]),
        "mito_range": 11.0 * np.exp(-0.12 * u["mito_fragmentation"] + 0.1 * u["cell_spread"]),
    }
