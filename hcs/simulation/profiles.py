"""Whole screens as profile matrices, without images: what stops 5 and 6 see, with everything known that made it.

A well is

    x = a_source + m + p + s_b (u + n) + e

for the feature means m, with n a well's noise (correlated over features, with heavy tails if asked), u what its
treatment does, s_b how a batch scales and mixes features, p the shifts of its batch, plate and place on the plate, and
e what wells of one batch vary along beside what wells of all batches do. Every strength is in standard deviations of
the noise of a feature, and 0 turns its effect off. A constant of a plate (shift, scale) is what normalization on
controls removes; what is left after it, mixing and variation of a batch's own, is what batch correction is for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import UsageError
from hcs.simulation.compounds import NEGCON
from hcs.simulation.design import PLATE_SHAPES
from hcs.simulation.plates import place_of
from hcs.simulation.streams import Purpose, stream

N_FACTORS: Final = 48
"""Directions that wells of one treatment vary along together; the rest of a feature's noise is its own."""
SHARED_SHARE: Final = 0.7
"""Of a feature's variance of noise, what it shares with others."""
_N_CONTROLS: Final = 3
"""The negative control, and two positive ones."""
BATCH_FACTORS: Final = 4
"""Directions of a batch's own variation, of its mixing, and of its shift."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Nuisances:
    """How strong everything is that is not biology, in standard deviations of a feature's noise."""

    source_shift: float = 0.0
    """Of a laboratory: its shift, and of the logarithm of its scale a quarter of this."""
    batch_shift: float = 0.0
    batch_log_scale: float = 0.0
    """Of the natural logarithm of a feature's scale in a batch."""
    batch_mixing: float = 0.0
    """How far a batch turns features into one another: the operator norm of what is added to the identity."""
    batch_variation: float = 0.0
    """Of wells along directions of the batch's own, as a stain whose intensity differs between wells."""
    plate_shift: float = 0.0
    gradient: float = 0.0
    """Of wells from edge to edge of the plate, along rows and along columns, the same on all plates."""
    position_shift: float = 0.0
    """Of each position by itself, the same on all plates."""
    tails: float | None = None
    """Degrees of freedom of Student's t of a well's noise; None for a normal distribution."""


@dataclass(frozen=True, kw_only=True)
class ProfileDesign:
    """Everything but the seed that determines a simulated table of profiles.

    Each plate holds the compounds of its batch once, beside the controls; wells that are left over stay empty and have
    no row. A batch holds all compounds, or only its own share where batch and compound are `confounded`.
    """

    n_sources: int = 1
    n_batches: int = 1
    """Of a source."""
    n_plates: int = 4
    """Of a batch."""
    n_wells: int = 384
    n_features: int = 400
    n_compounds: int = 320
    n_mechanisms: int = 20
    active_share: float = 0.3
    """Of the compounds; each has a mechanism."""
    effect: float = 0.6
    """Root mean square over features of what an active compound does."""
    own_share: float = 0.3
    """Of the variance of an active compound's effect, what is not its mechanism's."""
    n_negcon: int = 32
    n_poscon: int = 8
    poscon_effect: float = 1.5
    toxic_share: float = 0.2
    """Of the active compounds, those that leave fewer cells."""
    cells_per_well: float = 400.0
    is_confounded: bool = False
    well_layout: Literal["shuffled", "fixed"] = "shuffled"
    nuisances: Nuisances = Nuisances()

    def __post_init__(self) -> None:
        _check(self)

    @property
    def n_all_batches(self) -> int:
        """Batches of all sources."""
        return self.n_sources * self.n_batches

    @property
    def n_all_plates(self) -> int:
        """Plates of the whole screen."""
        return self.n_all_batches * self.n_plates


@dataclass(frozen=True)
class ProfileScreen:
    """A simulated table of profiles and what is true of it."""

    wells: pl.DataFrame
    """(W rows) `source, batch, plate, well, row, column, perturbation, control_type, mechanism, cell_count`."""
    profiles: Matrix
    """(W, D), rows in the order of `wells`."""
    truth: pl.DataFrame
    """A row a compound: `perturbation, mechanism, is_active, effect, viability`, effect the root mean square over
    features."""


@dataclass(frozen=True)
class _Compounds:
    """What is dispensed: row 0 is the negative control, the next ones are positive controls, then the compounds."""

    names: list[str]
    kinds: list[str]
    mechanisms: list[str | None]
    shifts: Matrix
    """(1 + P + C, D)."""
    viability: NDArray[np.float64]


