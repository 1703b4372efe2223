"""Do p-values keep their promise, and what do calls find? Prints the tables of the documentation.

    python benchmarks/calibration.py [rates] [power] [discoveries] [doses] [singlicates] [auto] [primary]
        [statistic] [--seeds 200] [--layouts 8x32 ...]

Simulated wells of 64 correlated features whose spectrum falls by e over 20 components, normal or with Student's t of
4 degrees of freedom. "5x64" is five plates with one replicate of each treatment and 64 controls a plate.

- rates: treatments that do nothing, 200 to a set of controls. `clean` compares wells as they were drawn, `robust z`
  normalizes each plate on the controls that are scored, `split z` on one half of them and scores against the other.
- power: 30 % of 100 treatments active, beside copairs' null on the same wells.
- discoveries: 10 % of 200 treatments active at .60, after robust z on the scored controls.
- doses: the same where four of them are doses of a compound, by compounds and by doses.
- singlicates: the same of 200 wells without a replicate, 10 on each of 20 plates, also active at 1.00.
- auto: 10 % of 200 treatments active at .60, six plates of 32 controls in three batches without and with an effect of
  their own, from raw profiles through a run's stop 5 with `correct: auto`.
- primary: as singlicates, from raw profiles through stops 5 and 6 of a run, whitened on all wells.
- statistic: mean similarity, which is what is used, beside mean average precision with ties broken by it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.hits.activity import evaluate
from hcs.hits.copairs import call_as_copairs
from hcs.hits.singlicates import call_singlicates
from hcs.hits.treatments import ScreenWells, screen_wells
from hcs.profiling.batches import WITHOUT_LABELS
from hcs.profiling.profiles import build_profiles
from hcs.simulation.deliver_profiles import BATCH_EFFECTS
from hcs.simulation.profiles import ProfileDesign, simulate_profiles
from hcs.statistics.control_pool import control_pool
from hcs.statistics.designs import Layout, draw_designs
from hcs.statistics.multiple_testing import benjamini_hochberg
from hcs.statistics.permutation import permutation_tests
from hcs.statistics.robust import median_and_mad, spatial_median
from schemas.screen import ProfileConfig

N_FEATURES = 64
LAYOUTS = ((2, 16), (2, 64), (3, 16), (5, 16), (8, 16), (8, 32), (5, 64))
LEVELS = (0.001, 0.01, 0.05, 0.1)
MAX_DRAWS = 99_999

Wells = NDArray[np.float64]


def noise(rng: np.random.Generator, n: int, *, tails: bool) -> Wells:
    """Return wells (n, 64) with unit variances; the directions are the same for a generator's seed sequence."""
    directions, _ = np.linalg.qr(np.random.default_rng(7).standard_normal((N_FEATURES, N_FEATURES)))
    spectrum = np.exp(-np.arange(N_FEATURES) / 20)
    mixing = directions * np.sqrt(spectrum * N_FEATURES / spectrum.sum())
    drawn = rng.standard_normal((n, N_FEATURES)) @ mixing.T
    return drawn / np.sqrt(rng.chisquare(4, size=(n, 1)) / 4 * 2) if tails else drawn


