"""Lays a screen out from its seed: what is in every well of every plate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from hcs.simulation.compounds import Compound, Treatment, at_dose, draw_compounds
from hcs.simulation.design import ScreenDesign
from hcs.simulation.plates import place_of
from hcs.simulation.streams import Purpose, stream

FIRST_DAY: Final = date(2024, 1, 8)
"""Batches are named by the day of their imaging; there is one a week."""


@dataclass(frozen=True, kw_only=True)
class WellPlan:
    """What is dispensed into one well. `position` counts wells row by row; it, `row` and `column` start at 0."""

    well: str
    row: int
    column: int
    position: int
    treatment: Treatment


@dataclass(frozen=True, kw_only=True)
class PlatePlan:
    """One plate; `wells` are in the order of their position, without the empty ones. Indices start at 0."""

    barcode: str
    platemap: str
    batch: str
    batch_index: int
    plate_index: int
    """Within the batch."""
    wells: tuple[WellPlan, ...]


@dataclass(frozen=True, kw_only=True)
class ScreenPlan:
    """A screen laid out: `treatments` are sorted by perturbation and concentration, controls among them."""

    design: ScreenDesign
    seed: int
    treatments: tuple[Treatment, ...]
    plates: tuple[PlatePlan, ...]


@lru_cache(maxsize=4)
def lay_out_screen(design: ScreenDesign, seed: int) -> ScreenPlan:
    """Return what is in every well of the screen; the same for the same design and seed, in every process."""
    doses = design.concentrations_micromolar()
    wells_of = [
        (at_dose(compound, concentration, top=doses[-1]), copies)
        for compound, copies in draw_compounds(design, seed)
        for concentration in _concentrations(compound, doses)
    ]
    slots = [treatment for treatment, copies in wells_of for _ in range(copies)]
    plates = tuple(
        _plate(design, seed, slots, batch, plate)
        for batch in range(design.n_batches)
        for plate in range(design.n_plates)
    )
    treatments = sorted((treatment for treatment, copies in wells_of if copies), key=_order)
    return ScreenPlan(design=design, seed=seed, treatments=tuple(treatments), plates=plates)


def _order(treatment: Treatment) -> tuple[str, float]:
    return treatment.compound.perturbation, treatment.concentration_micromolar or 0.0


def _concentrations(compound: Compound, doses: tuple[float, ...]) -> tuple[float | None, ...]:
    """Return the doses of a compound; positive controls have the top one alone, the negative control none."""
    by_type = {"treatment": doses, "poscon": doses[-1:], "negcon": (None,)}
    return by_type[compound.control_type]


def _plate(design: ScreenDesign, seed: int, slots: list[Treatment], batch: int, plate: int) -> PlatePlan:
    """Return one plate, its treatments dealt to random wells: anew for every plate, or once for the screen."""
    place = (batch, plate) if design.well_layout == "shuffled" else ()
    positions = stream(seed, Purpose.LAYOUT, *place).permutation(design.n_wells)[: len(slots)].tolist()
    number = batch * design.n_plates + plate + 1
    return PlatePlan(
        barcode=f"SIM{seed:05d}{number:03d}",
        platemap=f"SIM-{seed:05d}-MAP-{number if place else 1:03d}",
        batch=f"{FIRST_DAY + timedelta(weeks=batch):%Y_%m_%d}_Batch{batch + 1}",
        batch_index=batch,
        plate_index=plate,
        wells=tuple(
            _well(design, position, treatment)
            for position, treatment in sorted(zip(positions, slots, strict=True), key=lambda item: item[0])
        ),
    )


def _well(design: ScreenDesign, position: int, treatment: Treatment) -> WellPlan:
    name, row, column = place_of(position, n_wells=design.n_wells)
    return WellPlan(well=name, row=row, column=column, position=position, treatment=treatment)
