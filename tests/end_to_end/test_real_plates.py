"""Real plates from their files to rows in the catalog."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands import hcs
from threadpoolctl import threadpool_limits

from hcs.hits.activity import call_activity
from hcs.profiling.profiles import build_profiles
from schemas.screen import ProfileConfig

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def screens(real_data: Path, real_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SCREEN.yaml and platemap of the real plates, made from what was delivered with them."""
    folder = tmp_path_factory.mktemp("real")
    weights = real_weights / "tf_mobilenetv3_large_minimal_100.safetensors"
    script = REPOSITORY / "examples" / "real_plates.py"
    subprocess.run([sys.executable, script, real_data, folder, "--weights", weights], check=True)
    return folder


@pytest.fixture(scope="module")
def foxo(screens: Path) -> Path:
    """The catalog of the dose-response plate's run."""
    catalog = screens / "foxo-store" / "catalog.sqlite"
    ended = hcs("run", screens / "sbs_foxo" / "SCREEN.yaml", "--catalog", catalog)
    assert ended.code == 0, ended.err
    return catalog


def hits(catalog: Path) -> list[dict[str, object]]:
    ended = hcs("hits", "--catalog", catalog, "--q-max", 1, "--format", "json")
    assert ended.code == 0, ended.err
    rows: list[dict[str, object]] = json.loads(ended.out)
    return rows


def test_the_dose_response_plate_is_accepted(screens: Path) -> None:
    ended = hcs("check", screens / "sbs_foxo" / "SCREEN.yaml", "--format", "json")

    report = json.loads(ended.out)
    assert ended.code == 0
    assert report["verdict"] == "accept"
    assert report["delivered"] == {"wells": 48, "sites": 48, "channels": 2, "images": 96}
    assert (report["n_negcon_wells"], report["n_poscon_wells"]) == (8, 4)


def test_its_positive_controls_are_found_and_high_doses_come_before_low_ones(foxo: Path) -> None:
    rows = hits(foxo)

    (positive,) = [row for row in rows if row["control_type"] == "poscon"]
    assert positive["mean_average_precision"] >= 0.9  # type: ignore[operator]
    assert positive["call"] == "active"
    assert positive["n_controls"] == 8
    doses = {row["dose_step"]: row for row in rows if row["control_type"] == "treatment"}
    assert sorted(doses) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert all(row["concentration_micromolar"] is None for row in rows)


def foxo_wells(catalog: Path, folder: Path) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """Return the wells of the plate in order and their exported vectors."""
    ended = hcs("export", "parquet", "latest", folder, "--catalog", catalog)
    assert ended.code == 0, ended.err
    wells = pl.read_parquet(folder / "wells.parquet").sort("plate", "well")
    (part,) = (folder / "embeddings").glob("*.parquet")
    sites = pl.read_parquet(part).sort("plate", "well", "site")
    assert sites["well"].to_list() == wells["well"].to_list()
    return wells, {"encoder": sites["embedding"].to_numpy().astype(np.float64)}


def test_of_all_ways_to_deal_its_negative_wells_hardly_any_looks_active(foxo: Path, tmp_path: Path) -> None:
    wells, embeddings = foxo_wells(foxo, tmp_path)
    wells = wells.with_columns(batch=pl.lit(None, dtype=pl.String), cell_count=pl.lit(None, dtype=pl.Float64))
    negatives = wells.filter(pl.col("control_type") == "negcon")["well"].to_list()
    assert len(negatives) == 8
    p_values = []
    for dealt in itertools.combinations(negatives, 4):
        dealt_wells = wells.with_columns(
            perturbation=pl.when(pl.col("well").is_in(dealt)).then(pl.lit("pseudo")).otherwise("perturbation"),
            control_type=pl.when(pl.col("well").is_in(dealt))
            .then(pl.lit("treatment"))
            .otherwise(pl.col("control_type").cast(pl.String))
            .cast(wells.schema["control_type"]),
        )
        with threadpool_limits(limits=1):
            profiles = build_profiles(dealt_wells, embeddings, config=ProfileConfig())
            calls = call_activity(profiles.blocks["combined"], dealt_wells, profile_name="combined", q_max=0.05, seed=0)
        (pseudo,) = calls.filter(pl.col("perturbation") == "pseudo").iter_rows(named=True)
        assert pseudo["n_controls"] == 4
        assert pseudo["smallest_possible_p"] == pytest.approx(1 / 70)
        p_values.append(pseudo["p_value"])

    assert len(p_values) == 70
    assert sum(p < 0.05 for p in p_values) <= 4, sorted(p_values)[:10]


def test_a_screen_too_small_to_call_says_so(screens: Path) -> None:
    catalog = screens / "imagehts-store" / "catalog.sqlite"

    ended = hcs("run", screens / "imagehts" / "SCREEN.yaml", "--catalog", catalog)

    assert ended.code in {0, 3}, ended.err
    rows = {str(row["perturbation"]): row for row in hits(catalog)}
    samples = [row for row in rows.values() if row["control_type"] == "treatment"]
    assert len(samples) == 2
    assert {row["call"] for row in samples} == {"underpowered"}
    assert all(row["n_replicates"] == 2 for row in samples)
