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

BOTH = "variance_threshold,correlation_threshold"
DMSO = "Metadata_treatment == 'DMSO'"
HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "replace-pycytominer.md"


@dataclass(frozen=True)
class Ended:
    """What a command printed, and the error that it would end with."""

    out: str
    err: str
    error: BaseException | None


def profiles(*arguments: object) -> Ended:
    """Run a command of the group in this process."""
    ended = CliRunner().invoke(app, ["profiles", *map(str, arguments)])
    return Ended(ended.stdout, ended.stderr, ended.exception)


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
    made = profiles("select", wells, "out.csv.gz", "--operation", BOTH, "--report", "why.csv")

    assert made.out == "correlation_threshold: 1 feature left out\n11 of 12 features kept\n"
    why = pl.read_csv("why.csv").filter(~pl.col("is_kept"))
    assert why["operation"].to_list() == ["correlation_threshold"]
    assert why["feature"][0] not in pl.read_csv("out.csv.gz").columns


def test_rows_of_a_well_become_one_and_controls_are_sphered(wells: Path) -> None:
    table = pl.read_csv(wells).with_columns(cells=pl.lit(10))
    pl.concat([table, table]).write_parquet("sites.parquet")
    counts = ("--cells", "cells", "--metadata", "cells", "--minimum-cells", 20)

    made = profiles("aggregate", "sites.parquet", "wells.parquet", "--operation", "mean", *counts)
    sphered = profiles("spherize", "wells.parquet", "sphered.parquet", "--method", "PCA", "--epsilon", 0)

    assert made.out == "96 rows became 48\n", made.error
    assert sphered.out == "fitted on 48 rows, which fill 12 of 12 directions\n", sphered.error
    result = pl.read_parquet("sphered.parquet")
    assert result["Metadata_n_cells"].to_list() == [20] * 48
    assert result["Metadata_is_fitted"].all()
    components = result.select(pl.col("^PC.*$")).to_numpy()
    np.testing.assert_allclose(np.cov(components.T), np.eye(12), atol=1e-9)


def test_wells_of_too_few_cells_keep_their_rows_and_are_not_fitted_on(wells: Path) -> None:
    counts = pl.Series("cells", [5] * 2 + [50] * 46)
    pl.read_csv(wells).with_columns(counts).write_csv("sites.csv")
    profiles("aggregate", "sites.csv", "wells.csv", "--cells", "cells", "--metadata", "cells", "--minimum-cells", 10)

    made = profiles("normalize", "wells.csv", "out.parquet", "--by", "Metadata_Plate")
    none = profiles("normalize", "wells.csv", "none.csv", "--controls", "Metadata_is_fitted == false")

    assert pl.read_parquet("out.parquet").height == 48
    assert "each fitted on 22 to 24 rows" in made.out
    assert "2 rows not fitted on" in made.err
    assert "Metadata_is_fitted is false in all 2" in str(none.error)


def odd_table(wells: Path) -> pl.DataFrame:
    """Return the table with a feature that does not vary among controls, and a gap in it."""
    is_control = pl.col("Metadata_treatment") == "DMSO"
    table = pl.read_csv(wells).with_columns(Cells_F1=pl.when(is_control).then(1.0).otherwise(pl.col("Cells_F1")))
    return table.with_columns(Cells_F1=pl.when(pl.int_range(pl.len()) == 40).then(None).otherwise(pl.col("Cells_F1")))


def test_normalizing_keeps_all_rows_and_features_in_their_order_and_says_what_became_0(wells: Path) -> None:
    odd_table(wells).write_csv("odd.csv")

    made = profiles("normalize", "odd.csv", "out.csv", "--controls", DMSO)

    result = pl.read_csv("out.csv")
    assert result.columns == pl.read_csv("odd.csv").columns
    assert result["Metadata_Well"].to_list() == pl.read_csv(wells)["Metadata_Well"].to_list()
    assert result["Cells_F1"].drop_nulls().unique().to_list() == [0.0]
    assert result["Cells_F1"].null_count() == 1
    assert "1 feature set to 0 in every group: hardly varying in the fitted rows of a group: Cells_F1" in made.out


