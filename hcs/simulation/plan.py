"""Lays a screen out from its seed: what every compound does, and what is in every well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain, cycle, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.design import PLATE_SHAPES, ScreenDesign
from hcs.simulation.library import MECHANISMS, N_AXES, Mechanism, mechanisms_named
from hcs.simulation.streams import Purpose, stream

NEGCON: Final = "DMSO"
FIRST_DAY: Final = date(2024, 1, 8)
"""Batches are named by their day; one a week is imaged."""
MECHANISM_JITTER: Final = 0.15
"""Length of what a seed adds to each mechanism's direction of length one."""
DETECTABLE_EFFECT: Final = 0.25
"""A treatment counts as active from this length of shift on (in standard deviations between cells) ..."""
DETECTABLE_VIABILITY: Final = 0.92
"""... or when it leaves at most this share of the cells."""


@dataclass(frozen=True, kw_only=True)
class Compound:
    """One perturbation. `push` and `viability` are what it does at the top dose."""

    perturbation: str
    name: str
    inchikey: str
    control_type: str
    mechanism: str | None
    """True mechanism; none for inactive compounds and the negative control."""
    annotation: str | None
    """What the annotation file says; see `_annotated`."""
    push: tuple[float, ...] = (0.0,) * N_AXES
    viability: float = 1.0
    half_concentration_micromolar: float = 1.0
    hill: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """One compound at one dose. `push` and `viability` are what it does at that dose."""

    compound: Compound
    concentration_micromolar: float | None
    push: tuple[float, ...]
    viability: float

    @property
    def effect_size(self) -> float:
        """Length of the shift of the mean phenotype, in standard deviations between untreated cells."""
        return float(np.linalg.norm(self.push))

    @property
    def is_active(self) -> bool:
        """Whether the effect is large enough to count: on the phenotype, or on the number of cells."""
        return self.effect_size >= DETECTABLE_EFFECT or self.viability <= DETECTABLE_VIABILITY

    @property
    def is_null(self) -> bool:
        """Whether wells of this treatment have exactly the distribution of the negative control."""
        return not any(self.push) and self.viability == 1.0


@dataclass(frozen=True, kw_only=True)
class WellPlan:
    """What is dispensed into one well. `position` counts wells row by row, from 0."""

    well: str
    row: int
    column: int
    position: int
    treatment: Treatment


@dataclass(frozen=True, kw_only=True)
class PlatePlan:
    """One plate; `wells` are in the order of their position, without the empty ones."""

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
    compounds = _compounds(design, seed)
    doses = design.concentrations_micromolar()
    slots = tuple(
        treatment
        for compound, copies in compounds
        for concentration in _concentrations(compound, doses)
        for treatment in [_at_dose(compound, concentration, top=doses[-1])] * copies
    )
    plates = tuple(
        _plate(design, seed, slots, batch, plate) for batch in range(design.n_batches) for plate in range(design.n_plates)
    )
    return ScreenPlan(design=design, seed=seed, treatments=tuple(sorted(set(slots), key=_order)), plates=plates)


def _order(treatment: Treatment) -> tuple[str, float]:
    return treatment.compound.perturbation, treatment.concentration_micromolar or 0.0


def _concentrations(compound: Compound, doses: tuple[float, ...]) -> tuple[float | None, ...]:
    if compound.control_type == "treatment":
        return doses
    return (None,) if compound.control_type == "negcon" else doses[-1:]


def _at_dose(compound: Compound, concentration: float | None, *, top: float) -> Treatment:
    """Return the treatment; the response follows Hill's equation, scaled to be complete at the top dose."""
    response = 0.0 if concentration is None else _hill(compound, concentration) / _hill(compound, top)
    return Treatment(
        compound=compound,
        concentration_micromolar=concentration,
        push=tuple(response * value for value in compound.push),
        viability=1.0 - response * (1.0 - compound.viability),
    )


def _hill(compound: Compound, concentration: float) -> float:
    return 1.0 / (1.0 + (compound.half_concentration_micromolar / concentration) ** compound.hill)


