"""Columns of tables of profiles may be called anything: names are data, and nothing of them is run or split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hcs.cli.main import app
from hcs.io.tables import read_table

PLATE = "Metadata_plate'; DROP TABLE runs; --"
KIND = 'Metadata_" OR 1=1 --'
FEATURES = ["Cells_x; DELETE FROM plates", "SELECT * FROM wells", "a,b", "Müller / 2"]
CONTROLS = ("--controls", f"`{KIND}` == 'negcon'")


def run(*arguments: str) -> str:
    ended = CliRunner().invoke(app, ["profiles", *arguments])
    assert ended.exception is None, ended.exception
    return ended.stdout


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Two plates of 24 wells, half of them controls."""
    rng = np.random.default_rng(0)
    made = pl.DataFrame(
        {
            PLATE: np.repeat(["1", "2"], 24),
            "Metadata_Well": [f"{row}{column:02}" for row in "AB" for column in range(1, 13)] * 2,
            KIND: (["negcon"] * 12 + ["treatment"] * 12) * 2,
        }
    ).with_columns(pl.Series(name, rng.normal(size=48)) for name in FEATURES)
    monkeypatch.chdir(tmp_path)
    made.write_csv("in.csv")
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ("normalize", "--by", PLATE, *CONTROLS),
        ("select", "--operation", "drop_na_columns,variance_threshold,correlation_threshold", *CONTROLS),
        ("spherize", *CONTROLS),
        ("aggregate", "--by", PLATE, "--by", KIND),
        ("correct", "--method", "combat", "--plate", PLATE, "--batch", PLATE, *CONTROLS),
    ],
    ids=lambda arguments: arguments[0],
)
def test_columns_named_like_sql_come_out_as_they_went_in(table: pl.DataFrame, arguments: tuple[str, ...]) -> None:
    run(arguments[0], "in.csv", "out.csv", *arguments[1:])

    made = read_table("out.csv")
    assert [name for name in made.columns if not name.startswith("Metadata_")] == FEATURES
    assert {PLATE, KIND} <= set(made.columns)
    assert made.height == (4 if arguments[0] == "aggregate" else table.height)
    assert made.select(FEATURES).to_numpy().dtype == np.float64
    assert np.isfinite(made.select(FEATURES).to_numpy()).all()