def plates_of(
    rng: np.random.Generator, n_plates: int, n_controls: int, shifts: Wells, *, how: str, tails: bool = False
) -> tuple[Wells, Wells]:
    """Return treatments (T, plates, 64) and the controls that are negatives (plates, n, 64), normalized."""
    treated, controls = [], []
    for _ in range(n_plates):
        wells = noise(rng, len(shifts) + n_controls, tails=tails)
        own, negatives = wells[: len(shifts)] + shifts, wells[len(shifts) :]
        fitted = negatives[: n_controls // 2] if how == "split z" else negatives
        if how != "clean":
            median, scale = median_and_mad(fitted)
            own, negatives = (own - median) / scale, (negatives - median) / scale
        treated.append(own)
        controls.append(negatives[n_controls // 2 :] if how == "split z" else negatives)
    return np.stack(treated, axis=1), np.stack(controls)


def p_values(treated: Wells, controls: Wells) -> NDArray[np.float64]:
    """Return the p-value of each treatment."""
    n_plates, n_controls, _ = controls.shape
    pool = control_pool(
        controls.reshape(-1, N_FEATURES), np.repeat(np.arange(n_plates), n_controls), dict.fromkeys(range(n_plates), 1)
    )
    tests = permutation_tests(pool, treated[:, list(pool.plates)], seed=0, max_draws=MAX_DRAWS)
    return np.array([test.p_value for test in tests])


def rates(n_sets: int, layouts: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Yield the table of rates among treatments that do nothing, with the standard error between sets of controls."""
    yield "| layout | wells | noise | " + " | ".join(f"p <= {a:g}" for a in LEVELS) + " | p > .95 | above a + 3.5 SE |"
    yield "| --- | --- | --- |" + " ---: |" * 5 + " --- |"
    for n_plates, n_controls in layouts:
        for how in ("clean", "robust z", "split z"):
            for tails in (False, True):
                rng = np.random.default_rng([n_plates, n_controls, tails, len(how)])
                nothing = np.zeros((200, N_FEATURES))
                p = np.stack(
                    [
                        p_values(*plates_of(rng, n_plates, n_controls, nothing, how=how, tails=tails))
                        for _ in range(n_sets)
                    ]
                )
                cells, broken = [], []
                for level in LEVELS:
                    by_set = (p <= level).mean(axis=1)
                    error = by_set.std(ddof=1) / np.sqrt(n_sets)
                    cells.append(f"{by_set.mean():.4f} ± {error:.4f}")
                    if by_set.mean() > level + 3.5 * error:
                        broken.append(f"{level:g}")
                yield (
                    f"| {n_plates}x{n_controls} | {how} | {'t4' if tails else 'normal'} | {' | '.join(cells)} | "
                    f"{(p > 0.95).mean():.3f} | {', '.join(broken) or 'none'} |"
                )


def screen_of(treated: Wells, controls: Wells, *, n_doses: int = 1) -> ScreenWells:
    """Return wells as calls want them; consecutive treatments are doses of one compound."""
    n_treatments, n_plates, _ = treated.shape
    n = n_treatments + controls.shape[1]
    profiles = np.concatenate([np.concatenate([treated[:, p], controls[p]]) for p in range(n_plates)])
    names = [f"c{t // n_doses:04d}" for t in range(n_treatments)] + ["DMSO"] * controls.shape[1]
    doses = [float(t % n_doses) for t in range(n_treatments)] + [0.0] * controls.shape[1]
    wells = pl.DataFrame(
        {
            "plate": [f"p{p}" for p in range(n_plates) for _ in range(n)],
            # Dealt anew on every plate: what is looked at here is the null, without positions.
            "well": [f"w{p}-{w}" for p in range(n_plates) for w in range(n)],
            "batch": "b",
            "perturbation": names * n_plates,
            "concentration_micromolar": doses * n_plates,
            "dose_step": pl.Series([None] * (n * n_plates), dtype=pl.Float64),
            "control_type": ["negcon" if name == "DMSO" else "treatment" for name in names] * n_plates,
            "cell_count": pl.Series([None] * (n * n_plates), dtype=pl.Float64),
        }
    )
    return screen_wells(profiles, wells)


def found(is_hit: NDArray[np.bool_], is_active: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the share of the active that is found, and the share of the found that is not active."""
    return float(is_hit[is_active].mean()), float(is_hit[~is_active].sum() / max(1, is_hit.sum()))


def power(n_screens: int) -> Iterator[str]:
    """Yield the table of power at 5x64, 30 % active."""
    yield "| effect | joint: found | false | copairs: found | false |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    is_active = np.arange(100) < 30
    for effect in (0.3, 0.45, 0.6):
        joint, copairs = [], []
        for seed in range(n_screens):
            rng = np.random.default_rng([seed, 17])
            shifts = effect * rng.standard_normal((100, N_FEATURES)) * is_active[:, None]
            screen = screen_of(*plates_of(rng, 5, 64, shifts, how="clean"))
            joint.append(found(evaluate(screen, q_max=0.05, seed=0).calls["is_hit"].to_numpy(), is_active))
            as_copairs = call_as_copairs(screen, same_plate=True, q_max=0.05, seed=0)
            copairs.append(found(as_copairs["is_hit"].to_numpy(), is_active))
        (j, f), (c, g) = np.mean(joint, axis=0), np.mean(copairs, axis=0)
        yield f"| {effect:.2f} | {j:.3f} | {f:.3f} | {c:.3f} | {g:.3f} |"


def discoveries(n_seeds: int) -> Iterator[str]:
    """Yield the table of false discovery proportions."""
    yield from _heading("screen")
    for n_controls in (32, 64):
        results = []
        for seed in range(n_seeds):
            rng = np.random.default_rng([seed, 1, n_controls])
            is_active = np.arange(200) < 20
            shifts = 0.6 * rng.standard_normal((200, N_FEATURES)) * is_active[:, None]
            screen = screen_of(*plates_of(rng, 5, n_controls, shifts, how="robust z"))
            results.append(found(evaluate(screen, q_max=0.05, seed=0).calls["is_hit"].to_numpy(), is_active))
        yield _row(f"200 treatments, 5x{n_controls}", results)


def doses(n_seeds: int) -> Iterator[str]:
    """Yield the same of families: 50 compounds at 4 doses, of a tenth of which the upper two doses are active."""
    yield from _heading("screen")
    for n_controls in (32, 64):
        compounds, singly = [], []
        for seed in range(n_seeds):
            rng = np.random.default_rng([seed, 4, n_controls])
            number = np.arange(200) // 4
            is_active = (number < 5) & (np.arange(200) % 4 >= 2)
            shifts = 0.6 * rng.standard_normal((50, N_FEATURES))[number] * is_active[:, None]
            screen = screen_of(*plates_of(rng, 5, n_controls, shifts, how="robust z"), n_doses=4)
            calls = evaluate(screen, q_max=0.05, seed=0).calls.sort("perturbation", "concentration_micromolar")
            hits = calls["is_hit"].to_numpy()
            compounds.append(found(hits.reshape(-1, 4).any(axis=1), is_active.reshape(-1, 4).any(axis=1)))
            singly.append(found(hits, is_active))
        yield _row(f"50 compounds x 4 doses, 5x{n_controls}: compounds", compounds)
        yield _row(f"50 compounds x 4 doses, 5x{n_controls}: doses", singly)


def singlicates(n_seeds: int) -> Iterator[str]:
    """Yield the same of 200 wells without a replicate, ten on each of 20 plates, a tenth of them active by .60 or 1."""
    yield from _heading("screen")
    normalized = [(effect, n, "robust z") for effect, n in ((0.6, 32), (0.6, 64), (0.6, 128), (1.0, 32), (1.0, 64))]
    for effect, n_controls, how in [*normalized, (1.0, 32, "clean")]:
        results = []
        for seed in range(n_seeds):
            rng = np.random.default_rng([seed, 3, n_controls])
            results.append(_of_singlicates(rng, effect, how=how, n_plates=20, n_controls=n_controls, n_wells=10))
        yield _row(f"200 wells, {effect:.2f}, {how}, 20 plates of {n_controls} controls", results)


def auto(n_seeds: int) -> Iterator[str]:
    """Yield the same of screens whose correction for batches the run chooses, and what it chose."""
    yield from _heading("screen")
    for effect in ("none", "medium"):
        results, picks = [], Counter()
        for seed in range(n_seeds):
            design = ProfileDesign(
                n_batches=3, n_plates=2, n_features=N_FEATURES, n_compounds=200, n_mechanisms=20, n_negcon=32,
                n_poscon=4, active_share=0.1, effect=0.6, nuisances=BATCH_EFFECTS[effect],
            )  # fmt: skip
            screen = simulate_profiles(design, seed=seed)
            truth = dict(screen.truth.select("perturbation", "is_active").iter_rows())
            calls, notes = _of_a_run(screen.wells, screen.profiles)
            is_active = np.array([truth[name] for name in calls["perturbation"]])
            results.append(found(calls["is_hit"].to_numpy(), is_active))
            picks[next((name for name in WITHOUT_LABELS if f"corrected by {name}:" in notes), "none")] += 1
        told = ", ".join(f"{name} {n}" for name, n in sorted(picks.items()))
        yield _row(f"200 treatments, 6x32, batch effect {effect}, picked {told}", results)


def primary(n_seeds: int) -> Iterator[str]:
    """Yield the same of wells without a replicate as a run calls them."""
    yield from _heading("screen")
    for effect, n_controls in ((0.6, 32), (0.6, 64), (1.0, 32), (1.0, 64)):
        results = []
        for seed in range(n_seeds):
            rng = np.random.default_rng([seed, 5, n_controls])
            treated, controls = [], []
            for _ in range(20):
                shifts = effect * rng.standard_normal((10, N_FEATURES)) * (np.arange(10) < 1)[:, None]
                own, negatives = plates_of(rng, 1, n_controls, shifts, how="clean")
                treated.append(own[:, 0])
                controls.append(negatives[0])
            names = [[f"c{plate}-{well}" for well in range(10)] + ["DMSO"] * n_controls for plate in range(20)]
            wells = pl.DataFrame(
                {
                    "plate": np.repeat([f"p{plate}" for plate in range(20)], 10 + n_controls),
                    "well": [f"w{plate}-{well}" for plate in range(20) for well in range(10 + n_controls)],
                    "batch": "b",
                    "perturbation": [name for plate in names for name in plate],
                    "control_type": ["negcon" if name == "DMSO" else "treatment" for plate in names for name in plate],
                    "cell_count": 100.0,
                }
            )
            profiles = np.concatenate([np.concatenate(pair) for pair in zip(treated, controls, strict=True)])
            calls, _ = _of_a_run(wells, profiles)
            results.append(found(calls["is_hit"].to_numpy(), calls["perturbation"].str.ends_with("-0").to_numpy()))
        yield _row(f"200 wells, {effect:.2f}, 20 plates of {n_controls} controls", results)


def _of_a_run(wells: pl.DataFrame, profiles: Wells) -> tuple[pl.DataFrame, str]:
    """Return the calls that a run makes of raw profiles of one encoder, controls left out, and the notes of stop 5."""
    unknown = pl.lit(None, dtype=pl.Float64)
    columns = ("plate", "well", "batch", "perturbation", "control_type", "cell_count")
    known = wells.select(columns).with_columns(
        pl.col("cell_count").cast(pl.Float64), concentration_micromolar=unknown, dose_step=unknown
    )
    made = build_profiles(known, {"one": profiles.astype(np.float64)}, config=ProfileConfig())
    calls = evaluate(screen_wells(made.blocks["one"], known), q_max=0.05, seed=0).calls
    return calls.filter(control_type="treatment"), "\n".join(made.notes)


def _of_singlicates(
    rng: np.random.Generator,
    effect: float,
    *,
    how: str,
    n_plates: int,
    n_controls: int,
    n_wells: int,
    n_active: int = 1,
) -> tuple[float, float]:
    profiles = []
    for _ in range(n_plates):
        shifts = effect * rng.standard_normal((n_wells, N_FEATURES)) * (np.arange(n_wells) < n_active)[:, None]
        treated, controls = plates_of(rng, 1, n_controls, shifts, how=how)
        profiles += [treated[:, 0], controls[0]]
    place = np.tile(np.arange(n_wells + n_controls), n_plates)
    calls = call_singlicates(
        np.concatenate(profiles),
        plates=[f"p{number}" for number in np.repeat(np.arange(n_plates), n_wells + n_controls)],
        wells=[f"w{number}" for number in place],
        is_control=place >= n_wells,
        q_max=0.05,
    )
    return found(calls["is_hit"].to_numpy(), place[calls["row"].to_numpy()] < n_active)


def _heading(first: str) -> Iterator[str]:
    yield f"| {first} | found | mean FDP | mean - 1.65 SE | sd |"
    yield "| --- | ---: | ---: | ---: | ---: |"


def _row(name: str, results: list[tuple[float, float]]) -> str:
    recall, false = np.array(results).T
    error = false.std(ddof=1) / np.sqrt(len(results))
    return (
        f"| {name} | {recall.mean():.3f} | {false.mean():.4f} | {false.mean() - 1.65 * error:.4f} | "
        f"{false.std(ddof=1):.3f} |"
    )


def statistic(n_screens: int) -> Iterator[str]:
    """Yield the table of both statistics on the same wells and as many draws: 1,999 for each treatment."""
    yield "| layout, wells | effect | mean similarity | mean average precision | null p <= .05 | the same |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    is_active = np.arange(100) < 30
    for n_plates, n_controls, how in ((5, 64, "clean"), (5, 16, "robust z"), (3, 16, "robust z")):
        for effect in (0.45, 0.6):
            results, nulls = [], []
            seconds = np.zeros(2)
            for seed in range(n_screens):
                rng = np.random.default_rng([seed, 29, n_plates, n_controls])
                shifts = effect * rng.standard_normal((100, N_FEATURES)) * is_active[:, None]
                treated, controls = plates_of(rng, n_plates, n_controls, shifts, how=how)
                started = time.process_time()
                first = _both_p_values(treated, controls, seed=seed)
                seconds += time.process_time() - started
                hits = [benjamini_hochberg(p) <= 0.05 for p in first]
                results.append([hit[is_active].mean() for hit in hits])
                nulls.append([(p[~is_active] <= 0.05).mean() for p in first])
            recall, null = np.mean(results, axis=0), np.mean(nulls, axis=0)
            yield (
                f"| {n_plates}x{n_controls}, {how} | {effect:.2f} | {recall[0]:.3f} | {recall[1]:.3f} | "
                f"{null[0]:.3f} | {null[1]:.3f} |"
            )


def _both_p_values(treated: Wells, controls: Wells, *, seed: int, n_draws: int = 1999) -> list[NDArray[np.float64]]:
    n_plates, n_controls, _ = controls.shape
    layout = Layout((n_controls + 1,) * n_plates, (1,) * n_plates)
    designs = draw_designs(layout, n_draws, np.random.default_rng(seed))
    designs = np.vstack([np.arange(n_plates) * (n_controls + 1) + n_controls, designs]).astype(np.int32)
    found_p = np.empty((2, len(treated)))
    for number, own in enumerate(treated):
        pools = [np.vstack([controls[plate], own[plate]]) for plate in range(n_plates)]
        centred = np.vstack([pool - spatial_median(pool) for pool in pools])
        units = centred / np.linalg.norm(centred, axis=1)[:, None]
        contrast, precision = _scores(units @ units.T, designs, n_controls + 1)
        found_p[0, number] = (contrast >= contrast[0] - 1e-9).mean()
        is_higher = (precision > precision[0] + 1e-9) | (
            (np.abs(precision - precision[0]) <= 1e-9) & (contrast >= contrast[0] - 1e-9)
        )
        found_p[1, number] = is_higher.mean()
    return list(found_p)


def _scores(
    similarities: Wells, designs: NDArray[np.int32], n_wells: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the contrast and the mean average precision of every design."""
    n_dealt = designs.shape[1]
    contrast, precision = np.zeros(len(designs)), np.zeros(len(designs))
    for query in range(n_dealt):
        own = designs[:, query]
        others = np.delete(designs, query, axis=1)
        positives = similarities[own[:, None], others]
        on_plate = similarities[own, query * n_wells : (query + 1) * n_wells].copy()
        total = on_plate.sum(axis=1) - 1
        np.put_along_axis(on_plate, (own - query * n_wells)[:, None].astype(np.intp), -2.0, axis=1)
        above = (on_plate[:, None, :] > positives[:, :, None]).sum(axis=2)
        places = np.arange(1, n_dealt)
        precision += (places / (places + np.sort(above, axis=1))).mean(axis=1) / n_dealt
        contrast += (positives.mean(axis=1) - total / (n_wells - 1)) / n_dealt
    return contrast, precision


def _layout(text: str) -> tuple[int, int]:
    n_plates, n_controls = text.split("x")
    return int(n_plates), int(n_controls)


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="rates, power, discoveries, doses, ... [all]")
    parser.add_argument("--layouts", nargs="+", default=LAYOUTS, type=_layout, help="of the rates, as 5x64")
    parser.add_argument("--sets", type=int, default=100, help="sets of controls a row of the rates")
    parser.add_argument("--seeds", type=int, default=200, help="screens a row of the discoveries")
    parser.add_argument("--screens", type=int, default=20, help="screens a row of the others")
    options = parser.parse_args()
    tables: dict[str, Callable[[], Iterator[str]]] = {
        "rates": lambda: rates(options.sets, options.layouts),
        "power": lambda: power(options.screens),
        "discoveries": lambda: discoveries(options.seeds),
        "doses": lambda: doses(options.seeds),
        "singlicates": lambda: singlicates(options.seeds),
        "auto": lambda: auto(options.seeds),
        "primary": lambda: primary(options.seeds),
        "statistic": lambda: statistic(options.screens),
    }
    unknown = sorted(set(options.parts) - set(tables))
    if unknown:
        parser.error(f"parts are {', '.join(tables)}, but {unknown[0]} came")
    with threadpool_limits(limits=1):
        for part in options.parts or tables:
            for row in tables[part]():
                print(row, flush=True)
            print()


if __name__ == "__main__":
    main()