def _compounds(design: ScreenDesign, seed: int) -> list[tuple[Compound, int]]:
    """Return every compound with the number of wells that each of its doses takes on a plate.

    Identifiers are drawn at random and carry no information; neither does the order of the files they appear in,
    which is theirs.
    """
    rng = stream(seed, Purpose.COMPOUNDS)
    mechanisms = mechanisms_named(design.mechanisms)
    directions = {mechanism.name: _jittered(mechanism, rng) for mechanism in mechanisms}
    actives = [mechanism for mechanism in mechanisms for _ in range(design.compounds_per_mechanism)]
    identities = iter(_identities(design.n_compounds + design.n_poscon_perturbations, rng))
    annotations = iter(_annotations(design, rng))
    compounds = [
        (_active(design, mechanism, rank, directions, next(identities), next(annotations), rng), 1)
        for mechanism, rank in zip(actives, cycle(range(design.compounds_per_mechanism)), strict=False)
    ]
    compounds += [(_inactive(next(identities), next(annotations)), 1) for _ in range(design.n_inactive)]
    compounds += [
        (_positive_control(design, mechanism, directions, next(identities), rng), copies)
        for mechanism, copies in _positive_control_wells(design, mechanisms)
    ]
    negcon = Compound(
        perturbation=NEGCON, name=NEGCON, inchikey="", control_type="negcon", mechanism=None, annotation=None
    )
    return [*compounds, (negcon, design.n_negcon)]


