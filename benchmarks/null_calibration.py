"""Do p-values keep their promise, and what do they find? Prints the tables of the documentation.

    python benchmarks/null_calibration.py [--screens 40] [--layouts 5x16 3x16 ...]

Simulated screens: 64 correlated features. `clean` compares wells as they are drawn; `robust z` normalizes every plate
on the median and MAD of the very controls that are scored; `a run` goes through the whole of `hcs.profiling`, with 40 %
of the treatments active, and looks at the others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.hits.activity import call_activity
from hcs.profiling.profiles import build_profiles
from hcs.statistics.permutation import permutation_test
from hcs.statistics.robust import median_and_mad
from schemas.screen import ProfileConfig

N_FEATURES = 64
TREATMENTS_A_SCREEN = 50
ACTIVE_SHARE, ACTIVE_EFFECT = 0.4, 0.6
NORMALIZATIONS = ("clean", "robust z", "a run")


@dataclass(frozen=True)
class Layout:
    """Plates, replicates of a treatment on each, and negative controls on each."""

    n_plates: int
    n_replicates: int
    n_controls: int

    @property
    def name(self) -> str:
        """`5x16`: five plates, one replicate each, 16 controls each; `1 plate 4+8`."""
        if self.n_replicates == 1:
            return f"{self.n_plates}x{self.n_controls}"
        return f"{self.n_plates} plate{'s' if self.n_plates > 1 else ''} {self.n_replicates}+{self.n_controls}"


LAYOUTS = (
    Layout(5, 1, 16),
    Layout(6, 1, 16),
    Layout(3, 1, 16),
    Layout(2, 1, 16),
    Layout(8, 1, 32),
    Layout(5, 1, 64),
    Layout(2, 2, 16),
    Layout(1, 4, 8),
    Layout(1, 4, 4),
)
REFERENCE = {"5x16": "S1 .040, S2 .056", "3x16": "S1 .057", "2x16": "S4 .037-.040", "8x32": "S1 .050, S2 .026",
             "5x64": "S1 .053, S2 .036"}  # fmt: skip


def correlated_noise(rng: np.random.Generator) -> Callable[[int], NDArray[np.float64]]:
    """Return a source of wells (n, 64) with unit variances whose spectrum falls by e over 20 components."""
    directions, _ = np.linalg.qr(rng.standard_normal((N_FEATURES, N_FEATURES)))
    spectrum = np.exp(-np.arange(N_FEATURES) / 20)
    mixing = directions * np.sqrt(spectrum * N_FEATURES / spectrum.sum())
    return lambda n: rng.standard_normal((n, N_FEATURES)) @ mixing.T


def robust_z(plate: NDArray[np.float64], n_controls: int) -> NDArray[np.float64]:
    """Normalize a plate on its last `n_controls` wells."""
    median, scale = median_and_mad(plate[-n_controls:])
    return (plate - median) / scale


def plates_of(
    layout: Layout, shifts: NDArray[np.float64], rng: np.random.Generator, *, normalization: str
) -> list[NDArray[np.float64]]:
    """Return the wells of every plate: the replicates of one treatment after another, then the controls."""
    noise = correlated_noise(rng)
    plates = []
    for _ in range(layout.n_plates):
        wells = noise(len(shifts) * layout.n_replicates + layout.n_controls)
        wells[: -layout.n_controls] += np.repeat(shifts, layout.n_replicates, axis=0)
        plates.append(wells)
    if normalization == "robust z":
        return [robust_z(plate, layout.n_controls) for plate in plates]
    return as_in_a_run(plates, layout.n_controls) if normalization == "a run" else plates


def as_in_a_run(plates: list[NDArray[np.float64]], n_controls: int) -> list[NDArray[np.float64]]:
    """Return the `combined` profiles of these embeddings."""
    n_wells = len(plates[0])
    wells = pl.DataFrame(
        {
            "plate": [f"p{plate}" for plate in range(len(plates)) for _ in range(n_wells)],
            "well": [f"w{well}" for _ in plates for well in range(n_wells)],
            "control_type": [
                "treatment" if n < n_wells - n_controls else "negcon" for _ in plates for n in range(n_wells)
            ],
        }
    )
    built = build_profiles(wells, {"simulated": np.vstack(plates)}, config=ProfileConfig())
    return np.split(built.blocks["combined"], len(plates))


def null_p_values(layout: Layout, n_screens: int, *, normalization: str) -> NDArray[np.float64]:
    """Return the p-values of treatments that do nothing: (n_screens, treatments)."""
    pool_size = layout.n_replicates + layout.n_controls
    numbers = np.repeat(np.arange(layout.n_plates), pool_size)
    is_replicate = np.tile(np.arange(pool_size) < layout.n_replicates, layout.n_plates)
    n_active = round(ACTIVE_SHARE * TREATMENTS_A_SCREEN) if normalization == "a run" else 0
    p_values = np.empty((n_screens, TREATMENTS_A_SCREEN - n_active))
    for screen in range(n_screens):
        rng = np.random.default_rng([screen, layout.n_plates, layout.n_replicates, layout.n_controls])
        shifts = ACTIVE_EFFECT * rng.standard_normal((TREATMENTS_A_SCREEN, N_FEATURES))
        shifts[n_active:] = 0
        plates = plates_of(layout, shifts, rng, normalization=normalization)
        for column, treatment in enumerate(range(n_active, TREATMENTS_A_SCREEN)):
            own = slice(treatment * layout.n_replicates, (treatment + 1) * layout.n_replicates)
            pool = np.vstack([wells for plate in plates for wells in (plate[own], plate[-layout.n_controls :])])
            p_values[screen, column] = permutation_test(pool, numbers, is_replicate, seed=0).p_value
    return p_values


def null_rows(layouts: Sequence[Layout], n_screens: int) -> Iterator[str]:
    """Yield the table of null rates, one row a layout and normalization."""
    yield f"{'layout':<14}{'wells':<10}{'p<=.01':>8}{'p<=.05':>8}{'+-':>7}{'p<=.1':>8}{'p>.95':>8}{'s':>7}  reference"
    for layout in layouts:
        for normalization in NORMALIZATIONS:
            start = time.perf_counter()
            p_values = null_p_values(layout, n_screens, normalization=normalization)
            by_screen = (p_values <= 0.05).mean(axis=1)
            error = by_screen.std(ddof=1) / np.sqrt(n_screens)
            rates = [(p_values <= level).mean() for level in (0.01, 0.05)]
            yield (
                f"{layout.name:<14}{normalization:<10}{rates[0]:>8.3f}{rates[1]:>8.3f}"
                f"{error:>7.3f}{(p_values <= 0.1).mean():>8.3f}{(p_values > 0.95).mean():>8.3f}"
                f"{time.perf_counter() - start:>7.1f}  {REFERENCE.get(layout.name, '')}"
            )


def called_screen(
    layout: Layout, effect: float, active_share: float, seed: int, *, normalization: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which treatments of a screen are active and which are hits; features are shifted by N(0, effect^2)."""
    rng = np.random.default_rng([seed, 17])
    is_active = np.arange(2 * TREATMENTS_A_SCREEN) < active_share * 2 * TREATMENTS_A_SCREEN
    shifts = effect * rng.standard_normal((len(is_active), N_FEATURES)) * is_active[:, None]
    plates = plates_of(layout, shifts, rng, normalization=normalization)
    names = [f"c{treatment:03d}" for treatment in range(len(is_active))] + ["DMSO"] * layout.n_controls
    wells = pl.DataFrame(
        {
            "plate": [f"p{plate}" for plate in range(layout.n_plates) for _ in names],
            "well": [f"w{well}" for _ in plates for well in range(len(names))],
            "batch": "b",
            "perturbation": names * layout.n_plates,
            "concentration_micromolar": 1.0,
            "dose_step": pl.Series([None] * (len(names) * layout.n_plates), dtype=pl.Float64),
            "control_type": ["negcon" if name == "DMSO" else "treatment" for name in names] * layout.n_plates,
            "cell_count": 100,
        }
    )
    calls = call_activity(np.vstack(plates), wells, profile_name="simulated", q_max=0.05, seed=0)
    return is_active, calls.sort("perturbation")["is_hit"].to_numpy()


