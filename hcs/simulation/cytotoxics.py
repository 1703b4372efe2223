"""Screens whose compounds kill cells or glow: what else could explain a hit, with the truth beside it.

Fewer cells look different whatever killed them. To a simulated screen (`hcs.simulation.profiles`) every well is added
what its number of cells does to a profile, and some of its inactive compounds become

- generic cytotoxics, which leave fewer cells and do nothing else;
- specific cytotoxics, which leave as few and show the phenotype of their mechanism beside;
- glowing ones, which leave all cells and shift the features of one channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import UsageError
from hcs.simulation.profiles import Matrix, ProfileDesign, ProfileScreen, simulate_profiles
from hcs.simulation.streams import Purpose, stream

SPECIFIC: Final = ("proteasome inhibitor", "translation inhibitor", "Eg5 inhibitor")
"""Mechanisms that kill with a phenotype of their own."""
CHANNELS: Final = ("DNA", "RNA", "ER", "AGP", "Mito")
_OWN_SHARE: Final = 0.3
"""Of the variance of a specific cytotoxic's phenotype, what is not its mechanism's."""


@dataclass(frozen=True, kw_only=True)
class Cytotoxics:
    """What of a screen kills or glows, and how that looks; strengths are in deviations of a feature's noise."""

    n_generic: int = 12
    n_specific: int = 4
    """Of each of `SPECIFIC`."""
    n_glowing: int = 0
    viability: tuple[float, float] = (0.3, 0.7)
    """Least and most share of cells that a cytotoxic leaves."""
    loss_effect: float = 1.5
    """Root mean square over features of what the loss of all cells does."""
    specific_effect: float = 0.6
    """Of the phenotype of a specific cytotoxic, beside what the loss does."""
    glow_effect: float = 1.0
    """Over the features of the channel."""
    count_spread: float = 0.1
    """Standard deviation of the logarithm of a well's number of cells, beside that of counting."""


@dataclass(frozen=True)
class CytotoxicScreen:
    """A simulated screen with cytotoxics, and what is true of it."""

    wells: pl.DataFrame
    """As those of a `ProfileScreen`; `cell_count` with what was killed."""
    profiles: Matrix
    truth: pl.DataFrame
    """A row a compound: `perturbation, kind, mechanism, viability, channel`. `kind` is `generic`, `specific`,
    `glowing`, `active` (no cells lost), `inactive`, `negcon` or `poscon`; `channel` is where a glowing one glows."""
    channels: dict[str, list[int]]
    """Channel -> its features."""


def simulate_cytotoxics(design: ProfileDesign, *, cytotoxics: Cytotoxics, seed: int) -> CytotoxicScreen:
    """Return a screen with cytotoxics; the same bits for the same arguments.

    Args:
        design: The screen they are put into; compounds of its own kill nothing.
        cytotoxics: What kills, and how that looks.
        seed: Everything follows from it.

    Raises:
        UsageError: If the design has toxic compounds of its own, or fewer inactive ones than become something else.
    """
    _check(design, cytotoxics)
    screen = simulate_profiles(design, seed=seed)
    rng = stream(seed, Purpose.CYTOTOXICS, 0)
    blocks = np.array_split(np.arange(design.n_features), len(CHANNELS))
    channels = {name: block.tolist() for name, block in zip(CHANNELS, blocks, strict=True)}
    truth, shifts = _draw(screen, cytotoxics, channels, rng)
    look, bend = (_unit(rng.standard_normal(design.n_features)) for _ in range(2))
    compound = truth.with_row_index("compound").select("perturbation", "compound", "viability")
    wells = screen.wells.join(compound, on="perturbation", how="left", maintain_order="left")
    spread = np.exp(cytotoxics.count_spread * rng.standard_normal(wells.height))
    counts = rng.poisson(wells["viability"].to_numpy() * spread * design.cells_per_well)
    loss = (1 - counts / design.cells_per_well)[:, None]
    # The bend turns the look where much is lost: no straight line through the counts takes it out.
    seen = cytotoxics.loss_effect * (loss * look + loss * np.abs(loss) * bend) / np.sqrt(2)
    profiles = screen.profiles + seen + shifts[wells["compound"].to_numpy()]
    wells = wells.with_columns(cell_count=pl.Series(counts)).select(screen.wells.columns)
    return CytotoxicScreen(wells, profiles.astype(np.float32), truth, channels)


def _draw(
    screen: ProfileScreen, cytotoxics: Cytotoxics, channels: dict[str, list[int]], rng: np.random.Generator
) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Return what every compound is, and (compounds, D) what its phenotype adds beside the loss of cells."""
    truth, n_features = screen.truth, int(screen.profiles.shape[1])
    kinds = [_kind(row) for row in truth.iter_rows(named=True)]
    mechanisms, viability = truth["mechanism"].to_list(), np.ones(truth.height)
    glows: list[str | None] = [None] * truth.height
    shifts = np.zeros((truth.height, n_features))
    free = rng.permutation(np.flatnonzero(np.array(kinds) == "inactive")).tolist()
    for mechanism in (*[None] * cytotoxics.n_generic, *np.repeat(SPECIFIC, cytotoxics.n_specific).tolist()):
        compound = free.pop()
        kinds[compound], mechanisms[compound] = "specific" if mechanism else "generic", mechanism
        viability[compound] = rng.uniform(*cytotoxics.viability)
    common = {mechanism: _unit(rng.standard_normal(n_features)) for mechanism in SPECIFIC}
    for compound in np.flatnonzero(np.array(kinds) == "specific"):
        own, shared = _unit(rng.standard_normal(n_features)), common[mechanisms[compound]]
        both = np.asarray(np.sqrt(1 - _OWN_SHARE) * shared + np.sqrt(_OWN_SHARE) * own)
        shifts[compound] = cytotoxics.specific_effect * _unit(both)
    for number in range(cytotoxics.n_glowing):
        compound, channel = free.pop(), CHANNELS[number % len(CHANNELS)]
        kinds[compound], glows[compound] = "glowing", channel
        columns = channels[channel]
        shifts[compound, columns] = cytotoxics.glow_effect * _unit(rng.standard_normal(len(columns)))
    described = truth.select("perturbation").with_columns(
        kind=pl.Series(kinds),
        mechanism=pl.Series(mechanisms, dtype=pl.String),
        viability=pl.Series(viability),
        channel=pl.Series(glows, dtype=pl.String),
    )
    return described, shifts


def _kind(row: dict[str, object]) -> str:
    if row["control_type"] != "treatment":
        return str(row["control_type"])
    return "active" if row["is_active"] else "inactive"


def _unit(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a direction with root mean square 1."""
    return np.asarray(direction / np.sqrt(np.mean(direction**2)))


def _check(design: ProfileDesign, cytotoxics: Cytotoxics) -> None:
    n_new = cytotoxics.n_generic + cytotoxics.n_specific * len(SPECIFIC) + cytotoxics.n_glowing
    n_inactive = design.n_compounds - round(design.active_share * design.n_compounds)
    if n_new > n_inactive:
        raise UsageError(
            f"{n_new} of the inactive compounds were to kill or glow, but the screen has {n_inactive} inactive ones; "
            "take more compounds, or a smaller share of active ones"
        )
    if design.toxic_share and round(design.toxic_share * round(design.active_share * design.n_compounds)):
        raise UsageError(
            f"a design with toxic_share 0 was expected, got {design.toxic_share}: what kills is described by the "
            "cytotoxics alone"
        )
    if design.n_features < len(CHANNELS):
        raise UsageError(f"at least {len(CHANNELS)} features were expected, one a channel, got {design.n_features}")
