"""`hcs score` of tables of several cell lines: each as if the others were not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hcs.cli.main import app
from hcs.errors import InputRejectedError, UsageError

LINES = ("A549", "U2OS")
WELLS = ("--perturbation", "Metadata_compound", "--controls", "Metadata_type == 'negcon'")


def table(*, n_plates: int = 4, n_compounds: int = 8, n_controls: int = 12, seed: int = 0) -> pl.DataFrame:
    """Return wells of two cell lines on the same plates, in which other compounds are active and controls differ."""
    rng = np.random.default_rng(seed)
    names = [f"c{number}" for number in range(n_compounds)] + ["DMSO"] * n_controls
    parts = []
    for line, active in zip(LINES, ([0, 1], [6, 7]), strict=True):
        shifts = np.zeros((len(names), 10))
        shifts[active] = 2 * rng.standard_normal((2, 10))
        for plate in range(n_plates):
            values = rng.standard_normal((len(names), 10)) + shifts + 5 * (line == "U2OS")
            parts.append(
                pl.DataFrame(
                    {
                        "Metadata_Plate": [f"P{plate}"] * len(names),
                        "Metadata_Well": [f"{line}-{number}" for number in range(len(names))],
                        "Metadata_line": [line] * len(names),
                        "Metadata_hours": [48] * len(names),
                        "Metadata_compound": names,
                        "Metadata_type": ["negcon" if name == "DMSO" else "trt" for name in names],
                    }
                    | {f"F{feature}": values[:, feature] for feature in range(10)}
                )
            )
    return pl.concat(parts)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    table().write_parquet(tmp_path / "lines.parquet")
    return tmp_path / "lines.parquet"


def score(what: str, source: Path, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    ended = CliRunner().invoke(app, ["score", what, str(source), *WELLS, "--format", "json", *arguments])
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return json.loads(ended.stdout), ended.stderr


@pytest.mark.parametrize("arguments", [(), ("--null", "copairs"), ("--cells", "Metadata_hours")], ids=" ".join)
def test_each_cell_line_is_called_as_if_the_other_were_not_there(source: Path, arguments: tuple[str, ...]) -> None:
    rows, _ = score("activity", source, *arguments, "--within", "Metadata_line")

    for line in LINES:
        alone = source.with_name(f"{line}.parquet")
        pl.read_parquet(source).filter(Metadata_line=line).write_parquet(alone)
        expected, _ = score("activity", alone, *arguments)
        found = [row for row in rows if row["Metadata_line"] == line]
        assert [{key: value for key, value in row.items() if key != "Metadata_line"} for row in found] == expected


def test_in_each_line_its_own_compounds_are_hits_and_what_is_said_names_the_line(source: Path) -> None:
    rows, said = score("activity", source, "--within", "Metadata_hours", "--within", "Metadata_line")

    assert list(rows[0])[:3] == ["Metadata_hours", "Metadata_line", "perturbation"]
    hits = {(row["Metadata_hours"], row["Metadata_line"], row["perturbation"]) for row in rows if row["is_hit"]}
    assert hits == {("48", "A549", "c0"), ("48", "A549", "c1"), ("48", "U2OS", "c6"), ("48", "U2OS", "c7")}
    assert all(row["n_replicates"] == 4 for row in rows)
    first, second = (said.index(f"Metadata_hours 48, Metadata_line {line} (80 rows):") for line in LINES)
    assert first < said.index("2 of 8 rows called active") < second
    together, _ = score("activity", source)
    assert all(row["n_replicates"] == 8 for row in together)


def test_flags_and_channels_go_with_the_wells_of_a_line(source: Path) -> None:
    wells = pl.read_parquet(source).with_columns(Metadata_bad=pl.col("Metadata_compound") == "c6")
    named = wells.rename({f"F{number}": f"F{number}_{'DNA' if number < 5 else 'RNA'}" for number in range(10)})
    named.write_parquet(source)
    arguments = ("--flagged", "Metadata_bad == true", "--channels", "DNA,RNA")

    rows, _ = score("activity", source, *arguments, "--within", "Metadata_line")

    verdicts = {(row["Metadata_line"], row["perturbation"]): row for row in rows if row["is_hit"]}
    assert verdicts["U2OS", "c6"]["quality_verdict"] == "flagged_more"
    assert verdicts["U2OS", "c7"]["quality_verdict"] != "flagged_more"
    assert all(row["channel_verdict"] is not None for row in verdicts.values())


def test_single_wells_are_compared_with_controls_of_their_own_line(source: Path) -> None:
    rows, said = score("singlicates", source, "--within", "Metadata_line")

    for line in LINES:
        alone = source.with_name(f"{line}.parquet")
        pl.read_parquet(source).filter(Metadata_line=line).write_parquet(alone)
        expected, _ = score("singlicates", alone)
        found = [row for row in rows if row["Metadata_line"] == line]
        assert [{key: value for key, value in row.items() if key != "Metadata_line"} for row in found] == expected
    assert "Metadata_line A549 (80 rows):" in said


@pytest.mark.parametrize("what", ["activity", "singlicates"])
def test_a_column_that_cannot_make_lines_is_refused(what: str, source: Path) -> None:
    with pytest.raises(UsageError, match="no metadata column Metadata_cell"):
        score(what, source, "--within", "Metadata_cell")
    pl.read_parquet(source).rename({"Metadata_line": "q_value"}).write_parquet(source)
    with pytest.raises(UsageError, match="is not printed anyway, but got q_value"):
        score(what, source, "--within", "q_value", "--metadata", "q_value")
    unknown = pl.when(pl.col("q_value") == "A549").then(pl.col("q_value")).alias("Metadata_line")
    pl.read_parquet(source).with_columns(unknown).drop("q_value").write_parquet(source)
    with pytest.raises(InputRejectedError, match="every row needs a Metadata_line, but row 81 has none"):
        score(what, source, "--within", "Metadata_line")