def power_rows(n_screens: int) -> Iterator[str]:
    """Yield the table of power and false discoveries."""
    yield f"{'layout':<10}{'active':>8}{'effect':>8}{'wells':>10}{'TPR':>8}{'FDP':>8}{'s':>7}  reference"
    cases = [(Layout(5, 1, 64), 0.3, effect) for effect in (0.3, 0.45, 0.6)]
    cases += [(Layout(5, 1, 16), 0.3, effect) for effect in (0.3, 0.45, 0.6)] + [(Layout(5, 1, 32), 0.1, 0.6)]
    reference = {("5x64", 0.3): "S5 .00-.12", ("5x64", 0.45): "S5 .45", ("5x64", 0.6): "S5 .89"}
    for layout, share, effect in cases:
        for normalization in NORMALIZATIONS:
            start = time.perf_counter()
            found = [called_screen(layout, effect, share, s, normalization=normalization) for s in range(n_screens)]
            power = np.mean([is_hit[is_active].mean() for is_active, is_hit in found])
            false = np.mean([is_hit[~is_active].sum() / max(1, is_hit.sum()) for is_active, is_hit in found])
            yield (
                f"{layout.name:<10}{share:>8.2f}{effect:>8.2f}{normalization:>10}{power:>8.3f}"
                f"{false:>8.3f}{time.perf_counter() - start:>7.1f}  {reference.get((layout.name, effect), '')}"
            )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screens", type=int, default=40, help="simulated screens a row of the null table")
    parser.add_argument("--power-screens", type=int, default=8, help="simulated screens a row of the power table")
    parser.add_argument("--layouts", nargs="*", choices=[layout.name for layout in LAYOUTS], help="only these")
    options = parser.parse_args()
    layouts = [layout for layout in LAYOUTS if not options.layouts or layout.name in options.layouts]
    with threadpool_limits(limits=1):
        for row in null_rows(layouts, options.screens):
            print(row, flush=True)
        print()
        for row in power_rows(options.power_screens) if options.power_screens else ():
            print(row, flush=True)


if __name__ == "__main__":
    main()
