"""Every operation on a profile matrix gives the numbers of pycytominer 1.7.1, on made-up and on real profiles."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cytominer import Spherize, aggregate, by_group, consensus, feature_select, frame, normalize, pycytominer
from numpy.typing import NDArray
from scipy.special import ndtr

from hcs.profiling.aggregate import aggregate_groups
from hcs.profiling.groups import group_rows
from hcs.profiling.scaling import normalize_groups
from hcs.profiling.select import STEPS, Cutoffs, select_features
from hcs.profiling.sphere import FORMS, fit_sphering, sphere
from hcs.statistics.consensus import consensus_of_groups

PEER_STEPS = {
    "variance": "variance_threshold",
    "frequency": "frequency_threshold",
    "correlation": "correlation_threshold",
    "drop_na": "drop_na_columns",
    "drop_outliers": "drop_outliers",
    "noise_removal": "noise_removal",
    "blocklist": "blocklist",
}


@dataclass(frozen=True)
class Table:
    """Profiles of wells."""

    metadata: pl.DataFrame
    values: NDArray[np.floating]
    features: list[str]
    controls: str
    """A condition of pandas on the metadata."""
    perturbation: str

    @property
    def is_control(self) -> NDArray[np.bool_]:
        return frame(self.metadata, self.values, self.features).eval(self.controls).to_numpy(dtype=bool)

    def as_dtype(self, dtype: type[np.floating]) -> Table:
        return Table(self.metadata, self.values.astype(dtype), self.features, self.controls, self.perturbation)

    def pandas(self):
        return frame(self.metadata, self.values, self.features)

    @property
    def inference(self) -> dict[str, list[str]]:
        return {"features": self.features, "meta_features": self.metadata.columns}


def made_up() -> Table:
    """Two plates of 96 wells and 80 features: offset, correlated, heavy-tailed, a few with gaps or ties."""
    rng = np.random.default_rng(1)
    n, d = 192, 80
    values = rng.normal(size=(n, 12)) @ rng.normal(size=(12, d)) + rng.standard_t(4, size=(n, d))
    values = values * 10 ** rng.uniform(-1, 1, d) + rng.normal(scale=5, size=d)
    values[:, 1] = values[:, 0] + 0.01 * rng.normal(size=n)
    values[:, 3] = -values[:, 2]
    values[:, 5] = np.round(values[:, 5] / 8)
    values[:, 7] = 0.0
    values[rng.integers(0, n, 4), 7] = 1.0
    values[10, 9] = 900.0
    values[rng.random(n) < 0.02, 11] = np.nan
    values[rng.random(n) < 0.3, 13] = np.nan
    metadata = pl.DataFrame(
        {
            "Metadata_Plate": ["one"] * 96 + ["two"] * 96,
            "Metadata_Well": [f"W{i:02}" for i in range(96)] * 2,
            "Metadata_pert": (["DMSO"] * 32 + [f"drug{i}" for i in range(32) for _ in range(2)]) * 2,
        }
    )
    names = [f"Cells_F{i}" for i in range(d - 1)] + ["Nuclei_Granularity_15_ER"]
    return Table(metadata, values, names, "Metadata_pert == 'DMSO'", "Metadata_pert")


def complete(table: Table) -> Table:
    """Return features without gaps that vary among the controls and do not depend on one another."""
    kept = [i for i in range(40) if i not in {1, 3, 5, 7, 11, 13}]
    return Table(
        table.metadata, table.values[:, kept], [table.features[i] for i in kept], table.controls, table.perturbation
    )


def read(path: Path, *, controls: str, perturbation: str) -> Table:
    delivered = pl.read_csv(path, infer_schema_length=None)
    features = [column for column in delivered.columns if not column.startswith("Metadata_")]
    metadata = delivered.select(pl.col("^Metadata_.*$").cast(pl.String))
    values = np.ascontiguousarray(delivered.select(pl.col(features).cast(pl.Float64)).to_numpy())
    return Table(metadata, values, features, controls, perturbation)


@pytest.fixture(scope="module")
def lincs(real_data: Path) -> Table:
    path = real_data / "profiles_lincs_plate" / "SQ00015054_normalized_feature_select.csv.gz"
    return read(path, controls="Metadata_broad_sample == 'DMSO'", perturbation="Metadata_broad_sample")


@pytest.fixture(scope="module")
def jump(real_data: Path) -> Table:
    path = next((real_data / "profiles_jump_moa").glob("*Batch1*.csv.gz"))
    return read(path, controls="Metadata_control_type == 'negcon'", perturbation="Metadata_broad_sample")


@pytest.fixture(params=["made up", "lincs", "jump"])
def table(request: pytest.FixtureRequest) -> Table:
    """Each of three tables of profiles."""
    return made_up() if request.param == "made up" else request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def _peers_own_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pycytominer|pandas|sklearn|numpy)")
        yield


def test_the_referee_is_the_release_that_whitens_rightly() -> None:
    assert pycytominer.__about__.__version__ == "1.7.1"


def both_normalized(table: Table, *, method: str, rows: str) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return our values and the peer's, plate by plate."""
    samples = table.controls if rows == "controls" else "all"
    ours = normalize_groups(
        table.values,
        group_rows(table.metadata, ["Metadata_Plate"]),
        method=method,
        is_fitted=table.is_control if rows == "controls" else None,
        degenerate="keep",
    )
    theirs = by_group(
        table.pandas(),
        "Metadata_Plate",
        lambda part: normalize(part, samples=samples, method=method, **table.inference),
    )
    return ours.values, theirs[table.features].to_numpy()


