"""The compounds of a screen: who they are, what is annotated, and what they do at each dose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.simulation.design import ScreenDesign
from hcs.simulation.library import MECHANISMS, N_AXES, Mechanism, mechanisms_named
from hcs.simulation.streams import Purpose, stream

NEGCON: Final = "DMSO"
MECHANISM_JITTER: Final = 0.15
"""Length of what a seed adds to each mechanism's direction of length one."""
DETECTABLE_EFFECT: Final = 0.25
"""A treatment counts as active from this length of shift on (in standard deviations between cells) ..."""
DETECTABLE_VIABILITY: Final = 0.92
"""... or when it leaves at most this share of the cells."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Action:
    """What a compound does at the top dose, and how its response depends on the dose."""

    push: tuple[float, ...] = (0.0,) * N_AXES
    """Shift of the mean phenotype along `library.AXES`."""
    viability: float = 1.0
    """Share of the cells that are left."""
    half_concentration_micromolar: float = 1.0
    hill: float = 1.0

    def response(self, concentration_micromolar: float) -> float:
        """Return the share of the full response at a concentration: Hill's equation."""
        return 1.0 / (1.0 + math.pow(self.half_concentration_micromolar / concentration_micromolar, self.hill))


@dataclass(frozen=True, kw_only=True)
class Compound:
    """One perturbation. `mechanism` is the true one, none for what does nothing; `annotation` is what a file says."""

    perturbation: str
    name: str
    inchikey: str
    control_type: str
    mechanism: str | None
    annotation: str | None
    action: Action = Action()


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


def at_dose(compound: Compound, concentration: float | None, *, top: float) -> Treatment:
    """Return a compound at a concentration, both in micromolar; its response is complete at the top dose."""
    action = compound.action
    share = 0.0 if concentration is None else action.response(concentration) / action.response(top)
    return Treatment(
        compound=compound,
        concentration_micromolar=concentration,
        push=tuple(share * value for value in action.push),
        viability=1.0 - share * (1.0 - action.viability),
    )


def draw_compounds(design: ScreenDesign, seed: int) -> list[tuple[Compound, int]]:
    """Return every compound with the number of wells that each of its doses takes on a plate.

    Identifiers are drawn at random and say nothing about a compound.
    """
    rng = stream(seed, Purpose.COMPOUNDS)
    mechanisms = mechanisms_named(design.mechanisms)
    directions = {mechanism.name: _jittered(mechanism, rng) for mechanism in mechanisms + tuple(MECHANISMS.values())}
    identities = _identities(design.n_compounds + design.n_poscon_perturbations, rng)
    annotations = iter(_annotations(design, rng))
    compounds = []
    for mechanism in mechanisms:
        for rank in range(design.compounds_per_mechanism):
            action = _action(design, directions[mechanism.name], rank, rng)
            compounds.append((_compound(next(identities), mechanism.name, next(annotations), action), 1))
    compounds += [(_compound(next(identities), None, next(annotations), Action()), 1) for _ in range(design.n_inactive)]
    for mechanism, copies in _positive_controls(design, mechanisms):
        push = _with_offset(design.poscon_strength, directions[mechanism.name], design.compound_offset, rng)
        action = Action(push=tuple(push.tolist()))
        compounds.append((_compound(next(identities), mechanism.name, mechanism.name, action, "poscon"), copies))
    return [*compounds, (_compound((NEGCON, NEGCON, ""), None, None, Action(), "negcon"), design.n_negcon)]


def _compound(
    identity: tuple[str, str, str],
    mechanism: str | None,
    annotation: str | None,
    action: Action,
    control_type: str = "treatment",
) -> Compound:
    perturbation, name, inchikey = identity
    return Compound(
        perturbation=perturbation,
        name=name,
        inchikey=inchikey,
        control_type=control_type,
        mechanism=mechanism,
        annotation=annotation,
        action=action,
    )


