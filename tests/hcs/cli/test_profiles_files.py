"""`hcs profiles` on h5ad, and on tables that are reduced a plate at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hcs.cli.main import app
from hcs.errors import InputRejectedError, UsageError

CONTROLS = ("--controls", "Metadata_kind == 'negcon'")


def profiles(*arguments: object) -> tuple[str, BaseException | None]:
    ended = CliRunner().invoke(app, ["profiles", *map(str, arguments)])
    return ended.stdout, ended.exception


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(192, 4)) @ rng.normal(size=(4, 12)) + 0.3 * rng.normal(size=(192, 12)) + 9
    made = pl.DataFrame(
        {
            "Metadata_Plate": ["b"] * 96 + ["a"] * 96,
            "Metadata_kind": ["negcon" if row % 4 == 0 else "trt" for row in range(192)],
        }
    ).with_columns(pl.Series(f"F{i}", values[:, i].astype(np.float32)) for i in range(12))
    monkeypatch.chdir(tmp_path)
    made.write_parquet("in.parquet", row_group_size=50)
    return made


def test_h5ad_and_parquet_give_the_same(table: pl.DataFrame) -> None:
    pytest.importorskip("h5py", reason="the extra h5ad is not installed")

    profiles("normalize", "in.parquet", "n.h5ad", *CONTROLS)
    profiles("normalize", "in.parquet", "n.parquet", *CONTROLS)
    _, error = profiles("spherize", "n.h5ad", "s.parquet", *CONTROLS)
    profiles("spherize", "n.parquet", "t.parquet", *CONTROLS)

    assert error is None
    assert Path("s.parquet").read_bytes() == Path("t.parquet").read_bytes()


def test_reducing_a_plate_at_a_time_gives_the_components_of_normalized_profiles(table: pl.DataFrame) -> None:
    out, error = profiles("reduce", "in.parquet", "out.parquet", "--components", 4, *CONTROLS)
    profiles("normalize", "in.parquet", "n.parquet", *CONTROLS)

    assert error is None
    assert out.startswith("2 plates, 192 rows, each plate normalized on its rows with Metadata_kind == 'negcon'\n")
    made = pl.read_parquet("out.parquet")
    assert made.select("Metadata_Plate", "Metadata_kind").equals(table.select("Metadata_Plate", "Metadata_kind"))
    normalized = pl.read_parquet("n.parquet").select(pl.col("^F.*$")).to_numpy().astype(np.float64)
    centred = normalized - normalized.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ directions[:4].T
    found = made.select(pl.col("^Component.*$")).to_numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=0.02)


def test_features_that_do_not_vary_or_have_gaps_are_not_used(table: pl.DataFrame) -> None:
    gap = pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("F1")).alias("F1")
    table.with_columns(gap, F0=pl.lit(1.0, dtype=pl.Float32)).write_parquet("odd.parquet")

    out, error = profiles("reduce", "odd.parquet", "out.parquet", "--components", 3, *CONTROLS)

    assert error is None
    assert "2 features of 12 not used" in out


def test_rows_of_a_plate_that_lie_apart_and_too_many_components_are_refused(table: pl.DataFrame) -> None:
    table.sample(fraction=1.0, shuffle=True, seed=0).write_parquet("mixed.parquet")

    _, apart = profiles("reduce", "mixed.parquet", "out.parquet", "--components", 3)
    _, many = profiles("reduce", "in.parquet", "out.parquet", "--components", 13)
    _, none = profiles("reduce", "in.parquet", "out.parquet", "--plate", "Plate")

    assert isinstance(apart, InputRejectedError)
    assert "must stand together" in str(apart)
    assert isinstance(many, InputRejectedError)
    assert isinstance(none, UsageError)
    assert not Path("out.parquet").exists()