def test_features_that_hardly_vary_can_be_left_out_or_divided_by_an_epsilon(wells: Path) -> None:
    odd_table(wells).write_csv("odd.csv")

    dropped = profiles("normalize", "odd.csv", "dropped.csv", "--controls", DMSO, "--degenerate", "drop")
    divided = profiles("normalize", "odd.csv", "divided.csv", "--controls", DMSO, "--epsilon", 0.5)

    assert "1 feature left out" in dropped.out
    assert "Cells_F1" not in pl.read_csv("dropped.csv").columns
    raw, made = (pl.read_csv(name) for name in ("odd.csv", "divided.csv"))
    np.testing.assert_allclose(made["Cells_F1"].drop_nulls(), (raw["Cells_F1"].drop_nulls() - 1.0) / 0.5)
    controls = raw.filter(pl.col("Metadata_treatment") == "DMSO", pl.col("Metadata_Plate") == 101)[
        "Cells_F2"
    ].to_numpy()
    mad = np.median(np.abs(controls - np.median(controls)))
    expected = (raw["Cells_F2"][20] - np.median(controls)) / (1.4826 * mad + 0.5)
    assert made["Cells_F2"][20] == pytest.approx(expected, rel=1e-12)
    assert divided.out == "2 groups, each fitted on 12 to 12 rows\n"


def test_a_borrowed_fit_and_a_shrunk_scale_are_said(wells: Path) -> None:
    only = "Metadata_Plate == 101"
    lacking = profiles("normalize", wells, "all.csv", "--controls", only, "--lacking", "all", "--method", "standardize")
    shrunk = profiles("normalize", wells, "shrunk.csv", "--controls", DMSO, "--shrink")

    assert "Metadata_Plate 102: no row to fit on, fitted on all of its rows" in lacking.out
    assert "Metadata_Plate 102: scale shrunk towards the others', fitted on 12 rows alone" in shrunk.out


def test_features_can_be_named_by_a_pattern(wells: Path) -> None:
    pl.read_csv(wells).with_columns(Remark=pl.lit("a note")).write_csv("noted.csv")

    made = profiles("normalize", "noted.csv", "out.csv", "--features", "^Cells_F[0-4]$")

    assert pl.read_csv("out.csv").columns[3:] == [f"Cells_F{i}" for i in range(5)]
    assert "8 columns left out" in made.err


def test_older_spellings_do_the_same_and_say_what_to_write(wells: Path) -> None:
    new = profiles("normalize", wells, "a.csv", "--controls", DMSO)
    old = profiles("normalize", wells, "b.csv", "--fit-on", "Metadata_treatment=DMSO")
    selected = profiles("select", wells, "c.csv", "--operation", BOTH)
    stepped = profiles("select", wells, "d.csv", "--step", "variance", "--step", "correlation")
    spherized = profiles("spherize", wells, "e.csv", "--method", "ZCA", "--controls", DMSO)
    sphered = profiles("sphere", wells, "f.csv", "--form", "ZCA", "--fit-on", "Metadata_treatment=DMSO")

    for one, other in (("a", "b"), ("c", "d"), ("e", "f")):
        assert Path(f"{one}.csv").read_bytes() == Path(f"{other}.csv").read_bytes()
    assert (new.err, selected.err, spherized.err) == ("", "", "")
    assert "write --controls \"Metadata_treatment == 'DMSO'\"" in old.err
    assert f"write --operation {BOTH}" in stepped.err
    assert "write hcs profiles spherize" in sphered.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["normalize", "--fit-on", "DMSO"], 2, "--fit-on is COLUMN=VALUE"),
        (["normalize", "--fit-on", "Metadata_treatment=drug0", "--by", "Metadata_Well"], 4, "have none"),
        (["normalize", "--by", "batch"], 2, "no column batch"),
        (["normalize", "--controls", "Metadata_treatmet == 'x'"], 2, "the nearest are Metadata_treatment"),
        (["normalize", "--controls", "Metadata_treatment == 'dmso'"], 4, "Metadata_treatment holds DMSO, drug0"),
        (["normalize", "--method", "standardize", "--epsilon", 1], 2, "belongs to mad_robustize"),
        (["normalize", "--method", "inverse_normal", "--shrink"], 2, "has no scale"),
        (["normalize", "--features", "("], 2, "regular expression"),
        (["select"], 2, "--operation takes one or more"),
        (["select", "--operation", "variance"], 2, "but 'variance' came"),
        (["select", "--operation", "noise_removal"], 2, "say what was done to each well"),
        (["select", "--operation", BOTH, "--variance", 1e9], 2, "no feature passes"),
        (["aggregate", "--cells", "cells"], 2, "no metadata column cells"),
        (["spherize", "--controls", "Metadata_treatment == 'nothing'"], 4, "none of 48 is such a row"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_ours_and_writes_nothing(wells: Path, arguments, code, message) -> None:
    ended = profiles(arguments[0], wells, "out.csv", *arguments[1:])

    assert isinstance(ended.error, HcsError)
    assert ended.error.exit_code == code
    assert message in str(ended.error)
    assert not Path("out.csv").exists()
