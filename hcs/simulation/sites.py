"""Renders one site of a screen, alone, with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hcs.errors import NotFoundError
from hcs.simulation.cells import Cells, grow_cells, seed_cells
from hcs.simulation.conditions import Conditions, site_conditions
from hcs.simulation.debris import scatter_debris
from hcs.simulation.morphology import express
from hcs.simulation.optics import photograph
from hcs.simulation.plan import PlatePlan, ScreenPlan, WellPlan
from hcs.simulation.render import draw_cells
from hcs.simulation.streams import Purpose, stream

_MARGIN: Final = 7
"""Least number of pixels around a site whose light scatters into it."""


@dataclass(frozen=True)
class SimulatedSite:
    """One site: `pixels` are (5, Y, X) uint16, channels as in `library.CHANNELS`; the rest is its truth.

    `cells` are those with their centre in the field.
    """

    pixels: NDArray[np.uint16]
    conditions: Conditions
    cells: Cells


def find_well(plan: ScreenPlan, *, plate: str, well: str) -> tuple[PlatePlan, WellPlan]:
    """Return a well of a screen by its names.

    Raises:
        NotFoundError: If the screen has no such plate or the plate no such well.
    """
    for candidate in plan.plates:
        if candidate.barcode == plate:
            for place in candidate.wells:
                if place.well == well:
                    return candidate, place
            raise NotFoundError(f"a well of plate {plate} was expected, but {well} is empty or not one of its wells")
    barcodes = ", ".join(candidate.barcode for candidate in plan.plates)
    raise NotFoundError(f"a plate of the simulated screen was expected ({barcodes}), got {plate}")


def render_site(plan: ScreenPlan, plate: PlatePlan, well: WellPlan, site: int) -> SimulatedSite:
    """Return one site (1-based) of a well, from its own random streams alone: the order does not matter."""
    site_px = plan.design.site_px
    place = (plate.batch_index, plate.plate_index, well.position, site)
    conditions = site_conditions(plan, plate, well, site)
    centres = seed_cells(
        stream(plan.seed, Purpose.SEEDING, *place), expected=conditions.expected_cells, site_px=site_px
    )
    cells = grow_cells(
        stream(plan.seed, Purpose.PHENOTYPE, *place),
        centres,
        response=conditions.response,
        surroundings=conditions.surroundings,
    )
    side = fft.next_fast_len(site_px + 2 * _MARGIN, real=True)
    margin = (side - site_px) // 2
    light = draw_cells(
        cells.centres + np.float32(margin), express(cells.phenotypes, cells.chances), cells.chances, side=side
    )
    if conditions.n_debris:
        light += scatter_debris(
            stream(plan.seed, Purpose.ARTEFACTS, *place, 1), n_pieces=conditions.n_debris, side=side
        )
    pixels = photograph(light, conditions.optics, stream(plan.seed, Purpose.CAMERA, *place), site_px=site_px)
    return SimulatedSite(pixels=pixels, conditions=conditions, cells=cells.within(site_px))