@pytest.mark.parametrize("rows", ["controls", "all"])
@pytest.mark.parametrize("method", ["mad_robustize", "robustize", "standardize"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_normalization_plate_by_plate_has_the_peers_numbers(table, method, rows, dtype, tolerance):
    ours, theirs = both_normalized(table.as_dtype(dtype), method=method, rows=rows)

    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("rows", ["controls", "all"])
@pytest.mark.parametrize("table", ["made up", "lincs"], indirect=True)
def test_normal_scores_are_the_peers_but_for_ties_which_move_by_less_than_a_rank(table, rows):
    ours, theirs = both_normalized(table, method="inverse_normal", rows=rows)

    plate = table.metadata["Metadata_Plate"].to_numpy()
    fitted = table.is_control if rows == "controls" else np.ones(len(plate), dtype=bool)
    is_tied = np.zeros(ours.shape, dtype=bool)
    for name in np.unique(plate):
        for feature in range(ours.shape[1]):
            values, counts = np.unique(table.values[(plate == name) & fitted, feature], return_counts=True)
            is_tied[plate == name, feature] = np.isin(table.values[plate == name, feature], values[counts > 1])
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours[~is_tied], theirs[~is_tied], rtol=1e-12, atol=1e-11)
    n_fitted = min(fitted[plate == name].sum() for name in np.unique(plate))
    np.testing.assert_allclose(ndtr(ours[is_tied]), ndtr(theirs[is_tied]), atol=1.01 / (n_fitted - 1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_controls", ["more than features", "fewer than features"])
def test_sphering_is_the_peers(form, n_controls):
    table = complete(made_up())
    rows = np.flatnonzero(table.is_control)[: None if n_controls.startswith("more") else 20]
    theirs = Spherize(method=form, return_numpy=True)
    part = table.pandas()[table.features]

    ours = fit_sphering(table.values[rows], form=form)

    theirs.fit(part.iloc[rows])
    expected, made = theirs.transform(part), sphere(table.values, ours)
    if form.startswith("PCA"):  # the sign of a component is nobody's, and so is a basis of what no control fills
        made, expected = np.abs(made[:, : ours.rank]), np.abs(expected[:, : ours.rank])
    np.testing.assert_allclose(made, expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("form", ["ZCA-cor", "ZCA"])
def test_sphering_of_real_controls_is_the_peers(lincs, form):
    varies = np.ptp(lincs.values[lincs.is_control], axis=0) > 0
    values = lincs.values[:, varies]
    part = lincs.pandas()[[name for name, does in zip(lincs.features, varies, strict=True) if does]]
    theirs = Spherize(method=form, return_numpy=True).fit(part[lincs.is_control])

    made = sphere(values, fit_sphering(values[lincs.is_control], form=form))

    expected = theirs.transform(part)
    np.testing.assert_allclose(made, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("step", STEPS)
def test_one_selection_step_keeps_the_peers_features(table, step):
    check_selection(table.as_dtype(np.float32), [step], Cutoffs())


@pytest.mark.parametrize("rows", ["controls", "all"])
@pytest.mark.parametrize("table", ["made up", "lincs"], indirect=True)
def test_steps_one_after_the_other_keep_the_peers_features(table, rows):
    steps = ["variance", "correlation", "drop_na", "blocklist", "drop_outliers", "frequency"]
    check_selection(table, steps, Cutoffs(), controls_only=rows == "controls")


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_correlation_step_keeps_the_peers_features_at_any_threshold(threshold, dtype):
    check_selection(made_up().as_dtype(dtype), ["correlation"], Cutoffs(correlation=threshold))


def check_selection(table: Table, steps: list[str], cutoffs: Cutoffs, *, controls_only: bool = False) -> None:
    noise = {"noise_removal_perturb_groups": table.perturbation, "noise_removal_stdev_cutoff": cutoffs.noise}
    selected = feature_select(
        table.pandas(),
        features=table.features,
        samples=table.controls if controls_only else "all",
        operation=[PEER_STEPS[step] for step in steps],
        corr_threshold=cutoffs.correlation,
        **(noise if "noise_removal" in steps else {}),
    )

    ours = select_features(
        table.values,
        table.features,
        steps=steps,
        cutoffs=cutoffs,
        is_fitted=table.is_control if controls_only else None,
        perturbations=table.metadata[table.perturbation].to_list(),
    )

    expected = [name for name in selected.columns if name in set(table.features)]
    assert ours.report.filter("is_kept")["feature"].to_list() == expected


@pytest.mark.parametrize("operation", ["mean", "median"])
def test_aggregation_has_the_peers_numbers(table, operation):
    by = ["Metadata_Plate", table.perturbation]

    ours = aggregate_groups(table.values, group_rows(table.metadata, by), operation=operation)

    theirs = aggregate(table.pandas(), strata=by, features=table.features, operation=operation)
    assert ours.groups.select(by).rows() == [tuple(row) for row in theirs[by].replace({np.nan: None}).to_numpy()]
    np.testing.assert_allclose(ours.values, theirs[table.features].to_numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("operation", ["mean", "median", "modz"])
@pytest.mark.parametrize("by", [["Metadata_Plate", "perturbation"], ["perturbation"]])
def test_consensus_has_the_peers_numbers(table, operation, by):
    table = table if operation != "modz" else without_gaps(table)
    columns = [table.perturbation if column == "perturbation" else column for column in by]
    groups = group_rows(table.metadata, columns)

    ours = consensus_of_groups(table.values, groups.order, groups.starts, operation=operation)

    theirs = consensus(table.pandas(), columns, operation, features=table.features)
    if operation == "modz":
        theirs = theirs.sort_values(columns, na_position="last")
    np.testing.assert_allclose(ours, theirs[table.features].to_numpy(), rtol=1e-12, atol=1e-12)


def without_gaps(table: Table) -> Table:
    kept = ~np.isnan(table.values).any(axis=0)
    names = [name for name, is_kept in zip(table.features, kept, strict=True) if is_kept]
    return Table(table.metadata, table.values[:, kept], names, table.controls, table.perturbation)
