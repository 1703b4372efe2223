"""What a simulated screen consists of: plates, wells, compounds, doses, controls, and how strong each effect is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from hcs.errors import UsageError
from hcs.simulation.library import DEMO_MECHANISMS, MECHANISMS, TRAINING_MECHANISMS, mechanisms_named

PLATE_SHAPES: Final = {24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24), 1536: (32, 48)}
"""Wells of a plate -> (rows, columns)."""

MECHANISM_SETS: Final = {"demo": DEMO_MECHANISMS, "training": TRAINING_MECHANISMS, "all": tuple(MECHANISMS)}


@dataclass(frozen=True, kw_only=True)
class TechnicalEffects:
    """How strong everything is that is not biology. Defaults are the difficulty of the demo.

    Standard deviations of stain are of the natural logarithm; those of phenotype are in standard deviations between
    untreated cells.
    """

    batch_stain_sd: float = 0.2
    plate_stain_sd: float = 0.1
    well_stain_sd: float = 0.05
    batch_phenotype_sd: float = 0.15
    plate_phenotype_sd: float = 0.05
    well_phenotype_sd: float = 0.15
    position_phenotype_sd: float = 0.03
    gradient: float = 0.12
    edge_loss: float = 0.2
    bleaching: float = 0.1
    well_count_sd: float = 0.08
    vignetting: float = 0.3
    crosstalk: float = 1.0
    out_of_focus_share: float = 0.02
    debris_share: float = 0.02

    @classmethod
    def none(cls) -> TechnicalEffects:
        """Return effects of strength zero: what is left is the lens, scattered light and the noise of the camera."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, 0.0))


@dataclass(frozen=True, kw_only=True)
class ScreenDesign:
    """Everything but the seed that determines a simulated screen. Defaults are the demo's.

    A treatment is a compound at one of its doses. Every plate holds every treatment once, beside the controls; wells
    that are left over stay empty and are not imaged.
    """

    n_batches: int = 2
    n_plates: int = 5
    """Of one batch; each holds every treatment once, and the faintest ones need ten replicates."""
    n_wells: int = 96
    n_sites: int = 1
    site_px: int = 256
    """Side of a field in pixels of `PIXEL_SIZE_UM`."""
    cells_per_site: float = 48.0
    """Expected in an untreated well, for a field of 256 x 256 pixels; it scales with the area."""
    mechanisms: tuple[str, ...] = DEMO_MECHANISMS
    compounds_per_mechanism: int = 4
    n_inactive: int = 44
    n_doses: int = 1
    n_negcon: int = 16
    n_poscon: int = 4
    n_poscon_perturbations: int = 2
    well_layout: Literal["shuffled", "fixed"] = "shuffled"
    """Whether replicate plates have layouts of their own, or all the same."""
    strengths: tuple[float, ...] = (0.7, 1.3, 1.9, 2.6)
    """Lengths of the shift that compounds of a mechanism cause at the top dose, in turn; the first is subtle."""
    viabilities: tuple[float, ...] = (0.85, 0.65, 0.5, 0.35)
    """Shares of cells that compounds of a mechanism that only kills leave at the top dose, in turn."""
    poscon_strength: float = 3.2
    toxic_share: float = 0.2
    """Of the compounds with a phenotype, those that kill cells too."""
    compound_offset: float = 0.2
    """Length of what a compound does beside its mechanism, relative to its strength."""
    annotated_share: float = 0.75
    """Of the compounds, those with an annotated mechanism; the same share of active and inactive ones."""
    top_concentration_micromolar: float = 10.0
    dose_factor: float = 10**0.5
    effects: TechnicalEffects = field(default_factory=TechnicalEffects)

    def __post_init__(self) -> None:
        mechanisms_named(self.mechanisms)
        _check_numbers(self)
        _check_room(self)

    @property
    def n_compounds(self) -> int:
        """Compounds under test; controls are not among them."""
        return len(self.mechanisms) * self.compounds_per_mechanism + self.n_inactive

    @property
    def n_treatments(self) -> int:
        """Compounds at one dose."""
        return self.n_compounds * self.n_doses

    @property
    def n_imaged_sites(self) -> int:
        """Sites of the whole screen."""
        return self.n_batches * self.n_plates * self.n_sites * (self.n_treatments + self.n_negcon + self.n_poscon)

    def concentrations_micromolar(self) -> tuple[float, ...]:
        """Return the doses of every compound, ascending, to four significant digits as a dispenser reports them."""
        steps = reversed(range(self.n_doses))
        return tuple(float(f"{self.top_concentration_micromolar / self.dose_factor**step:.4g}") for step in steps)


