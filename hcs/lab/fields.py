"""Fields of cells to learn from: rendered, corrected and scaled as a run does, with the phenotype of every cell.

Every screen is one plate of its own batch and its own microscope. What its wells are treated with is drawn anew: a
mechanism that the demo does not have, or no mechanism at all but a random direction, so that an encoder meets the axes
of the phenotype in every combination and none of those that it is judged on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.imaging.correct import correct_site, scale_site
from hcs.imaging.survey import survey_plate
from hcs.simulation.compounds import Treatment
from hcs.simulation.design import ScreenDesign, TechnicalEffects
from hcs.simulation.library import CHANNELS, N_AXES, TRAINING_MECHANISMS, mechanisms_named
from hcs.simulation.plan import ScreenPlan, WellPlan, lay_out_screen
from hcs.simulation.sites import render_site
from hcs.simulation.streams import Purpose, stream

SITES_A_SCREEN: Final = 24
_UNTREATED: Final = 0.1
"""Of the wells."""
_MECHANISMS: Final = 0.25
"""Of the wells, those with a mechanism; the others get a random direction."""
_LONGEST: Final = 5.0
"""Push of a mechanism, in standard deviations between untreated cells."""
_WIDEST: Final = 2.5
"""Standard deviation of a random push along an axis: far beyond a compound's, for it is the strong that teaches."""
_TOXIC: Final = 0.3
"""Of the treated wells, those that lose cells."""


@dataclass(frozen=True, eq=False)
class Fields:
    """S sites and the cells in them.

    `planes` is (S, C, Y, X) uint8: grey values, 255 at the plate's 99.9 percentile of a channel. Cells of site `i` are
    the rows `first_cell[i]` to `first_cell[i + 1]` of `centres`, (N, 2) float32 as (y, x) in pixels, and of
    `phenotypes`, (N, 16) float32.
    """

    planes: NDArray[np.uint8]
    first_cell: NDArray[np.int64]
    centres: NDArray[np.float32]
    phenotypes: NDArray[np.float32]

    @property
    def n_sites(self) -> int:
        """How many sites there are."""
        return len(self.planes)

    def cells_of(self, site: int) -> slice:
        """Return the rows of a site's cells."""
        return slice(int(self.first_cell[site]), int(self.first_cell[site + 1]))


def training_plan(seed: int, *, site_px: int) -> ScreenPlan:
    """Return the screen of one plate with this seed, its wells treated at random."""
    rng = stream(seed, Purpose.COMPOUNDS, 1)
    design = ScreenDesign(
        n_batches=1,
        n_plates=1,
        n_wells=SITES_A_SCREEN,
        site_px=site_px,
        cells_per_site=float(np.exp(rng.uniform(np.log(32.0), np.log(72.0)))),
        mechanisms=TRAINING_MECHANISMS[:1],
        compounds_per_mechanism=1,
        n_inactive=SITES_A_SCREEN - 1,
        n_negcon=0,
        n_poscon=0,
        effects=TechnicalEffects(batch_stain_sd=0.25, well_stain_sd=0.08, out_of_focus_share=0.0),
    )
    plan = lay_out_screen(design, seed)
    (plate,) = plan.plates
    wells = tuple(_treated(well, rng) for well in plate.wells)
    return replace(plan, plates=(replace(plate, wells=wells),))


def _treated(well: WellPlan, rng: np.random.Generator) -> WellPlan:
    push, viability = _push(rng), 1.0
    if any(push) and rng.random() < _TOXIC:
        viability = float(rng.uniform(0.4, 1.0))
    compound = well.treatment.compound
    treatment = Treatment(compound=compound, concentration_micromolar=None, push=push, viability=viability)
    return replace(well, treatment=treatment)


def _push(rng: np.random.Generator) -> tuple[float, ...]:
    kind = rng.random()
    if kind < _UNTREATED:
        return (0.0,) * N_AXES
    if kind < _UNTREATED + _MECHANISMS:
        names = [mechanism for mechanism in mechanisms_named(TRAINING_MECHANISMS) if not mechanism.is_count_only]
        direction = names[int(rng.integers(len(names)))].direction() + 0.08 * rng.standard_normal(N_AXES)
        push = rng.uniform(0.5, _LONGEST) * direction / np.linalg.norm(direction)
    else:
        push = rng.normal(0.0, rng.uniform(0.5, _WIDEST), N_AXES) * (rng.random(N_AXES) < rng.uniform(0.15, 0.8))
    return tuple(np.clip(push, -_LONGEST, _LONGEST).tolist())


def render_screen(seed: int, site_px: int) -> Fields:
    """Return the sites of one training screen, corrected and scaled by the survey of their own plate."""
    plan = training_plan(seed, site_px=site_px)
    (plate,) = plan.plates
    sites = [render_site(plan, plate, well, 1) for well in plate.wells]
    survey = survey_plate([site.pixels for site in sites], channels=CHANNELS)
    planes = np.stack([_grey_bytes(scale_site(correct_site(site.pixels, survey), survey)) for site in sites])
    return Fields(
        planes=planes,
        first_cell=np.cumsum([0, *(len(site.cells.centres) for site in sites)]),
        centres=np.concatenate([site.cells.centres for site in sites]),
        phenotypes=np.concatenate([site.cells.phenotypes for site in sites]).astype(np.float32),
    )


def _grey_bytes(scaled: NDArray[np.float32]) -> NDArray[np.uint8]:
    greys: NDArray[np.uint8] = np.rint(scaled * np.float32(255)).astype(np.uint8)
    return greys


def render_fields(
    seeds: Iterable[int], *, site_px: int, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> Fields:
    """Return the fields of some training screens, in the order of their seeds, whatever the number of workers.

    Args:
        seeds: Of the screens.
        site_px: Side of a site.
        workers: Processes that render; 1 renders in this one.
        progress: Called with the number of screens that are rendered and their total.
    """
    wanted = list(seeds)
    rendered = []
    for fields in _render(wanted, site_px, workers):
        rendered.append(fields)
        if progress is not None:
            progress(len(rendered), len(wanted))
    return join_fields(rendered)


def _render(seeds: list[int], site_px: int, workers: int) -> Iterator[Fields]:
    if workers == 1 or len(seeds) == 1:
        yield from (render_screen(seed, site_px) for seed in seeds)
        return
    with ProcessPoolExecutor(min(workers, len(seeds)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(render_screen, seeds, [site_px] * len(seeds))


def join_fields(parts: list[Fields]) -> Fields:
    """Return the sites of several fields, one behind the other."""
    cells_before = np.cumsum([0, *(len(part.centres) for part in parts)])
    starts = [part.first_cell[:-1] + before for part, before in zip(parts, cells_before[:-1], strict=True)]
    return Fields(
        planes=np.concatenate([part.planes for part in parts]),
        first_cell=np.concatenate([*starts, cells_before[-1:]]),
        centres=np.concatenate([part.centres for part in parts]),
        phenotypes=np.concatenate([part.phenotypes for part in parts]),
    )
