"""What the place of a well does to calls, and what the correction by control positions leaves of it.

    python benchmarks/position.py [--screens 20] [--splits 200]
    python benchmarks/position.py --real ../shared/data/profiles_jump_moa [--splits 200]

Simulated: 5 plates of 384 wells with one layout, 64 scattered controls, 60 treatments of which 18 shift every feature
by N(0, .5^2), 64 correlated features. A place shifts every feature by itself (`idiosyncratic`), or by what its row and
its column shift it by, each of that deviation (`row + column`; a median polish of every plate and feature takes it
out first). In every split one half of the control positions says how p-values are corrected; rates are those of the
other half and of treatments without an effect, power is the share of the others with q <= .05. Intervals are Student's
t over screens.

Real: 24 control positions on 4 plates. In every split 12 positions are relabelled as treatments, robust z is fitted
again on the 12 that remain controls, and these say how p-values are corrected. Feature selection stays the delivered
one, which has seen all controls. `shuffled` deals the controls of every plate over their positions first. Intervals are
Wilson's for 24 sets, whatever the number of splits: there are no more positions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from null_calibration import N_FEATURES, correlated_noise
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.hits.explain import say_inflation, say_what_is_left
from hcs.hits.position import ScoredPositions, score_positions
from hcs.profiling.normalize import robust_z
from hcs.statistics.designs import Layout
from hcs.statistics.intervals import mean_interval
from hcs.statistics.multiple_testing import benjamini_hochberg
from hcs.statistics.permutation import permutation_test, smallest_possible_p
from hcs.statistics.polish import median_polish

Matrix = NDArray[np.float64]
ROWS, COLUMNS = 16, 24
N_PLATES, N_CONTROLS, N_TREATMENTS, N_ACTIVE, EFFECT = 5, 64, 60, 18, 0.5
MAX_DRAWS = 9_999
Q_MAX = 0.05
SCENARIOS = (("unbiased", 0.0), ("row + column", 0.5), ("idiosyncratic", 0.2), ("idiosyncratic", 0.5))


@dataclass(frozen=True)
class Tested:
    """p-values of a screen."""

    sets: ScoredPositions
    treatments: Matrix
    """(T,), the active ones first."""


def simulate(seed: int, kind: str, deviation: float) -> tuple[Matrix, NDArray[np.intp]]:
    """Return profiles (plates, 384, D), and what each place holds: 0 a control, 1, 2, ... a treatment, -1 nothing."""
    rng = np.random.default_rng([seed, 5])
    held = np.full(ROWS * COLUMNS, -1)
    places = rng.permutation(held.size)
    held[places[:N_CONTROLS]] = 0
    held[places[N_CONTROLS : N_CONTROLS + N_TREATMENTS]] = np.arange(1, N_TREATMENTS + 1)
    shifts = np.zeros((held.size, N_FEATURES))
    is_active = (held > 0) & (held <= N_ACTIVE)
    shifts[is_active] = EFFECT * rng.standard_normal((N_ACTIVE, N_FEATURES))
    row, column, own = (rng.standard_normal((n, N_FEATURES)) for n in (ROWS, COLUMNS, held.size))
    lines = np.repeat(row, COLUMNS, axis=0) + np.tile(column, (ROWS, 1))
    shifts += deviation * (lines if kind == "row + column" else own)
    noise = correlated_noise(rng)
    plates = np.stack([noise(held.size) + shifts for _ in range(N_PLATES)])
    return (polished(plates) if kind == "row + column" else plates), held


def polished(plates: Matrix) -> Matrix:
    """Return plates without what rows and columns add to each feature."""
    tables = plates.reshape(N_PLATES, ROWS, COLUMNS, N_FEATURES)
    left = np.empty_like(tables)
    for plate in range(N_PLATES):
        for feature in range(N_FEATURES):
            left[plate, ..., feature] = median_polish(tables[plate, ..., feature], tolerance=1e-3).residuals
    return left.reshape(plates.shape)


def tested(plates: Matrix, held: NDArray[np.intp]) -> Tested:
    """Return the p-values of all control positions and treatments."""
    used = np.flatnonzero(held >= 0)
    profiles = plates[:, used].reshape(-1, N_FEATURES)
    numbers, names = np.repeat(np.arange(N_PLATES), len(used)), np.tile(used.astype(str), N_PLATES)
    holds = np.tile(held[used], N_PLATES)
    treatments = np.where(holds > 0, holds, -1)
    sets = score_positions(
        profiles, numbers, names, is_negcon=holds == 0, treatments=treatments, seed=0, max_draws=MAX_DRAWS
    )
    p_values = np.empty(N_TREATMENTS)
    for number in range(N_TREATMENTS):
        pool = (holds == 0) | (holds == number + 1)
        test = permutation_test(profiles[pool], numbers[pool], holds[pool] > 0, seed=0, max_draws=MAX_DRAWS)
        p_values[number] = test.p_value
    return Tested(sets, p_values)


def figures(result: Tested, n_splits: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the rates of one screen, means over splits."""
    found: dict[str, list[float]] = {}
    positions = np.arange(len(result.sets.sets))
    p_sets = np.array([item.test.p_value for item in result.sets.sets])
    raw_hits = benjamini_hochberg(result.treatments) <= Q_MAX
    for _ in range(n_splits):
        half, other = np.array_split(rng.permutation(positions), 2)
        inflation = replace(result.sets, sets=tuple(result.sets.sets[i] for i in half)).inflation()
        corrected = inflation.corrected(result.treatments)
        hits = benjamini_hochberg(corrected) <= Q_MAX
        for name, value in (
            ("sets", (p_sets[other] < 0.05).mean()),
            ("sets corrected", (inflation.corrected(p_sets[other]) < 0.05).mean()),
            ("inactive", (result.treatments[N_ACTIVE:] < 0.05).mean()),
            ("inactive corrected", (corrected[N_ACTIVE:] < 0.05).mean()),
            ("power", raw_hits[:N_ACTIVE].mean()),
            ("power corrected", hits[:N_ACTIVE].mean()),
            ("false corrected", hits[N_ACTIVE:].sum() / max(1, hits.sum())),
            ("calls", hits.sum()),
        ):
            found.setdefault(name, []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


def simulated_rows(n_screens: int, n_splits: int) -> Iterator[str]:
    """Yield the table of simulated screens, and what is said where nothing can be called."""
    yield (
        f"{'places':<19}{'sets':>7}{'corrected':>11}{'interval':>15}{'inactive':>10}{'corrected':>11}"
        f"{'power':>8}{'corrected':>11}{'FDP':>7}{'calls':>7}{'s':>6}"
    )
    for kind, deviation in SCENARIOS:
        start = time.perf_counter()
        results = [tested(*simulate(seed, kind, deviation)) for seed in range(n_screens)]
        rng = np.random.default_rng(0)
        rows = [figures(result, max(1, n_splits // n_screens), rng) for result in results]
        mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        interval = mean_interval([row["sets corrected"] for row in rows])
        low, high = max(0.0, interval.low or 0.0), interval.high if interval.high is not None else float("nan")
        yield (
            f"{f'{kind} {deviation:g}':<19}{mean['sets']:>7.3f}{mean['sets corrected']:>11.3f}"
            f"{f'{low:.3f}-{high:.3f}':>15}{mean['inactive']:>10.3f}{mean['inactive corrected']:>11.3f}"
            f"{mean['power']:>8.3f}{mean['power corrected']:>11.3f}{mean['false corrected']:>7.3f}"
            f"{mean['calls']:>7.1f}{time.perf_counter() - start:>6.0f}"
        )
        for line in said_of(results[0].sets):
            yield f"    {line}"


def said_of(sets: ScoredPositions) -> Iterator[str]:
    """Yield what a run would say of these positions."""
    inflation = sets.inflation()
    yield say_inflation(inflation)
    layout = Layout((N_CONTROLS + 1,) * N_PLATES, (1,) * N_PLATES)
    plain = smallest_possible_p(layout, max_draws=MAX_DRAWS)
    left = say_what_is_left(
        float(inflation.corrected(np.array([plain]))[0]),
        smallest_of_layout=plain,
        q_max=Q_MAX,
        n_tested=N_TREATMENTS,
        n_corrected=N_TREATMENTS,
    )
    if left:
        yield left


def read_jump(folder: Path) -> tuple[pl.DataFrame, Matrix]:
    """Return the wells of all plates, and the features that all batches have."""
    tables = [pl.read_csv(path, infer_schema_length=None) for path in sorted(folder.glob("*.csv.gz"))]
    shared = sorted(set.intersection(*(set(table.columns) for table in tables)))
    table = pl.concat([table.select(shared) for table in tables], how="vertical_relaxed")
    wells = table.select(
        plate="Metadata_Plate",
        well="Metadata_Well",
        is_negcon=(pl.col("Metadata_control_type") == "negcon").fill_null(False),
    )
    return wells, table.select(~pl.selectors.starts_with("Metadata_")).to_numpy().astype(np.float64)


def real_split(
    wells: pl.DataFrame, delivered: Matrix, names: NDArray[np.str_], held_out: NDArray[np.str_]
) -> tuple[Matrix, Matrix]:
    """Return raw and corrected p-values of control positions that are relabelled as treatments."""
    was_control = wells["is_negcon"].to_numpy()
    is_relabelled = was_control & np.isin(names, held_out)
    is_negcon = was_control & ~is_relabelled
    z = robust_z(delivered, plates=wells["plate"].to_list(), is_negcon=is_negcon).values[was_control]
    plates = wells["plate"].rank("dense").to_numpy().astype(np.intp)[was_control]
    names, is_negcon = names[was_control], is_negcon[was_control]
    treatments = np.where(is_negcon, -1, np.unique(names, return_inverse=True)[1])
    sets = score_positions(z, plates, names, is_negcon=is_negcon, treatments=treatments, seed=0, max_draws=MAX_DRAWS)
    p_values = np.empty(len(held_out))
    for number, name in enumerate(held_out):
        pool = is_negcon | (names == name)
        test = permutation_test(z[pool], plates[pool], ~is_negcon[pool], seed=0, max_draws=MAX_DRAWS)
        p_values[number] = test.p_value
    return p_values, sets.inflation().corrected(p_values)


def shuffled_names(wells: pl.DataFrame, rng: np.random.Generator) -> NDArray[np.str_]:
    """Return names of wells with the controls of each plate dealt over their positions."""
    names = wells["well"].to_numpy().astype(np.str_)
    plates, is_negcon = wells["plate"].to_numpy(), wells["is_negcon"].to_numpy()
    for plate in np.unique(plates):
        rows = np.flatnonzero((plates == plate) & is_negcon)
        names[rows] = names[rng.permutation(rows)]
    return names


def wilson(rate: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share of n."""
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(max(0.0, middle - half)), float(middle + half)


def real_rows(folder: Path, n_splits: int) -> Iterator[str]:
    """Yield the table of the real controls."""
    wells, delivered = read_jump(folder)
    positions = np.unique(wells.filter("is_negcon")["well"].to_numpy().astype(np.str_))
    yield f"{len(positions)} control positions, {wells['plate'].n_unique()} plates, {delivered.shape[1]} features"
    yield f"{'dealt':<14}{'raw':>7}{'interval':>14}{'corrected':>11}{'interval':>14}{'s':>6}"
    for dealt in ("by position", "shuffled"):
        start, rng = time.perf_counter(), np.random.default_rng(0)
        found = []
        for _ in range(n_splits):
            names = shuffled_names(wells, rng) if dealt == "shuffled" else wells["well"].to_numpy().astype(np.str_)
            held_out = rng.permutation(positions)[: len(positions) // 2]
            found.append([float((p < 0.05).mean()) for p in real_split(wells, delivered, names, held_out)])
        rates = np.mean(found, axis=0).tolist()
        ends = ["{:.3f}-{:.3f}".format(*wilson(rate, len(positions))) for rate in rates]
        shown = f"{rates[0]:>7.3f}{ends[0]:>14}{rates[1]:>11.3f}{ends[1]:>14}"
        yield f"{dealt:<14}{shown}{time.perf_counter() - start:>6.0f}"


def main() -> None:
    """Print the table that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screens", type=int, default=20, help="simulated screens a row")
    parser.add_argument("--splits", type=int, default=200, help="halves of the positions, over all screens of a row")
    parser.add_argument("--real", type=Path, help="folder of the real profiles: only these")
    options = parser.parse_args()
    with threadpool_limits(limits=1):
        rows = (
            real_rows(options.real, options.splits) if options.real else simulated_rows(options.screens, options.splits)
        )
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