def _jittered(mechanism: Mechanism, rng: np.random.Generator) -> Vector:
    """Return this screen's direction of a mechanism: the library's, turned a little."""
    direction = mechanism.direction()
    turned = direction + MECHANISM_JITTER * _unit_vector(rng)
    return direction if mechanism.is_count_only else turned / np.linalg.norm(turned)


def _unit_vector(rng: np.random.Generator) -> Vector:
    vector = rng.standard_normal(N_AXES)
    return vector / np.linalg.norm(vector)


def _with_offset(strength: float, direction: Vector, offset: float, rng: np.random.Generator) -> Vector:
    """Return what a compound does: its mechanism, and beside it something of its own."""
    return strength * (direction + offset * _unit_vector(rng))


def _action(design: ScreenDesign, direction: Vector, rank: int, rng: np.random.Generator) -> Action:
    """Return what the compound with this rank among those of its mechanism does.

    A mechanism without a direction only kills. Of the others a share kills too, as the dose of an active compound
    often does.
    """
    strength = design.strengths[rank % len(design.strengths)] * rng.uniform(0.9, 1.1)
    push = _with_offset(strength, direction, design.compound_offset, rng)
    is_toxic, toxic_viability = rng.random() < design.toxic_share, float(rng.uniform(0.5, 0.85))
    half_concentration = design.top_concentration_micromolar * 10 ** rng.uniform(-2.0, 0.0)
    hill = float(rng.uniform(0.8, 3.0))
    if not direction.any():
        push, viability = np.zeros(N_AXES), design.viabilities[rank % len(design.viabilities)]
    else:
        viability = toxic_viability if is_toxic else 1.0
    return Action(
        push=tuple(push.tolist()), viability=viability, half_concentration_micromolar=half_concentration, hill=hill
    )


def _identities(n: int, rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """Yield (perturbation, name, InChIKey) of n compounds; the keys have the form of InChIKeys and mean nothing."""
    numbers = rng.choice(900_000, size=n, replace=False) + 100_000
    letters = (rng.integers(0, 26, size=(n, 14)) + ord("A")).astype(np.uint8)
    for number, row in zip(numbers.tolist(), letters, strict=True):
        yield f"SIM-{number}", f"compound-{number}", f"{row.tobytes().decode()}-UHFFFAOYSA-N"


def _annotations(design: ScreenDesign, rng: np.random.Generator) -> list[str | None]:
    """Return what is annotated for every compound, actives first.

    The annotation file must not tell active from inactive compounds. So both have the same share of annotated ones,
    and inactive compounds are annotated with the same mechanisms, equally often each: they hit their target elsewhere
    and do nothing to these cells.
    """
    active = [
        annotation
        for name in design.mechanisms
        for annotation in _annotated([name] * design.compounds_per_mechanism, design.annotated_share, rng)
    ]
    inactive = list(islice(cycle(design.mechanisms), design.n_inactive)) if design.mechanisms else []
    return [*active, *_annotated(inactive, design.annotated_share, rng), *[None] * (design.n_inactive - len(inactive))]


def _annotated(names: list[str], share: float, rng: np.random.Generator) -> list[str | None]:
    kept = set(rng.permutation(len(names))[: round(share * len(names))].tolist())
    return [name if index in kept else None for index, name in enumerate(names)]


def _positive_controls(design: ScreenDesign, mechanisms: tuple[Mechanism, ...]) -> list[tuple[Mechanism, int]]:
    """Return the mechanisms of the positive controls, with their wells a plate.

    They are the screen's first ones that change more than the count; the library's in a screen that has none.
    """
    if not design.n_poscon:
        return []
    visible = [mechanism for mechanism in mechanisms if not mechanism.is_count_only] or [
        mechanism for mechanism in MECHANISMS.values() if not mechanism.is_count_only
    ]
    n = design.n_poscon_perturbations
    return [
        (mechanism, len(range(index, design.n_poscon, n))) for index, mechanism in enumerate(islice(cycle(visible), n))
    ]
