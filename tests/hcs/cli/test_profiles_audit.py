"""`hcs profiles audit` on files, and the how-to about it."""

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
from hcs.simulation.deliver_profiles import BATCH_EFFECTS, deliver_profiles
from hcs.simulation.profiles import ProfileDesign

HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "audit-corrections.md"


@dataclass(frozen=True)
class Ended:
    """What a command printed, and the error that it would end with."""

    out: str
    err: str
    error: BaseException | None


def run(*arguments: object) -> Ended:
    """Run a command in this process."""
    ended = CliRunner().invoke(app, [*map(str, arguments)])
    return Ended(ended.stdout, ended.stderr, ended.exception)


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two batches of two plates with a strong batch effect."""
    design = ProfileDesign(
        n_batches=2, n_plates=2, n_wells=48, n_features=12, n_compounds=30, n_negcon=12, n_poscon=2,
        nuisances=BATCH_EFFECTS["strong"],
    )  # fmt: skip
    deliver_profiles(str(tmp_path), design=design, seed=1)
    monkeypatch.chdir(tmp_path)
    return "profiles.parquet"


def test_the_commands_of_the_how_to_print_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```console\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), flags=re.DOTALL):
        first, *shown = block.splitlines()
        program, *arguments = shlex.split(first.removeprefix("$ "))
        if "profiles_jump_moa" in first or program != "hcs":
            continue
        ended = run(*arguments)
        assert ended.error is None, ended.error
        printed = ended.out.splitlines()
        for line in shown:
            assert line == "..." or line in printed, (line, printed)
    assert Path("audit.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_holds_the_choice_its_figures_and_the_sentences(screen: str) -> None:
    ended = run("profiles", "audit", screen, "--methods", "harmony,combat", "--mechanism", "Metadata_mechanism",
                "--format", "json")  # fmt: skip

    made = json.loads(ended.out)
    assert [one["method"] for one in made["methods"]] == ["none", "combat", "harmony"]
    assert made["picked"] in {"none", "combat", "harmony"}
    assert made["is_confounded"] is False
    assert made["n_perturbations_chosen_on"] + made["n_perturbations_reported"] == 32
    assert made["batch_effect_smallest_p"] == pytest.approx(1 / 3)
    assert any("cannot be tested" in sentence for sentence in made["sentences"])
    assert made["methods"][0]["not_same_batch"] is not None


def test_a_table_is_written_and_sentences_are_printed(screen: str) -> None:
    ended = run("profiles", "audit", screen, "--methods", "combat", "--output", "audit.csv", "--page", "page.html")

    assert ended.error is None
    assert pl.read_csv("audit.csv")["method"].to_list() == ["none", "combat"]
    assert "picked " in ended.out
    assert "<svg" in Path("page.html").read_text(encoding="utf-8")


def test_the_same_command_gives_the_same_bytes(screen: str) -> None:
    first, second = (run("profiles", "audit", screen, "--methods", "none", "--format", "json").out for _ in range(2))

    assert first == second


def test_a_feature_that_is_missing_somewhere_is_left_out_by_name(screen: str) -> None:
    pl.read_parquet(screen).with_columns(feature_0003=pl.lit(None, dtype=pl.Float32)).write_parquet("holed.parquet")

    ended = run("profiles", "audit", "holed.parquet", "--methods", "none", "--format", "csv")

    assert ended.error is None
    assert "1 feature left out, which are missing somewhere: feature_0003" in ended.err


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--batch", "Metadata_day"), UsageError, "Metadata_day"),
        (("--methods", "magic"), UsageError, "magic"),
        (("--methods", ","), UsageError, "harmony"),
        (("--controls", "Metadata_control_type == 'nobody'"), InputRejectedError, "none of"),
        (("--controls", "Metadata_batch in ['batch 01', 'batch 02']"), InputRejectedError, "none of 176"),
    ],
)  # fmt: skip
def test_what_cannot_be_audited_is_refused(
    screen: str, arguments: tuple[str, ...], error: type[HcsError], words: str
) -> None:
    ended = run("profiles", "audit", screen, *arguments)

    assert isinstance(ended.error, error)
    assert words in str(ended.error)


def test_a_column_called_like_sql_is_a_column(screen: str) -> None:
    hostile = "Metadata_x'; DROP TABLE runs; --"
    pl.read_parquet(screen).rename({"Metadata_batch": hostile}).write_parquet("hostile.parquet")

    ended = run("profiles", "audit", "hostile.parquet", "--batch", hostile, "--methods", "none", "--format", "json")

    assert json.loads(ended.out)["confounding"][0]["factor"] == hostile


def test_real_batches_are_audited_with_the_features_that_they_share(real_data: Path) -> None:
    folder = real_data / "profiles_jump_moa"

    ended = run("profiles", "audit", *sorted(folder.glob("*.csv.gz")), "--methods", "none,sphering", "--format", "json")

    made = json.loads(ended.out)
    assert "320 features in common" in ended.err
    assert made["layout_is_identical"] is True
    assert made["is_confounded"] is False
    assert made["n_perturbations_reported"] == 45
    assert any("layout is identical" in sentence for sentence in made["sentences"])
    none = made["methods"][0]
    assert 0.15 < none["retrieval_low"] < none["retrieval"] < none["retrieval_high"] < 0.35
    assert none["controls_by_position"] > 3 * none["controls_by_chance"]
    assert np.isfinite(made["methods"][1]["gain_low"])
