"""`hcs score` beside activity: every command on files, on bad ones too, and the how-to that shows them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hcs.cli.main import app
from hcs.errors import HcsError, InputRejectedError, UsageError

HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to"
NAME = "Metadata_compound"
CONTROLS = ("--controls", "Metadata_type == 'negcon'")


@dataclass(frozen=True)
class Ended:
    """What a command printed, and the error that it would end with."""

    out: str
    err: str
    error: BaseException | None

    def rows(self) -> list[dict[str, object]]:
        assert self.error is None, self.error
        return json.loads(self.out)


def score(*arguments: object) -> Ended:
    """Run a command of the group in this process."""
    ended = CliRunner().invoke(app, ["score", *map(str, arguments)])
    return Ended(ended.stdout, ended.stderr, ended.exception)


def table(*, n_plates: int = 3, n_controls: int = 8) -> pl.DataFrame:
    """Return plates of six compounds of two mechanisms and controls."""
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(6)] + ["DMSO"] * n_controls
    directions = {"a": rng.standard_normal(10), "b": rng.standard_normal(10)}
    rows = []
    for plate in range(n_plates):
        for place, name in enumerate(names):
            moa = "" if name == "DMSO" else "ab"[place % 2]
            values = rng.standard_normal(10) + 2 * directions.get(moa, np.zeros(10))
            rows.append(
                {
                    "Metadata_Plate": f"10{plate}",
                    "Metadata_Well": f"A{place + 1:02}",
                    NAME: name,
                    "Metadata_moa": moa + ("|second" if name == "c0" else ""),
                    "Metadata_type": "negcon" if name == "DMSO" else "trt",
                    "Metadata_batch": f"week{plate}",
                    **{f"F{i}": value for i, value in enumerate(values)},
                }
            )
    return pl.DataFrame(rows)


@pytest.fixture
def wells(tmp_path: Path) -> Path:
    table().write_parquet(tmp_path / "wells.parquet")
    return tmp_path / "wells.parquet"


def test_consistency_prints_labels_and_writes_what_each_profile_has(wells: Path, tmp_path: Path) -> None:
    each = tmp_path / "each.csv"
    options = ("--label", "Metadata_moa", "--multilabel", "|", "--perturbation", NAME)

    ended = score("consistency", wells, *options, "--each", each, "--format", "json")

    found = {row["label"]: row for row in ended.rows()}
    assert set(found) == {"a", "b", "second"}
    assert found["a"]["mean_average_precision"] > 0.9
    assert found["a"]["p_value"] >= found["a"]["smallest_possible_p"] == pytest.approx(1 / 20)
    assert found["second"]["mean_average_precision"] is None
    assert (found["a"]["is_consistent"], found["second"]["is_consistent"]) == (False, None)
    assert pl.read_csv(each).height == 3 * 3 + 3 * 3 + 3
    assert "24 profiles took no part: Metadata_moa says nothing of them" in ended.err
    assert score("consistency", wells, *options, "--null", "copairs", "--format", "json").rows() != ended.rows()


def test_nsc_prints_both_readings_and_the_confusion(wells: Path, tmp_path: Path) -> None:
    options = ("--perturbation", NAME, "--label", "Metadata_moa", "--batch", "Metadata_batch")

    found = score("nsc", wells, *options, "--confusion", tmp_path / "confusion.parquet", "--format", "json").rows()

    assert [row["score"] for row in found["scores"]] == ["NSC", "NSCB exact", "NSCB strict"]
    assert found["scores"][0]["accuracy"] > 0.9
    assert found["scores"][0]["n_queries"] == 18
    assert pl.read_parquet(tmp_path / "confusion.parquet").to_dicts() == found["confusion"]
    assert "queries by their label" in score("nsc", wells, *options).out


def test_replicating_and_its_share(wells: Path) -> None:
    ended = score("replicating", wells, "--by", NAME, "--different", "Metadata_Plate", "--format", "json")

    assert {row[NAME]: row["n_pairs"] for row in ended.rows()}["c0"] == 3
    assert re.search(r"[\d.]+ % replicate: \d+ of \d+ groups", ended.err)


def test_magnitude_and_singlicates(wells: Path, tmp_path: Path) -> None:
    strong = score(
        "magnitude", wells, "--perturbation", NAME, "--controls", "Metadata_type == 'negcon'", "--format", "json"
    )
    assert [row["perturbation"] for row in strong.rows()] == [f"c{i}" for i in range(6)]
    assert min(row["mahalanobis_ratio"] for row in strong.rows()) > 1.5

    written = tmp_path / "calls.csv"
    called = score("singlicates", wells, "--perturbation", NAME, *CONTROLS, "--q-max", 0.2, "--output", written)
    assert called.error is None
    calls = pl.read_csv(written)
    assert calls.height == 18
    assert calls["smallest_possible_p"].unique().to_list() == [1 / 13]
    assert "a single well cannot be called here: it would need p <= 0.2 / 18" in called.err


def test_power_compares_layouts_and_says_which_can_find_nothing(tmp_path: Path) -> None:
    platemap = tmp_path / "map.csv"
    wells = [(plate, "DMSO", "negcon") for plate in "AB" for _ in range(10)]
    wells += [(plate, f"c{i}", "trt") for plate in "AB" for i in range(4)] + [("A", "c9", "trt"), ("A", "c9", "trt")]
    wells += [("B", "c10", "trt")]
    pl.DataFrame(wells, orient="row", schema=["plate", "perturbation", "control_type"]).write_csv(platemap)
    planned = ("--treatments", 100, "--effect", 1.5, "--simulated", 10, "--replicates", 2, "--controls", 3)

    ended = score("power", *planned, "--controls", 20, "--layout", platemap, "--format", "json")

    assert [row["layout"] for row in ended.rows()] == [
        "2 x 3", "2 x 20", f"{platemap}: 4 of 5", f"{platemap}: 1 of 5",
    ]  # fmt: skip
    assert [row["n_controls"] for row in ended.rows()] == [6, 40, 20, 10]
    assert [row["n_plates"] for row in ended.rows()] == [2, 2, 2, 1]
    assert ended.rows()[0]["expected_discoveries"] == 0
    assert "2 x 3: cannot call anything" in ended.err
    assert "1 of 6 treatments have no two wells beside controls" in ended.err


def test_what_a_layout_can_attain_does_not_depend_on_how_much_is_asked_of_it() -> None:
    planned = ("--effect", 1, "--simulated", 10, "--replicates", 4, "--controls", 16, "--format", "json")

    few, many = (score("power", "--treatments", n, *planned) for n in (4, 500))

    assert [ended.rows()[0]["smallest_possible_p"] for ended in (few, many)] == [pytest.approx(17**-4)] * 2
    # A tenth of four is none, but a screen without a single active treatment is not what is planned.
    assert few.rows()[0]["recall"] is not None


@pytest.mark.parametrize("command", ["magnitude", "singlicates"])
def test_rows_that_are_no_control_and_name_nothing_are_left_out_and_said(command: str, tmp_path: Path) -> None:
    named = pl.when(pl.col(NAME) == "c3").then(None).otherwise(NAME).alias(NAME)
    table().with_columns(named).write_parquet(tmp_path / "wells.parquet")

    ended = score(command, tmp_path / "wells.parquet", "--perturbation", NAME, *CONTROLS, "--format", "json")

    assert {row["perturbation"] for row in ended.rows()} == {"c0", "c1", "c2", "c4", "c5"}
    assert f"3 rows left out, which are no controls and name no {NAME}" in ended.err


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("nsc", "IN", "--perturbation", NAME, "--label", "Metadata_moa", "--leave-out", "nobody"), UsageError,
         "'nobody' is to be left out, but no row has this label; there are a, b, second"),
        (("nsc", "IN", "--perturbation", NAME, "--label", "Metadata_moa", "--output", "x.csv", "--confusion",
          "./x.csv"), UsageError, "the second would be lost"),
        (("consistency", "IN", "--label", "Metadata_moa", "--output", "x.csv", "--each", "x.csv"), UsageError,
         "the second would be lost"),
        (("singlicates", "IN", "--perturbation", NAME, "--well", "Metadata_place", *CONTROLS), UsageError,
         "choose another with --well"),
        (("power", "--treatments", 5, "--effect", 1, "--replicates", 3), UsageError, "--replicates and --controls"),
        (("consistency", "IN", "--label", "Metadata_nothing"), UsageError, "no metadata column Metadata_nothing"),
        (("consistency", "IN", "--label", "Metadata_moa", "--features", "("), UsageError, "a regular expression"),
        (("consistency", "IN", "--label", "Metadata_moa", "--features", "^Z"), UsageError, "finds nothing in"),
        (("replicating", "IN", "--by", "Metadata_x; DROP TABLE wells"), UsageError, "no metadata column Metadata_x;"),
        (("magnitude", "IN", "--perturbation", NAME, "--controls", "negcon"), UsageError, "negcon"),
        (
            ("magnitude", "IN", "--perturbation", NAME, "--controls", "Metadata_type == 'none'"),
            InputRejectedError,
            "none of 42 is such a row",
        ),
        (
            ("singlicates", "IN", "--perturbation", NAME, "--well", "Metadata_type", *CONTROLS),
            InputRejectedError,
            "comes more than once",
        ),
        (
            ("magnitude", "IN", "--perturbation", NAME, "--well", "Metadata_type", *CONTROLS),
            InputRejectedError,
            "comes more than once",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_paragraph(
    arguments: tuple[object, ...], error: type[HcsError], message: str, wells: Path
) -> None:
    ended = score(*(wells if word == "IN" else word for word in arguments))

    assert isinstance(ended.error, error)
    assert message in str(ended.error)
    assert "\n" not in str(ended.error)


def test_missing_values_are_refused_with_the_feature_and_what_to_do(tmp_path: Path) -> None:
    made = table().with_columns(F3=pl.when(pl.int_range(pl.len()) != 5).then("F3"))
    made.write_csv(tmp_path / "wells.csv")

    ended = score("consistency", tmp_path / "wells.csv", "--label", "Metadata_moa")

    assert isinstance(ended.error, InputRejectedError)
    assert re.search(r"F3 is missing or infinite in 1 of 42 rows.*drop_na_columns", str(ended.error))
    assert score("consistency", tmp_path / "wells.csv", "--label", "Metadata_moa", "--features", "F[^3]").error is None


@pytest.mark.parametrize("name", ["Metadata_select * from wells; --", "Metadata_" + "long" * 500, 'Metadata_"|\n'])
def test_columns_may_have_any_name(name: str, tmp_path: Path) -> None:
    table().rename({NAME: name}).write_parquet(tmp_path / "wells.parquet")

    assert len(score("replicating", tmp_path / "wells.parquet", "--by", name, "--format", "json").rows()) == 7
    ended = score("magnitude", tmp_path / "wells.parquet", "--perturbation", name, *CONTROLS, "--format", "json")
    assert len(ended.rows()) == 6


def steps(page: str) -> list[tuple[str, str]]:
    """Return the commands of a page, each with what stands below it."""
    blocks = re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)
    found = [re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] for block in blocks]
    return [(step.partition("\n")[0], step.partition("\n")[2]) for block in found for step in block]


@pytest.mark.parametrize("page", ["score-profiles.md", "score-a-public-plate.md"])
def test_the_how_to_shows_what_comes_out_on_the_real_plates(
    page: str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(real_data)
    monkeypatch.chdir(tmp_path)
    for command, shown in steps((HOW_TO / page).read_text(encoding="utf-8")):
        ended = CliRunner().invoke(app, shlex.split(command)[1:])
        assert ended.exception is None, (command, ended.exception)
        printed = _bare(ended.stderr + ended.stdout)
        for line in shown.splitlines():
            assert line == "..." or _bare(line) in printed, (command, line)


def _bare(text: str) -> str:
    """Leave out frames and blanks."""
    return re.sub(r"[\s┃│┏┓┡┩└┘━─┳╇┴┼]+", "", text)
