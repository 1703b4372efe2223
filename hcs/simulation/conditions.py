"""What a site meets beside its treatment: scanner, batch, plate, position, well, and bad luck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.design import PLATE_SHAPES, TechnicalEffects
from hcs.simulation.library import CHANNELS, N_AXES
from hcs.simulation.optics import Optics
from hcs.simulation.plan import PlatePlan, ScreenPlan, WellPlan
from hcs.simulation.streams import Purpose, stream

N_SCANNERS: Final = 2
"""Batches alternate between them."""
_N_CHANNELS: Final = len(CHANNELS)
_DYE_BLEACHING: Final = np.array([0.4, 0.8, 0.7, 0.6, 1.0])
"""By channel, relative to the dye that bleaches most."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Conditions:
    """Everything that determines one site, beside its random streams.

    `response` and `surroundings` are shifts of the phenotype, (16,): by the treatment, and by everything else;
    `expected_cells` is the mean of the count of cells with their centre in the field.
    """

    response: Vector
    surroundings: Vector
    expected_cells: float
    optics: Optics
    is_out_of_focus: bool
    n_debris: int
    edge_factor: float
    count_factor: float


def site_conditions(plan: ScreenPlan, plate: PlatePlan, well: WellPlan, site: int) -> Conditions:
    """Return the conditions of one site (1-based) of a screen; they depend on no other site."""
    design, effects = plan.design, plan.design.effects
    unlucky = stream(plan.seed, Purpose.ARTEFACTS, plate.batch_index, plate.plate_index, well.position, site)
    in_well = stream(plan.seed, Purpose.WELL, plate.batch_index, plate.plate_index, well.position)
    is_out_of_focus = bool(unlucky.random() < effects.out_of_focus_share)
    defocus = float(unlucky.uniform(3.0, 6.0)) if is_out_of_focus else 0.0
    n_debris = int(unlucky.integers(1, 4)) if unlucky.random() < effects.debris_share else 0
    well_phenotype = effects.well_phenotype_sd * in_well.standard_normal(N_AXES)
    count_factor = float(np.exp(effects.well_count_sd * in_well.standard_normal() - 0.5 * effects.well_count_sd**2))
    well_stain = effects.well_stain_sd * in_well.standard_normal(_N_CHANNELS)
    background = 40.0 + 50.0 * in_well.random(_N_CHANNELS)
    gradient, edge_factor = _position(plan, plate, well)
    density = design.cells_per_site * (design.site_px / 256) ** 2
    return Conditions(
        response=np.asarray(well.treatment.push),
        surroundings=well_phenotype + _plate_phenotype(plan, plate) + _position_phenotype(plan, well),
        expected_cells=density * well.treatment.viability * count_factor * edge_factor * gradient,
        optics=_optics(plan, plate, well, stain=well_stain + np.log(gradient), background=background, defocus=defocus),
        is_out_of_focus=is_out_of_focus,
        n_debris=n_debris,
        edge_factor=edge_factor,
        count_factor=count_factor,
    )


def _position(plan: ScreenPlan, plate: PlatePlan, well: WellPlan) -> tuple[float, float]:
    """Return what the place on the plate does: a gradient of stain and count, and the loss of cells at the edge."""
    effects, (rows, columns) = plan.design.effects, PLATE_SHAPES[plan.design.n_wells]
    rng = stream(plan.seed, Purpose.PLATE, plate.batch_index, plate.plate_index, 1)
    way, slope = rng.uniform(0, 2 * np.pi), effects.gradient * rng.random()
    y, x = (2 * well.row + 1) / rows - 1, (2 * well.column + 1) / columns - 1
    is_edge = well.row in {0, rows - 1} or well.column in {0, columns - 1}
    loss = effects.edge_loss * rng.uniform(0.5, 1.0) if is_edge else 0.0
    return float(1 + 0.5 * slope * (np.sin(way) * y + np.cos(way) * x)), float(1 - loss)


def _plate_phenotype(plan: ScreenPlan, plate: PlatePlan) -> Vector:
    """Return what batch and plate do to all cells."""
    effects = plan.design.effects
    batch = stream(plan.seed, Purpose.BATCH, plate.batch_index).standard_normal(N_AXES)
    own = stream(plan.seed, Purpose.PLATE, plate.batch_index, plate.plate_index).standard_normal(N_AXES)
    return effects.batch_phenotype_sd * batch + effects.plate_phenotype_sd * own


def _position_phenotype(plan: ScreenPlan, well: WellPlan) -> Vector:
    """Return what this position of every plate of the screen does to its cells."""
    return plan.design.effects.position_phenotype_sd * stream(
        plan.seed, Purpose.POSITION, well.position
    ).standard_normal(N_AXES)


def plate_stain(plan: ScreenPlan, plate: PlatePlan) -> Vector:
    """Return the logarithm of the stain gain of a plate by channel, (5,): its batch's and its own."""
    effects = plan.design.effects
    batch = stream(plan.seed, Purpose.BATCH, plate.batch_index, 1).standard_normal(_N_CHANNELS)
    own = stream(plan.seed, Purpose.PLATE, plate.batch_index, plate.plate_index, 2).standard_normal(_N_CHANNELS)
    return effects.batch_stain_sd * batch + effects.plate_stain_sd * own


def _bleaching(effects: TechnicalEffects, well: WellPlan, n_wells: int) -> Vector:
    """Return the logarithm of what is left of the dyes when a well's turn comes; wells are imaged in order."""
    return np.log1p(-effects.bleaching * _DYE_BLEACHING * well.position / n_wells)


def _optics(
    plan: ScreenPlan, plate: PlatePlan, well: WellPlan, *, stain: Vector, background: Vector, defocus: float
) -> Optics:
    effects = plan.design.effects
    scanner = stream(plan.seed, Purpose.SCANNER, plate.batch_index % N_SCANNERS)
    focus = stream(plan.seed, Purpose.PLATE, plate.batch_index, plate.plate_index, 3)
    shape = effects.vignetting * scanner.uniform([0.4, 0.1, -0.5, -0.5], [1.0, 0.4, 0.5, 0.5], size=(_N_CHANNELS, 4))
    return Optics(
        psf_sigma=scanner.uniform(0.75, 0.95, _N_CHANNELS) * focus.uniform(1.0, 1.08),
        shift=scanner.uniform(-0.6, 0.6, (_N_CHANNELS, 2)) * np.array([[0.0], [1.0], [1.0], [1.0], [1.0]]),
        defocus_sigma=defocus,
        crosstalk=effects.crosstalk,
        vignetting=shape,
        gain=np.exp(stain + plate_stain(plan, plate) + _bleaching(effects, well, plan.design.n_wells)),
        background=background,
        dark=scanner.uniform(100.0, 300.0, _N_CHANNELS),
        read_noise=float(scanner.uniform(2.0, 5.0)),
    )
