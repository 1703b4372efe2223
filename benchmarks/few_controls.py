"""Few controls for each replicate on a plate: does p keep its promise? Prints the tables of the documentation.

    python benchmarks/few_controls.py simulated [--sets 120]
    python benchmarks/few_controls.py jump ../shared/data/profiles_jump_moa [--sets 300]

Treatments are tested on profiles as they were scaled, and as calls do it: on one scale with the controls beside them,
where these are few.

- simulated: wells of 64 correlated features, normal or skewed (lognormal), 20 treatments that do nothing and 20 active
  at .30 to a set of controls, as they were drawn, with robust z on the controls that are compared with, and by the
  scale of stop 5, which is shrunk where controls are few. `found` is the share of the active with p <= .01.
- jump: real profiles of 90 compounds on 4 plates of 24 controls, of which some are dealt to be controls and others to
  be a treatment that does nothing; robust z as stop 5 has it is fitted again on those that stay controls. Feature
  selection is the delivered one, which has seen all of them. `found` is the share of compounds with p <= .01.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from calibration import N_FEATURES, noise
from numpy.typing import NDArray
from profile_choices import read_jump
from threadpoolctl import threadpool_limits

from hcs.profiling.normalize import robust_z
from hcs.statistics.permutation import design_tests, design_tests_as_given
from hcs.statistics.robust import median_and_mad

NORMAL = ((5, 8, 1), (5, 8, 2), (5, 8, 4), (5, 8, 8), (5, 16, 2), (5, 16, 4), (5, 16, 8), (5, 32, 2), (5, 64, 4))
SKEWED = ((10, 4, 1), (10, 8, 1), (10, 16, 1), (5, 8, 2), (5, 8, 4), (5, 32, 2))
"""Plates, controls on each, replicates on each."""
DEALT = ((8, 1), (8, 2), (8, 4), (12, 4), (16, 4))
"""Controls on each plate, replicates on each."""
MAX_DRAWS = 9_999
SETS_OF_COMPOUNDS = 3
Wells = NDArray[np.float64]
Rows = NDArray[np.integer]


def simulated(n_sets: int) -> Iterator[str]:
    """Yield the table of simulated treatments that do nothing, and of what is found."""
    yield "| plates x controls, replicates a plate | as drawn | robust z | run's z | called | found, drawn | called |"
    yield "| --- |" + " ---: |" * 6
    ways = (("clean", False), ("robust z", False), ("run's z", False), ("robust z", True))
    for is_skewed, layouts in ((False, NORMAL), (True, SKEWED)):
        for n_plates, n_controls, n_own in layouts:
            null, found = [], []
            for how, as_called in ways:
                rng = np.random.default_rng([n_plates, n_controls, n_own])
                layout = {"n_plates": n_plates, "n_controls": n_controls, "n_own": n_own, "is_skewed": is_skewed}
                p = np.stack([_of_a_set(rng, **layout, how=how, as_called=as_called) for _ in range(n_sets)])
                null.append(_share((p[:, :20] <= 0.05).mean(axis=1)))
                found.append(f"{(p[:, 20:] <= 0.01).mean():.2f}")
            name = f"{n_plates}x{n_controls}, {n_own}{', skewed' * is_skewed}"
            yield f"| {name} | {' | '.join(null)} | {found[0]} | {found[-1]} |"


def _share(by_set: NDArray[np.float64]) -> str:
    return f"{by_set.mean():.3f} ± {by_set.std(ddof=1) / np.sqrt(len(by_set)):.3f}"


def _of_a_set(
    rng: np.random.Generator, *, n_plates: int, n_controls: int, n_own: int, is_skewed: bool, how: str, as_called: bool
) -> NDArray[np.float64]:
    """Return the p-values of 20 treatments that do nothing, and of 20 that are active at .30."""
    n_treatments = 40
    shifts = 0.3 * rng.standard_normal((n_treatments, N_FEATURES)) * (np.arange(n_treatments) >= 20)[:, None]
    n_treated = n_treatments * n_own
    plates = np.repeat(np.arange(n_plates), n_treated + n_controls)
    is_control = np.tile(np.arange(n_treated + n_controls) >= n_treated, n_plates)
    wells = noise(rng, len(plates), tails=False)
    wells = np.exp(wells) if is_skewed else wells
    wells[~is_control] += np.tile(np.repeat(shifts, n_own, axis=0), (n_plates, 1))
    if how == "run's z":
        wells = robust_z(wells, plates=[str(number) for number in plates.tolist()], is_negcon=is_control).values
    elif how == "robust z":
        for number in range(n_plates):
            median, scale = median_and_mad(wells[(plates == number) & is_control])
            wells[plates == number] = (wells[plates == number] - median) / scale
    treated = np.flatnonzero(~is_control).reshape(n_plates, n_treatments, n_own).swapaxes(0, 1)
    rows = treated.reshape(n_treatments, -1)
    return _p_values(wells, plates, np.flatnonzero(is_control), rows, as_called=as_called)


def _p_values(wells: Wells, plates: Rows, controls: Rows, replicates: Rows, *, as_called: bool) -> NDArray[np.float64]:
    """Return the p-values of treatments with these rows (T, R)."""
    test = design_tests if as_called else design_tests_as_given
    beside = controls[np.isin(plates[controls], plates[replicates[0]])]
    of_controls, of_own = (wells[beside], plates[beside]), (wells[replicates], plates[replicates[0]])
    return np.array([one.p_value for one in test(*of_controls, *of_own, seed=0, max_draws=MAX_DRAWS)])


def jump(folder: Path, n_sets: int) -> Iterator[str]:
    """Yield the table of real control wells that are dealt to be treatments, and of what is found."""
    metadata, values = read_jump(folder)
    names = metadata["plate"].to_numpy().astype(str)
    plates = np.unique(names, return_inverse=True)[1]
    negatives = _by_plate((metadata["control_type"] == "negcon").to_numpy(), plates)
    treated = (metadata["control_type"] == "treatment").to_numpy()
    compounds = metadata["compound"].to_numpy().astype(str)
    wells_of = [_by_plate(treated & (compounds == name), plates) for name in np.unique(compounds[treated])]
    yield "| controls a plate, replicates a plate | as scaled | called | found, as scaled | called |"
    yield "| --- |" + " ---: |" * 4
    for n_controls, n_own in DEALT:
        null, found = np.empty((2, n_sets)), np.zeros(2)
        for number in range(n_sets):
            rng = np.random.default_rng([number, n_controls, n_own])
            dealt = [rng.permutation(rows)[: n_controls + n_own] for rows in negatives]
            controls = np.concatenate([rows[:n_controls] for rows in dealt])
            nothing = np.concatenate([rows[n_controls:] for rows in dealt])[None]
            z = robust_z(values, plates=names, is_negcon=np.isin(np.arange(len(values)), controls)).values
            own = [np.concatenate([rows[:n_own] for rows in wells])[None] for wells in wells_of]
            for way in range(2):
                null[way, number] = _p_values(z, plates, controls, nothing, as_called=bool(way))[0]
                if number < SETS_OF_COMPOUNDS:
                    p = [_p_values(z, plates, controls, rows, as_called=bool(way))[0] for rows in own]
                    found[way] += (np.array(p) <= 0.01).mean() / min(n_sets, SETS_OF_COMPOUNDS)
        rates = [_share((p <= 0.05).astype(np.float64)) for p in null]
        yield f"| {n_controls}, {n_own} | {' | '.join(rates)} | {found[0]:.2f} | {found[1]:.2f} |"


def _by_plate(is_one: NDArray[np.bool_], plates: Rows) -> list[Rows]:
    return [np.flatnonzero(is_one & (plates == plate)) for plate in np.unique(plates)]


def main() -> None:
    """Print one of the tables, with one BLAS thread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("simulated").add_argument("--sets", type=int, default=120)
    real = commands.add_parser("jump")
    real.add_argument("folder", type=Path)
    real.add_argument("--sets", type=int, default=300)
    options = parser.parse_args()
    with threadpool_limits(limits=1):
        rows = simulated(options.sets) if options.command == "simulated" else jump(options.folder, options.sets)
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