@dataclass(frozen=True)
class _Screen:
    """What all plates of a screen share."""

    design: ProfileDesign
    seed: int
    compounds: _Compounds
    loadings: Matrix
    """(K, D), directions that wells vary along."""
    places: Matrix
    """(positions, D), what a place on the plate adds."""
    means: Matrix
    """(D,), of the features."""


@dataclass(frozen=True)
class _Batch:
    """How one batch sees features."""

    shift: Matrix
    """(D,)."""
    scale: Matrix
    """(D,)."""
    mixing: tuple[Matrix, Matrix]
    """(K, D) twice: x + (x A') B is what becomes of x."""
    variation: Matrix
    """(K, D)."""


def simulate_profiles(design: ProfileDesign, *, seed: int) -> ProfileScreen:
    """Return a screen as a matrix of profiles; the same bits for the same design and seed.

    Streams of random numbers belong to a purpose and a place, so that the nuisances of one kind stay the same draws
    whatever the strength of another: designs that differ in one strength can be compared pair by pair.

    Args:
        design: The plates, what is on them, and how strong each effect is.
        seed: Everything follows from it.
    """
    loadings = _loadings(design, seed)
    screen = _Screen(
        design=design,
        seed=seed,
        compounds=_draw_compounds(design, seed, loadings),
        loadings=loadings,
        places=_place_shifts(design, seed),
        means=stream(seed, Purpose.FEATURES, 0).normal(0.0, 2.0, design.n_features).astype(np.float32),
    )
    batches = [_draw_batch(design, seed, number) for number in range(design.n_all_batches)]
    plates = [
        _plate(screen, batches[number], (number, plate))
        for number in range(design.n_all_batches)
        for plate in range(design.n_plates)
    ]
    profiles = np.concatenate([values for _, values in plates])
    return ProfileScreen(pl.concat([wells for wells, _ in plates]), profiles, _truth(design, screen.compounds))


def _draw_compounds(design: ProfileDesign, seed: int, loadings: Matrix) -> _Compounds:
    rng = stream(seed, Purpose.COMPOUNDS, 0)
    n_active = round(design.active_share * design.n_compounds)
    directions = _phenotypes(rng, design.n_mechanisms, loadings)
    own = _phenotypes(rng, design.n_compounds, loadings)
    of = np.arange(n_active) % design.n_mechanisms
    share = np.sqrt(design.own_share)
    active = _unit_rows(np.sqrt(1 - design.own_share) * directions[of] + share * own[:n_active])
    shifts = np.zeros((design.n_compounds, design.n_features))
    shifts[:n_active] = active * design.effect * np.sqrt(design.n_features)
    viability = np.ones(design.n_compounds)
    n_toxic = round(design.toxic_share * n_active)
    viability[:n_active][rng.permutation(n_active)[:n_toxic]] = rng.uniform(0.3, 0.8, n_toxic)
    order = rng.permutation(design.n_compounds)  # the name tells nothing of what a compound does
    names = np.empty(design.n_compounds, dtype=object)
    names[order] = [f"CPD-{number + 1:05d}" for number in range(design.n_compounds)]
    by_name = np.argsort(names.astype(str))
    mechanisms = [f"mechanism {m + 1:02d}" for m in of] + [None] * (design.n_compounds - n_active)
    controls = _phenotypes(rng, 2, loadings)
    controls *= design.poscon_effect * np.sqrt(design.n_features)
    return _Compounds(
        names=[NEGCON, "poscon 1", "poscon 2", *names[by_name]],
        kinds=["negcon", "poscon", "poscon", *["treatment"] * design.n_compounds],
        mechanisms=[None, "positive control 1", "positive control 2", *(mechanisms[i] for i in by_name)],
        shifts=np.concatenate([np.zeros((1, design.n_features)), controls, shifts[by_name]]).astype(np.float32),
        viability=np.concatenate([np.ones(_N_CONTROLS), viability[by_name]]),
    )


def _phenotypes(rng: np.random.Generator, n: int, loadings: Matrix) -> NDArray[np.float64]:
    """Return (n, D) of length 1: half of what a treatment does lies where wells vary anyway, half anywhere."""
    along = _unit_rows(rng.standard_normal((n, len(loadings))) @ loadings.astype(np.float64))
    return _unit_rows(along + _unit_rows(rng.standard_normal((n, loadings.shape[1]))))