def _jittered(mechanism: Mechanism, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return this screen's direction of a mechanism: the library's, turned a little."""
    turned = mechanism.direction() + MECHANISM_JITTER * _unit_vector(rng)
    return mechanism.direction() if mechanism.is_count_only else turned / np.linalg.norm(turned)


def _unit_vector(rng: np.random.Generator) -> NDArray[np.float64]:
    vector = rng.standard_normal(N_AXES)
    return vector / np.linalg.norm(vector)


def _identities(n: int, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Return (perturbation, name, InChIKey) of n compounds; the keys have the form of InChIKeys and mean nothing."""
    numbers = rng.choice(900_000, size=n, replace=False) + 100_000
    letters = rng.integers(0, 26, size=(n, 14)) + ord("A")
    return [
        (f"SIM-{number}", f"compound-{number}", f"{bytes(row.astype(np.uint8)).decode()}-UHFFFAOYSA-N")
        for number, row in zip(numbers, letters, strict=True)
    ]


def _annotations(design: ScreenDesign, rng: np.random.Generator) -> list[str | None]:
    """Return what is annotated for every compound, actives first.

    The annotation file must not tell actives from inactive compounds, so both have the same share of annotated ones,
    and inactive compounds are annotated with the same mechanisms in the same proportions: compounds that hit their
    target elsewhere and do nothing to these cells.
    """
    mechanisms = design.mechanisms
    per_mechanism = [
        _annotated([name] * design.compounds_per_mechanism, share=design.annotated_share, rng=rng) for name in mechanisms
    ]
    inactive = list(islice(cycle(mechanisms), design.n_inactive))
    return list(chain(*per_mechanism, _annotated(inactive, share=design.annotated_share, rng=rng)))


def _annotated(names: list[str], *, share: float, rng: np.random.Generator) -> list[str | None]:
    kept = set(rng.permutation(len(names))[: round(share * len(names))].tolist())
    return [name if index in kept else None for index, name in enumerate(names)]


def _active(
    design: ScreenDesign,
    mechanism: Mechanism,
    rank: int,
    directions: dict[str, NDArray[np.float64]],
    identity: tuple[str, str, str],
    annotation: str | None,
    rng: np.random.Generator,
) -> Compound:
    strength = design.strengths[rank % len(design.strengths)] * rng.uniform(0.9, 1.1)
    push = strength * (directions[mechanism.name] + design.compound_offset * _unit_vector(rng))
    is_toxic, toxic_viability = rng.random() < design.toxic_share, rng.uniform(0.5, 0.85)
    if mechanism.is_count_only:
        push, viability = np.zeros(N_AXES), design.viabilities[rank % len(design.viabilities)]
    else:
        viability = float(toxic_viability) if is_toxic else 1.0
    return _compound(
        identity,
        control_type="treatment",
        mechanism=mechanism.name,
        annotation=annotation,
        push=tuple(push.tolist()),
        viability=viability,
        half_concentration_micromolar=design.top_concentration_micromolar * 10 ** rng.uniform(-2.0, 0.0),
        hill=rng.uniform(0.8, 3.0),
    )


def _inactive(identity: tuple[str, str, str], annotation: str | None) -> Compound:
    return _compound(identity, control_type="treatment", mechanism=None, annotation=annotation)


def _positive_control(
    design: ScreenDesign,
    mechanism: Mechanism,
    directions: dict[str, NDArray[np.float64]],
    identity: tuple[str, str, str],
    rng: np.random.Generator,
) -> Compound:
    push = design.poscon_strength * (directions[mechanism.name] + design.compound_offset * _unit_vector(rng))
    return _compound(
        identity,
        control_type="poscon",
        mechanism=mechanism.name,
        annotation=mechanism.name,
        push=tuple(push.tolist()),
    )


def _compound(
    identity: tuple[str, str, str],
    *,
    control_type: str,
    mechanism: str | None,
    annotation: str | None,
    push: tuple[float, ...] = (0.0,) * N_AXES,
    viability: float = 1.0,
    half_concentration_micromolar: float = 1.0,
    hill: float = 1.0,
) -> Compound:
    perturbation, name, inchikey = identity
    return Compound(
        perturbation=perturbation,
        name=name,
        inchikey=inchikey,
        control_type=control_type,
        mechanism=mechanism,
        annotation=annotation,
        push=push,
        viability=viability,
        half_concentration_micromolar=half_concentration_micromolar,
        hill=hill,
    )


def _positive_control_wells(design: ScreenDesign, mechanisms: tuple[Mechanism, ...]) -> list[tuple[Mechanism, int]]:
    """Return the mechanisms of the positive controls, the screen's first ones, with their wells a plate."""
    with_phenotype = [mechanism for mechanism in mechanisms if not mechanism.is_count_only] or list(MECHANISMS.values())
    chosen = list(islice(cycle(with_phenotype), design.n_poscon_perturbations)) if design.n_poscon else []
    return [
        (mechanism, len(range(index, design.n_poscon, design.n_poscon_perturbations)))
        for index, mechanism in enumerate(chosen)
    ]


def _plate(design: ScreenDesign, seed: int, slots: tuple[Treatment, ...], batch: int, plate: int) -> PlatePlan:
    """Return one plate, its treatments dealt to random wells: anew for every plate, or once for the screen."""
    place = (batch, plate) if design.well_layout == "shuffled" else ()
    positions = stream(seed, Purpose.LAYOUT, *place).permutation(design.n_wells)[: len(slots)]
    number = batch * design.n_plates + plate + 1
    return PlatePlan(
        barcode=f"SIM{seed:05d}{number:03d}",
        platemap=f"SIM-{seed:05d}-MAP-{number if place else 1:03d}",
        batch=f"{FIRST_DAY + timedelta(weeks=batch):%Y_%m_%d}_Batch{batch + 1}",
        batch_index=batch,
        plate_index=plate,
        wells=tuple(
            _well(design, int(position), treatment)
            for position, treatment in sorted(zip(positions.tolist(), slots, strict=True), key=lambda item: item[0])
        ),
    )


def _well(design: ScreenDesign, position: int, treatment: Treatment) -> WellPlan:
    row, column = divmod(position, PLATE_SHAPES[design.n_wells][1])
    return WellPlan(
        well=f"{_row_name(row)}{column + 1:02d}", row=row, column=column, position=position, treatment=treatment
    )


def _row_name(row: int) -> str:
    return chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)
