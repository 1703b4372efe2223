"""`hcs profiles correct`, `recipe` and `spherize --cross-fit` on files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hcs.cli.main import app
from hcs.errors import HcsError

CONTROLS = ("--controls", "Metadata_pert_type == 'negcon'")
ABOUT = ("--batch", "Metadata_Batch", "--perturbation", "Metadata_drug", "--count", "Metadata_Count_Cells")


def profiles(*arguments: object) -> tuple[str, BaseException | None]:
    ended = CliRunner().invoke(app, ["profiles", *map(str, arguments)])
    return ended.stdout, ended.exception


@pytest.fixture(autouse=True)
def wells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Four shuffled plates of 96 wells with a gradient, 20 controls each, in two batches."""
    rng = np.random.default_rng(0)
    deals = np.concatenate([rng.permutation(96) for _ in range(4)])
    well = np.tile(np.arange(96), 4)
    plates = np.repeat(np.arange(4), 96)
    gradient = 2.5 * (well // 12) / 7
    table = pl.DataFrame(
        {
            "Metadata_Plate": [f"P{plate}" for plate in plates],
            "Metadata_Batch": [f"B{plate // 2}" for plate in plates],
            "Metadata_Well": [f"{'ABCDEFGH'[place // 12]}{place % 12 + 1:02}" for place in well],
            "Metadata_pert_type": np.where(deals < 20, "negcon", "trt"),
            "Metadata_drug": [f"drug{deal}" for deal in deals],
            "Metadata_Count_Cells": rng.integers(100, 200, 384),
        }
    ).with_columns(pl.Series(f"F{i}", rng.normal(size=384) + gradient) for i in range(6))
    monkeypatch.chdir(tmp_path)
    table.write_parquet("wells.parquet")
    return table


def test_a_correction_says_what_it_was_fitted_on_found_and_leaks(wells: pl.DataFrame) -> None:
    out, error = profiles("correct", "wells.parquet", "out.csv", "--method", "median-polish", *ABOUT, *CONTROLS)

    assert error is None
    lines = out.splitlines()
    assert lines[0] == "median-polish: fitted on all 384 wells of 4 plates, labels ignored"
    assert lines[1].startswith("batch 1 of 2: row and column effects p = 0.001 (999 permutations of 40 negative")
    assert lines[-1].startswith("fitted on half of the controls, it leaves the others ")
    made = pl.read_csv("out.csv")
    assert made.columns == wells.columns
    assert made["Metadata_Well"].to_list() == wells["Metadata_Well"].to_list()
    in_row_a = pl.col("Metadata_Well").str.starts_with("A")
    assert abs(made.filter(in_row_a)["F0"].mean() - made["F0"].mean()) < 0.3


def test_cross_fitting_marks_which_controls_to_compare_with(wells: pl.DataFrame) -> None:
    for command in (("correct", "--method", "sphering"), ("spherize", "--method", "ZCA")):
        out, error = profiles(command[0], "wells.parquet", "out.parquet", *command[1:], *CONTROLS, "--cross-fit")

        assert error is None
        assert "held-out controls lie" in out or "it leaves the others" in out
        made = pl.read_parquet("out.parquet")
        held = made.filter(~pl.col("Metadata_is_fitted"))
        assert held.group_by("Metadata_Plate").len()["len"].to_list() == [10] * 4
        assert held["Metadata_pert_type"].unique().to_list() == ["negcon"]


def test_a_recipe_tells_its_steps(wells: pl.DataFrame) -> None:
    out, error = profiles("recipe", "jump-crispr", "wells.parquet", "out.parquet", *ABOUT, *CONTROLS, "--cross-fit")

    assert error is None
    assert out.startswith("steps: wellpos, cell-count, variant-features, mad, outliers, featselect, sphering, harm")
    assert "are not corrected for chromosome arms here" in out
    assert "held-out controls lie" in out.splitlines()[-1]
    assert pl.read_parquet("out.parquet").select(pl.col("^F.$")).to_numpy().shape == (384, 6)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--method", "polish"], 2, "--method is one of none,"),
        (["--method", "loess", "--seed", "1"], 2, "leave --seed out"),
        (["--method", "sphering", "--cross-fit"], 2, "no plate has two"),
        (["--method", "cell-count", *CONTROLS], 4, "--count"),
        (["--method", "wellpos"], 4, "name the column of the perturbations"),
        (["--method", "median-polish", "--well", "Metadata_drug"], 4, "name their column with --well"),
        (["--method", "none", "--plate", "Plate"], 2, "name others with --plate"),
    ],
)
def test_what_cannot_be_done_is_an_error_and_writes_nothing(arguments: list[str], code: int, message: str) -> None:
    _, error = profiles("correct", "wells.parquet", "out.csv", *arguments)

    assert isinstance(error, HcsError)
    assert error.exit_code == code
    assert message in str(error)
    assert not Path("out.csv").exists()


def test_a_gap_is_refused_by_the_name_of_its_feature(wells: pl.DataFrame) -> None:
    wells.with_columns(F3=pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise(pl.col("F3"))).write_csv("gap.csv")

    _, error = profiles("correct", "gap.csv", "out.csv", "--method", "none")

    assert "F3 is missing or infinite in 1 of 384 rows" in str(error)
