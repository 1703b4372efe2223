"""`hcs profiles` on files, and the how-to that replaces a pipeline of pycytominer by it."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from commands import hcs
from cytominer import pycytominer
from typer.testing import CliRunner

from hcs.cli.main import app
from hcs.errors import HcsError

HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "replace-pycytominer.md"


@dataclass(frozen=True)
class Ended:
    """What a command printed, and the error that it would end with."""

    out: str
    error: BaseException | None


def profiles(*arguments: object) -> Ended:
    """Run a command of the group in this process."""
    ended = CliRunner().invoke(app, ["profiles", *map(str, arguments)])
    return Ended(ended.stdout, ended.exception)


@pytest.fixture(autouse=True)
def _peers_own_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pycytominer|pandas|sklearn|numpy)")
        yield


@pytest.fixture
def wells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two plates of 24 wells, half of them controls, and 12 features, two of which nearly agree."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(48, 4)) @ rng.normal(size=(4, 12)) + rng.normal(size=(48, 12)) + 5.0
    values[:, 3] = values[:, 2] * 2.0 + 0.1 * rng.normal(size=48)
    metadata = {
        "Metadata_Plate": ["101"] * 24 + ["102"] * 24,
        "Metadata_Well": [f"{row}{column:02}" for row in "AB" for column in range(1, 13)] * 2,
        "Metadata_treatment": (["DMSO"] * 12 + [f"drug{i}" for i in range(4) for _ in range(3)]) * 2,
    }
    table = pl.DataFrame(metadata).with_columns(pl.Series(f"Cells_F{i}", values[:, i]) for i in range(12))
    table.write_csv(tmp_path / "wells.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "wells.csv"


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of the how-to that are in this language."""
    return re.findall(rf"```{language}\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.slow
def test_the_commands_of_the_how_to_give_what_its_lines_of_pycytominer_give(wells: Path) -> None:
    commands = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    shown = [line for block in blocks("console") for line in block.splitlines() if not line.startswith("$ ")]
    printed = []
    for command in commands:
        program, *arguments = shlex.split(command)
        ended = hcs(*arguments, cwd=wells.parent)
        assert (program, ended.code) == ("hcs", 0), ended.err
        printed += ended.out.splitlines()
    assert printed == shown
    made: dict[str, object] = {"pd": pd}
    (code,) = blocks("python")

    exec(code, made)  # noqa: S102 -- the page is ours

    theirs = made["drugs"].sort_values("Metadata_treatment")  # type: ignore[attr-defined]
    ours = pl.read_csv(wells.parent / "drugs.csv")
    assert sorted(ours.columns) == sorted(theirs.columns)
    np.testing.assert_array_equal(ours["Metadata_treatment"].to_list(), theirs["Metadata_treatment"])
    features = ours.columns[1:]
    np.testing.assert_allclose(ours[features].to_numpy(), theirs[features].to_numpy(), rtol=1e-9)
    assert pycytominer.__about__.__version__ in HOW_TO.read_text(encoding="utf-8")


def test_a_report_says_why_features_went(wells: Path) -> None:
    made = profiles("select", wells, "out.csv.gz", "--step", "variance", "--step", "correlation", "--report", "why.csv")

    assert made.out == "correlation: 1 feature left out\n11 of 12 features kept\n"
    why = pl.read_csv("why.csv").filter(~pl.col("is_kept"))
    assert why["step"].to_list() == ["correlation"]
    assert why["feature"][0] not in pl.read_csv("out.csv.gz").columns


def test_rows_of_a_well_become_one_and_controls_are_sphered(wells: Path) -> None:
    table = pl.read_csv(wells).with_columns(cells=pl.lit(10))
    pl.concat([table, table]).write_parquet("sites.parquet")
    counts = ("--cells", "cells", "--metadata", "cells", "--minimum-cells", 21)

    made = profiles("aggregate", "sites.parquet", "wells.parquet", "--operation", "mean", *counts)
    sphered = profiles("sphere", "wells.parquet", "sphered.parquet", "--form", "PCA", "--epsilon", 0)

    assert made.out == "96 rows became 48\n", made.error
    assert sphered.out == "fitted on 48 rows, which fill 12 of 12 directions\n", sphered.error
    result = pl.read_parquet("sphered.parquet")
    assert result["Metadata_n_cells"].to_list() == [20] * 48
    assert not result["Metadata_is_fitted"].any()
    components = result.select(pl.col("^PC.*$")).to_numpy()
    np.testing.assert_allclose(np.cov(components.T), np.eye(12), atol=1e-9)


def test_what_was_left_out_or_borrowed_is_said(wells: Path) -> None:
    constant = pl.when(pl.col("Metadata_treatment") == "DMSO").then(1.0).otherwise(pl.col("Cells_F1"))
    pl.read_csv(wells).with_columns(Cells_F1=constant).write_csv("odd.csv")

    made = profiles("normalize", "odd.csv", "out.csv", "--fit-on", "Metadata_treatment=DMSO")
    lacking = profiles(
        "normalize", wells, "all.csv", "--fit-on", "Metadata_Plate=101", "--lacking", "all", "--method", "standardize"
    )

    assert "1 feature left out, which hardly vary there: Cells_F1" in made.out
    assert "Cells_F1" not in pl.read_csv("out.csv").columns
    assert "Metadata_Plate 102: no row to fit on, fitted on all of its rows" in lacking.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["normalize", "--fit-on", "DMSO"], 2, "--fit-on is COLUMN=VALUE"),
        (["normalize", "--fit-on", "Metadata_treatment=drug0", "--by", "Metadata_Well"], 4, "have none"),
        (["normalize", "--by", "batch"], 2, "no column batch"),
        (["select", "--step", "noise_removal"], 2, "say what was done to each well"),
        (["select", "--step", "variance", "--variance", 1e9], 2, "no feature passes"),
        (["aggregate", "--cells", "cells"], 2, "no metadata column cells"),
        (["sphere", "--fit-on", "Metadata_treatment=nothing"], 4, "none of 48 is such a row"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_ours_and_writes_nothing(wells: Path, arguments, code, message) -> None:
    ended = profiles(arguments[0], wells, "out.csv", *arguments[1:])

    assert isinstance(ended.error, HcsError)
    assert ended.error.exit_code == code
    assert message in str(ended.error)
    assert not Path("out.csv").exists()