def _loadings(design: ProfileDesign, seed: int) -> Matrix:
    """Return (K, D), columns whose squares sum to `SHARED_SHARE`: a few directions hold most of the variance."""
    rng = stream(seed, Purpose.FEATURES, 1)
    strengths = np.exp(-np.arange(N_FACTORS) / 12)[:, None]
    raw = strengths * rng.standard_normal((N_FACTORS, design.n_features))
    return np.asarray(raw * np.sqrt(SHARED_SHARE) / np.linalg.norm(raw, axis=0), dtype=np.float32)


def _draw_batch(design: ProfileDesign, seed: int, number: int) -> _Batch:
    nuisances, d = design.nuisances, design.n_features
    rng, of_source = stream(seed, Purpose.BATCH, number), stream(seed, Purpose.SOURCE, number // design.n_batches)
    shift = nuisances.batch_shift * _directed(rng, d) + nuisances.source_shift * _directed(of_source, d)
    log_scale = nuisances.batch_log_scale * rng.standard_normal(d)
    log_scale += nuisances.source_shift / 4 * of_source.standard_normal(d)
    first, second = (_orthonormal_rows(rng, BATCH_FACTORS, d) for _ in range(2))
    variation = np.sqrt(d / BATCH_FACTORS) * _orthonormal_rows(rng, BATCH_FACTORS, d)
    return _Batch(
        shift=shift.astype(np.float32),
        scale=np.exp(log_scale).astype(np.float32),
        mixing=(first.astype(np.float32), (nuisances.batch_mixing * second).astype(np.float32)),
        variation=(nuisances.batch_variation * variation).astype(np.float32),
    )


def _place_shifts(design: ProfileDesign, seed: int) -> Matrix:
    """Return (positions, D), what a place on the plate adds on every plate."""
    rng, d = stream(seed, Purpose.POSITION), design.n_features
    rows, columns = PLATE_SHAPES[design.n_wells]
    along = [np.repeat(np.linspace(-0.5, 0.5, rows), columns), np.tile(np.linspace(-0.5, 0.5, columns), rows)]
    gradients = sum(np.outer(step, rng.standard_normal(d)) for step in along)
    own = rng.standard_normal((rows * columns, d))
    shifts = design.nuisances.gradient * gradients + design.nuisances.position_shift * own
    return np.asarray(shifts, dtype=np.float32)


def _plate(screen: _Screen, batch: _Batch, place: tuple[int, int]) -> tuple[pl.DataFrame, Matrix]:
    """Return the wells of a plate in the order of their positions, and their profiles."""
    dealt, positions = _deal(screen.design, screen.seed, place)
    seen = _measure(screen, screen.compounds.shifts[dealt], batch, place)
    return _wells(screen, dealt, positions, place), seen + screen.places[positions] + screen.means


def _deal(design: ProfileDesign, seed: int, place: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return what is in each well of a plate, as rows of `_Compounds`, and the positions of these wells, ascending."""
    dispensed = np.arange(_N_CONTROLS, _N_CONTROLS + design.n_compounds)
    if design.is_confounded:
        dispensed = np.array_split(dispensed, design.n_all_batches)[place[0]]
    poscons = 1 + np.arange(design.n_poscon) % (_N_CONTROLS - 1)
    slots = np.concatenate([np.zeros(design.n_negcon, dtype=np.intp), poscons, dispensed]).astype(np.intp)
    dealing = stream(seed, Purpose.LAYOUT, *(place if design.well_layout == "shuffled" else ()))
    positions = dealing.permutation(design.n_wells)[: len(slots)]
    order = np.argsort(positions)
    return slots[order], positions[order]


def _wells(
    screen: _Screen, dealt: NDArray[np.intp], positions: NDArray[np.intp], place: tuple[int, int]
) -> pl.DataFrame:
    design, compounds, (batch, plate) = screen.design, screen.compounds, place
    viable = compounds.viability[dealt] * design.cells_per_well
    places = [place_of(int(position), n_wells=design.n_wells) for position in positions]
    return pl.DataFrame(
        {
            "source": f"source {batch // design.n_batches + 1}",
            "batch": f"batch {batch + 1:02d}",
            "plate": f"P{batch * design.n_plates + plate + 1:05d}",
            "well": [name for name, _, _ in places],
            "row": [row for _, row, _ in places],
            "column": [column for _, _, column in places],
            "perturbation": [compounds.names[i] for i in dealt],
            "control_type": [compounds.kinds[i] for i in dealt],
            "mechanism": pl.Series([compounds.mechanisms[i] for i in dealt], dtype=pl.String),
            "cell_count": stream(screen.seed, Purpose.SEEDING, *place).poisson(viable),
        }
    )


def _measure(screen: _Screen, effects: Matrix, batch: _Batch, place: tuple[int, int]) -> Matrix:
    """Return (W, D), the wells of a plate without the means of features and the shifts of places."""
    rng, nuisances = stream(screen.seed, Purpose.WELL, *place), screen.design.nuisances
    n, d = effects.shape
    noise = rng.standard_normal((n, N_FACTORS), dtype=np.float32) @ screen.loadings
    noise += np.float32(np.sqrt(1 - SHARED_SHARE)) * rng.standard_normal((n, d), dtype=np.float32)
    if nuisances.tails is not None:
        noise *= _tails(rng, n, nuisances.tails)[:, None]
    seen = (effects + noise) * batch.scale
    seen += (seen @ batch.mixing[0].T) @ batch.mixing[1]
    seen += rng.standard_normal((n, BATCH_FACTORS), dtype=np.float32) @ batch.variation
    plate_shift = nuisances.plate_shift * _directed(stream(screen.seed, Purpose.PLATE, *place), d)
    seen += batch.shift + plate_shift.astype(np.float32)
    return seen


def _tails(rng: np.random.Generator, n: int, degrees: float) -> Matrix:
    """Return what wells of unit variance are multiplied by to have Student's t, again of unit variance."""
    spread = np.sqrt(degrees / rng.chisquare(degrees, n)) * np.sqrt((degrees - 2) / degrees)
    return np.asarray(spread, dtype=np.float32)


def _truth(design: ProfileDesign, compounds: _Compounds) -> pl.DataFrame:
    effect = np.linalg.norm(compounds.shifts, axis=1) / np.sqrt(design.n_features)
    return pl.DataFrame(
        {
            "perturbation": compounds.names,
            "control_type": compounds.kinds,
            "mechanism": pl.Series(compounds.mechanisms, dtype=pl.String),
            "is_active": effect > 0,
            "effect": effect,
            "viability": compounds.viability,
        }
    )


def _directed(rng: np.random.Generator, d: int) -> NDArray[np.float64]:
    """Return (D,), of root mean square 1: along few directions, as what differs between days of staining."""
    shift = rng.standard_normal(BATCH_FACTORS) @ rng.standard_normal((BATCH_FACTORS, d))
    unit: NDArray[np.float64] = shift * np.sqrt(d) / np.linalg.norm(shift)
    return unit


def _unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _orthonormal_rows(rng: np.random.Generator, k: int, d: int) -> NDArray[np.float64]:
    """Return (k, D), orthonormal; fewer than k where there are fewer features."""
    q, _ = np.linalg.qr(rng.standard_normal((d, min(k, d))))
    rows: NDArray[np.float64] = np.zeros((k, d))
    rows[: q.shape[1]] = q.T
    return rows


_AT_LEAST: Final = {
    "n_sources": 1,
    "n_batches": 1,
    "n_plates": 1,
    "n_features": 2,
    "n_compounds": 0,
    "n_mechanisms": 1,
    "effect": 0,
    "n_negcon": 0,
    "n_poscon": 0,
    "poscon_effect": 0,
    "cells_per_well": 0,
}


def _check(design: ProfileDesign) -> None:
    if design.n_wells not in PLATE_SHAPES:
        raise UsageError(f"a plate of {', '.join(map(str, PLATE_SHAPES))} wells was expected, got {design.n_wells}")
    for name, least in _AT_LEAST.items():
        if not getattr(design, name) >= least:
            raise UsageError(f"{name} of at least {least} was expected, got {getattr(design, name)}")
    for name in ("active_share", "own_share", "toxic_share"):
        if not 0 <= getattr(design, name) <= 1:
            raise UsageError(f"{name} between 0 and 1 was expected, got {getattr(design, name)}")
    if design.well_layout not in {"shuffled", "fixed"}:
        raise UsageError(f"shuffled or fixed was expected as the layout of the wells, got {design.well_layout}")
    for field in fields(Nuisances):
        value = getattr(design.nuisances, field.name)
        if field.name == "tails":
            if value is not None and not value > 2:
                raise UsageError(f"tails of more than 2 degrees of freedom were expected, got {value}")
        elif not value >= 0:
            raise UsageError(f"{field.name} of at least 0 was expected, got {value}")
    held = -(-design.n_compounds // design.n_all_batches) if design.is_confounded else design.n_compounds
    needed = held + design.n_negcon + design.n_poscon
    if needed > design.n_wells:
        raise UsageError(
            f"{held} compounds of a batch with {design.n_negcon} negative and {design.n_poscon} positive control wells "
            f"need {needed} wells, but a plate has {design.n_wells}; take fewer compounds, or a larger plate"
        )
