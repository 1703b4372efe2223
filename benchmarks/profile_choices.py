"""Why stop 5 whitens and shrinks the way it does. Prints the tables of the documentation.

    python benchmarks/profile_choices.py whitening [--screens 8] [--features 64 640 2880] [--plates 6] [--toxic .2]
    python benchmarks/profile_choices.py scales [--screens 24]
    python benchmarks/profile_choices.py jump ../shared/data/profiles_jump_moa

`whitening` and `scales` use simulated wells: embeddings whose noise has a falling spectrum (variance of factor i ~ 1/i,
up to 200 factors, 10 % of it independent; t5 tails a well), 76 treatments once a plate, plates of 16 controls. An
active treatment is shifted by .5 control standard deviations a feature, root mean square, in a direction drawn from the
square root of the noise spectrum; 70 % of it is shared by its mechanism, of which there are 8, or 1 where the table
says so. `jump` uses real profiles of 90 compounds on 4 plates of 24 controls, delivered as robust z.

Columns: power and null are the shares of active and inactive treatments with p < .05 (p < .005) by the joint design
permutation on all controls, of profiles as they were scaled; mechanism is the share of actives whose nearest other
treatment has their mechanism.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.profiling.control_scale import PlateSpreads, steady_scale
from hcs.profiling.normalize import LARGEST_Z, robust_z
from hcs.profiling.whiten import whiten
from hcs.statistics.consensus import consensus
from hcs.statistics.permutation import permutation_test
from hcs.statistics.robust import median_and_mad

Matrix = NDArray[np.float64]
MOST_TESTED = 20


@dataclass(frozen=True)
class Screen:
    """Simulated wells. Treatment -1 is the negative control; mechanism -1 inactive, -2 toxic."""

    values: Matrix
    plates: NDArray[np.intp]
    treatments: NDArray[np.intp]
    mechanisms: NDArray[np.intp]

    @property
    def is_negcon(self) -> NDArray[np.bool_]:
        """Return which wells are negative controls."""
        return self.treatments < 0


def simulate(
    rng: np.random.Generator,
    *,
    n_features: int,
    share_active: float,
    n_mechanisms: int = 8,
    effect: float = 0.5,
    share_toxic: float = 0.0,
    n_plates: int = 6,
    n_controls: int = 16,
    n_treatments: int = 76,
) -> Screen:
    """Return the wells of one screen."""
    n_factors = min(n_features, 200)
    strength = 1 / np.arange(1, n_factors + 1)
    basis = rng.normal(size=(n_features, n_factors))
    loadings = basis * np.sqrt(strength)
    loadings *= np.sqrt(0.9 / (loadings**2).sum(axis=1, keepdims=True))

    def direction() -> Matrix:
        drawn = (basis * strength**0.25) @ rng.normal(size=n_factors)
        return drawn / np.sqrt((drawn**2).mean())

    n_active = max(1, round(share_active * n_treatments)) if share_active else 0
    shared = [direction() for _ in range(n_mechanisms)]
    mechanisms = np.where(np.arange(n_treatments) < n_active, np.arange(n_treatments) % n_mechanisms, -1)
    mechanisms[n_treatments - round(share_toxic * n_treatments) :] = -2
    shift = np.zeros((n_treatments + 1, n_features))
    for treatment in range(n_active):
        own = np.sqrt(0.7) * shared[mechanisms[treatment]] + np.sqrt(0.3) * direction()
        shift[treatment] = effect * own / np.sqrt((own**2).mean())
    shift[:-1][mechanisms == -2] = 6 * rng.normal(size=n_features)
    treatments = np.tile(np.r_[np.arange(n_treatments), np.full(n_controls, -1)], n_plates)
    plates = np.repeat(np.arange(n_plates), n_treatments + n_controls)
    tails = np.sqrt(5 / rng.chisquare(5, size=(len(plates), 1)))
    noise = (tails * rng.normal(size=(len(plates), n_factors))) @ loadings.T
    noise += np.sqrt(0.1) * rng.normal(size=noise.shape)
    gain, offset = np.exp(0.1 * rng.normal(size=(n_plates, n_features))), rng.normal(size=(n_plates, n_features))
    values = gain[plates] * (noise + 0.5 * offset[plates]) + shift[treatments]
    return Screen(values, plates, treatments, mechanisms)


def z_profiles(screen: Screen) -> Matrix:
    """Return what stop 5 makes before whitening."""
    return robust_z(screen.values, plates=screen.plates.astype(str), is_negcon=screen.is_negcon).values


def product(z: Matrix, _: NDArray[np.bool_]) -> Matrix:
    """Whiten as stop 5 does."""
    return whiten(z, is_fitted=np.ones(len(z), dtype=np.bool_))[0]


def on_all_wells(wells_per_component: float, ridge: float) -> Callable[[Matrix, NDArray[np.bool_]], Matrix]:
    """Return PCA whitening on all wells, with one component for so many wells."""

    def fit(z: Matrix, _: NDArray[np.bool_]) -> Matrix:
        variances, directions = _spectrum(z)
        k = max(1, min(int(len(z) / wells_per_component), int((variances > 1e-10 * variances[0]).sum())))
        return z @ (directions[:, :k] / np.sqrt(variances[:k] + ridge * variances[:k].mean()))

    return fit


def on_controls(ridge: float) -> Callable[[Matrix, NDArray[np.bool_]], Matrix]:
    """Return ZCA fitted on the negative controls; directions that they do not span get their smallest variance."""

    def fit(z: Matrix, is_negcon: NDArray[np.bool_]) -> Matrix:
        variances, directions = _spectrum(z[is_negcon])
        kept = variances > 1e-10 * variances[0]
        variances, directions = variances[kept], directions[:, kept]
        gains = 1 / np.sqrt(variances + ridge * variances.mean())
        return (z @ directions * (gains - gains[-1])) @ directions.T + z * gains[-1]

    return fit


def _spectrum(z: Matrix) -> tuple[Matrix, Matrix]:
    _, singular, directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    return singular**2 / (len(z) - 1), directions.T


WHITENINGS: dict[str, Callable[[Matrix, NDArray[np.bool_]], Matrix]] = {
    "none": lambda z, _: z,
    "stop 5: 1 in 4 wells <= 128, ridge 1": product,
    **{
        f"all wells, 1 in {wells}, ridge {ridge}": on_all_wells(wells, ridge)
        for wells in (18, 9, 4, 2)
        for ridge in (0.0, 0.3, 1.0)
    },
    "ZCA on controls, ridge .001": on_controls(1e-3),
    "ZCA on controls, ridge 1": on_controls(1.0),
}


def p_values(profiles: Matrix, screen: Screen, treatments: NDArray[np.intp], *, seed: int) -> Matrix:
    """Return the p-value of each treatment against all controls of its plates."""
    found = []
    for treatment in treatments[:MOST_TESTED]:
        pool = np.flatnonzero((screen.treatments == treatment) | screen.is_negcon)
        is_replicate = screen.treatments[pool] == treatment
        wells = (profiles[pool], screen.plates[pool], is_replicate)
        test = permutation_test(*wells, seed=seed, max_draws=999, is_rescaled=False)
        found.append(test.p_value)
    return np.array(found)


def judge(profiles: Matrix, screen: Screen, *, seed: int) -> dict[str, float]:
    """Return power, null rate and mechanism accuracy of one screen."""
    active = p_values(profiles, screen, np.flatnonzero(screen.mechanisms >= 0), seed=seed)
    null = p_values(profiles, screen, np.flatnonzero(screen.mechanisms == -1), seed=seed)
    return {
        "power .05": float((active < 0.05).mean()) if active.size else np.nan,
        "power .005": float((active < 0.005).mean()) if active.size else np.nan,
        "null .05": float((null < 0.05).mean()),
        "mechanism": nearest_has_same_mechanism(profiles, screen),
    }


def nearest_has_same_mechanism(profiles: Matrix, screen: Screen) -> float:
    """Return the share of actives whose nearest other active shares their mechanism, if there are two of each."""
    members = np.flatnonzero(screen.mechanisms >= 0)
    if len(members) < 16:
        return np.nan
    rows = np.isin(screen.treatments, members)
    names, values = consensus(profiles[rows], screen.treatments[rows].astype(str), operation="median")
    units = values / np.linalg.norm(values, axis=1, keepdims=True)
    similarity = units @ units.T
    np.fill_diagonal(similarity, -np.inf)
    mechanism = screen.mechanisms[[int(name) for name in names]]
    return float((mechanism[similarity.argmax(axis=1)] == mechanism).mean())


def print_mean(label: str, rows: list[dict[str, float]]) -> None:
    """Print one line: the mean of each figure over screens, and the standard error of the null rate."""
    figures = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    cells = [f"{name} {np.nanmean(values):.3f}" for name, values in figures.items() if not np.isnan(values).all()]
    error = figures["null .05"].std(ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.nan
    print(f"  {label:38s} {'  '.join(cells)}  (null +- {error:.3f})", flush=True)


def compare_whitenings(arguments: argparse.Namespace) -> None:
    """Print power, null and mechanism over shares of actives, for every whitening."""
    for n_features in arguments.features:
        for share, n_mechanisms in ((0.0, 8), (0.013, 8), (0.1, 8), (0.42, 8), (0.5, 1)):
            options = {"n_features": n_features, "share_active": share, "n_mechanisms": n_mechanisms}
            print(f"\n{n_features} features, {share:.1%} active in {n_mechanisms} mechanisms", arguments.toxic or "")
            judged: dict[str, list[dict[str, float]]] = {name: [] for name in WHITENINGS}
            for seed in range(arguments.screens):
                rng = np.random.default_rng([seed, n_features, round(1000 * share)])
                screen = simulate(rng, **options, n_plates=arguments.plates, share_toxic=arguments.toxic)
                z = z_profiles(screen)
                for name, fit in WHITENINGS.items():
                    judged[name].append(judge(fit(z, screen.is_negcon), screen, seed=seed))
            for name, rows in judged.items():
                print_mean(name, rows)


SCALES: dict[str, Callable[[PlateSpreads], Matrix]] = {
    "own controls alone": lambda plates: plates.control_scale,
    "stop 5": steady_scale,
    "s0 pooled over all plates, nothing else": lambda plates: _shrunk(plates, _pooled(plates)),
    "s0 the median over features": lambda plates: _shrunk(
        plates, np.median(plates.control_scale, axis=1, keepdims=True)
    ),
    "spread of all wells, no controls": lambda plates: np.broadcast_to(_blind(plates), plates.spread.shape),
}


def _pooled(plates: PlateSpreads) -> Matrix:
    return np.sqrt(np.average(plates.control_scale**2, axis=0, weights=plates.n_controls - 1))


def _blind(plates: PlateSpreads) -> Matrix:
    return np.sqrt((plates.spread**2).mean(axis=0))


def _shrunk(plates: PlateSpreads, borrowed: Matrix) -> Matrix:
    n = plates.n_controls[:, None]
    return np.sqrt((16 * borrowed**2 + n * plates.control_scale**2) / (16 + n))


def z_by_scale(screen: Screen, scale: Callable[[PlateSpreads], Matrix]) -> Matrix:
    """Return clipped z of every plate, divided by this scale; features without one on any plate are left out."""
    plates = [screen.values[screen.plates == plate] for plate in np.unique(screen.plates)]
    controls = [screen.values[(screen.plates == plate) & screen.is_negcon] for plate in np.unique(screen.plates)]
    measured = PlateSpreads(
        n_controls=np.array([len(wells) for wells in controls]),
        n_wells=np.array([len(wells) for wells in plates]),
        control_scale=np.stack([median_and_mad(wells)[1] for wells in controls]),
        spread=np.stack([wells.std(axis=0) for wells in plates]),
    )
    divisors = scale(measured)
    kept = (divisors > 1e-3 * measured.spread).all(axis=0)
    z = [
        (wells[:, kept] - np.median(own, axis=0)[kept]) / divisor[kept]
        for wells, own, divisor in zip(plates, controls, divisors, strict=True)
    ]
    return np.clip(np.concatenate(z), -LARGEST_Z, LARGEST_Z)


def compare_scales(arguments: argparse.Namespace) -> None:
    """Print null and power of plates with few controls, for every way to borrow a scale."""
    for n_plates, n_controls in ((3, 4), (6, 4), (12, 4), (6, 8), (6, 12)):
        print(f"\n{n_plates} plates of {n_controls} controls, 300 features, a third of them cut at zero")
        judged: dict[str, list[dict[str, float]]] = {name: [] for name in SCALES}
        for seed in range(arguments.screens):
            rng = np.random.default_rng([seed, n_plates, n_controls])
            screen = simulate(
                rng, n_features=300, share_active=0.4, effect=0.8, n_plates=n_plates, n_controls=n_controls
            )
            sparse = screen.values[:, :100]
            screen.values[:, :100] = np.maximum(sparse - sparse.mean(axis=0) - 0.5, 0)
            for name, scale in SCALES.items():
                judged[name].append(judge(z_by_scale(screen, scale), screen, seed=seed))
        for name, rows in judged.items():
            print_mean(name, rows)


def compare_on_jump(arguments: argparse.Namespace) -> None:
    """Print retrieval in other wells, same compound and same mechanism, on real profiles."""
    metadata, values = read_jump(arguments.folder)
    is_negcon = (metadata["control_type"] == "negcon").to_numpy()
    z = robust_z(values, plates=metadata["plate"].to_numpy().astype(str), is_negcon=is_negcon).values
    print(f"{len(values)} wells, {values.shape[1]} features; delivered: {retrieval(values, metadata)}")
    for name, fit in WHITENINGS.items():
        print(f"  {name:38s} {retrieval(fit(z, is_negcon), metadata)}", flush=True)


def read_jump(folder: Path) -> tuple[pl.DataFrame, Matrix]:
    """Return the wells of all batches and the features that all have."""
    tables = [pl.read_csv(path, infer_schema_length=None) for path in sorted(folder.glob("*.csv.gz"))]
    shared = set.intersection(*(set(table.columns) for table in tables))
    features = sorted(name for name in shared if not name.startswith("Metadata_"))
    table = pl.concat([table.select(sorted(shared)) for table in tables], how="vertical_relaxed")
    names = {"Plate": "plate", "Well": "well", "Common Name": "compound", "MoA": "mechanism"}
    metadata = table.select(
        **{short: pl.col(f"Metadata_{name}") for name, short in names.items()},
        control_type=pl.col("Metadata_control_type").fill_null("treatment"),
    )
    return metadata, table.select(features).to_numpy().astype(np.float64)


def retrieval(profiles: Matrix, metadata: pl.DataFrame) -> str:
    """Return how often the nearest well in another position has the compound, or of another compound the mechanism."""
    rows = (metadata["control_type"] != "negcon").to_numpy()
    units = profiles[rows] / np.linalg.norm(profiles[rows], axis=1, keepdims=True)
    similarity = units @ units.T
    shares = []
    for label, apart in (("compound", "well"), ("mechanism", "compound")):
        names, kept_apart = (metadata[column].fill_null("").to_numpy().astype(str)[rows] for column in (label, apart))
        nearest = np.where(kept_apart[:, None] == kept_apart[None, :], -np.inf, similarity).argmax(axis=1)
        shares.append(f"{label} {(names[nearest] == names).mean():.3f}")
    return "  ".join(shares)


def main() -> None:
    """Run one comparison with one BLAS thread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run in _commands():
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("--screens", type=int, default=8)
        if name == "whitening":
            command.add_argument("--features", type=int, nargs="+", default=[64, 640, 2880])
            command.add_argument("--plates", type=int, default=6)
            command.add_argument("--toxic", type=float, default=0.0, help="Share of strongly toxic treatments.")
        if name == "jump":
            command.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with threadpool_limits(limits=1):
        arguments.run(arguments)


def _commands() -> Iterator[tuple[str, Callable[[argparse.Namespace], None]]]:
    yield "whitening", compare_whitenings
    yield "scales", compare_scales
    yield "jump", compare_on_jump


if __name__ == "__main__":
    main()