PIXEL_SIZE_UM: Final = 1.196
"""A 20x objective binned 2 x 2, as in the JUMP consortium's images."""


def _check_numbers(design: ScreenDesign) -> None:
    if design.n_wells not in PLATE_SHAPES:
        raise UsageError(f"a plate of {', '.join(map(str, PLATE_SHAPES))} wells was expected, got {design.n_wells}")
    at_least = dict.fromkeys(("n_batches", "n_plates", "n_sites", "compounds_per_mechanism", "n_doses"), 1)
    at_least |= dict.fromkeys(("n_inactive", "n_negcon", "n_poscon", "cells_per_site", "poscon_strength"), 0)
    at_least |= {"site_px": 64}
    for name, least in at_least.items():
        if getattr(design, name) < least:
            raise UsageError(
                f"{name} of at least {least} was expected for a simulated screen, got {getattr(design, name)}"
            )
    for name in ("annotated_share", "toxic_share"):
        if not 0 <= getattr(design, name) <= 1:
            raise UsageError(f"{name} between 0 and 1 was expected, got {getattr(design, name)}")
    if not (design.strengths and design.viabilities):
        raise UsageError("at least one strength and one viability were expected for the active compounds, got none")
    if design.well_layout not in {"shuffled", "fixed"}:
        raise UsageError(f"shuffled or fixed was expected as the layout of the wells, got {design.well_layout}")
    if design.n_poscon and not 1 <= design.n_poscon_perturbations <= design.n_poscon:
        raise UsageError(
            f"1 to {design.n_poscon} perturbations were expected for {design.n_poscon} positive control wells, "
            f"got {design.n_poscon_perturbations}"
        )


def _check_room(design: ScreenDesign) -> None:
    needed = design.n_treatments + design.n_negcon + design.n_poscon
    if needed > design.n_wells:
        raise UsageError(
            f"{design.n_compounds} compounds at {design.n_doses} dose(s) with {design.n_negcon} negative and "
            f"{design.n_poscon} positive control wells need {needed} wells, but a plate has {design.n_wells}; "
            f"take fewer doses or compounds, or a larger plate"
        )


def demo_design() -> ScreenDesign:
    """Return the screen of `hcs demo`: 2 batches of 5 plates, 76 treatments of which 32 are active."""
    return ScreenDesign()


def small_design(
    *,
    batches: int = 1,
    plates: int = 2,
    wells: int = 96,
    sites: int = 1,
    doses: int = 1,
    mechanism_set: Literal["demo", "training", "all"] = "demo",
) -> ScreenDesign:
    """Return the demo's design, stretched to other plates: the same shares of controls, actives and mechanisms.

    Args:
        batches: Batches of the screen.
        plates: Plates of a batch.
        wells: Of a plate: 24, 48, 96, 384 or 1536.
        sites: Of a well.
        doses: Of a compound. The plates do not grow: with n doses there are n times fewer compounds.
        mechanism_set: Which mechanisms of the library the active compounds have.

    Raises:
        UsageError: If such a screen does not fit its plates.
    """
    demo = demo_design()
    mechanisms = MECHANISM_SETS[mechanism_set]
    n_compounds = int(demo.n_treatments * wells / demo.n_wells) // max(doses, 1)
    active_share = len(demo.mechanisms) * demo.compounds_per_mechanism / demo.n_compounds
    per_mechanism = max(1, round(n_compounds * active_share / len(mechanisms)))
    return replace(
        demo,
        n_batches=batches,
        n_plates=plates,
        n_wells=wells,
        n_sites=sites,
        n_doses=doses,
        mechanisms=mechanisms,
        compounds_per_mechanism=per_mechanism,
        n_inactive=max(0, n_compounds - per_mechanism * len(mechanisms)),
        n_negcon=demo.n_negcon * wells // demo.n_wells,
        n_poscon=demo.n_poscon * wells // demo.n_wells,
        n_poscon_perturbations=min(demo.n_poscon_perturbations, demo.n_poscon * wells // demo.n_wells),
    )
