"""What people ask a finished run, and how the answers are given."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from commands import hcs, start, with_settings

from hcs.cli.demo import by_mechanism

HIT_COLUMNS = {
    "perturbation", "concentration_micromolar", "control_type", "profile", "mechanism", "mechanism_source", "name",
    "smiles", "n_replicates", "n_controls", "mean_average_precision", "p_value", "smallest_possible_p", "q_value",
    "is_hit", "effect", "cell_count_ratio", "explained_by_count", "call", "p_position", "smallest_possible_p_position",
    "position_verdict", "n_other_positions", "other_positions_precision", "channel_verdict", "channel", "batch_verdict",
    "n_batches_testable", "n_batches_holding", "quality_verdict", "n_judged", "n_flagged", "flagged_share_of_controls",
}  # fmt: skip


def asked(catalog: Path, *arguments: object) -> list[dict[str, object]]:
    ended = hcs(*arguments, "--catalog", catalog, "--format", "json")
    assert ended.code == 0, ended.err
    rows: list[dict[str, object]] = json.loads(ended.out)
    return rows


@pytest.fixture(scope="module")
def calls(finished_run: Path) -> list[dict[str, object]]:
    return asked(finished_run, "hits", "--q-max", 1)


def test_hits_have_the_columns_that_scripts_rely_on_and_the_best_comes_first(calls: list[dict[str, object]]) -> None:
    assert set(calls[0]) >= HIT_COLUMNS
    values = [row["q_value"] for row in calls if row["q_value"] is not None]
    assert values == sorted(values)  # type: ignore[type-var]  # numbers, as JSON has them


def test_a_mechanism_is_asked_for_in_any_case_and_a_misspelt_one_is_answered_with_those_there_are(
    finished_run: Path, calls: list[dict[str, object]]
) -> None:
    named = next(str(row["mechanism"]) for row in calls if row["mechanism"])

    found = asked(finished_run, "hits", "--q-max", 1, "--mechanism", named.upper())
    ended = hcs("hits", "--mechanism", "tubulinn", "--catalog", finished_run)

    assert {row["mechanism"] for row in found} == {named}
    assert ended.code == 0
    assert named in ended.err


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "json"])
def test_a_table_is_written_as_its_ending_says(
    finished_run: Path, calls: list[dict[str, object]], tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"hits.{ending}"

    ended = hcs("hits", "--q-max", 1, "--output", file, "--catalog", finished_run)

    assert ended.code == 0, ended.err
    readers = {"parquet": pl.read_parquet, "json": pl.read_json}
    assert readers.get(ending, pl.read_csv)(file).height == len(calls)


def test_wells_for_cherry_picking_come_with_their_call(finished_run: Path, calls: list[dict[str, object]]) -> None:
    rows = asked(finished_run, "hits", "--q-max", 1, "--wells")

    assert len(rows) == sum(int(str(row["n_replicates"])) for row in calls)
    assert {"plate", "well", "call", "q_value"} <= set(rows[0])


def test_a_perturbation_is_shown_by_its_name_or_by_the_key_of_a_treatment(
    finished_run: Path, calls: list[dict[str, object]]
) -> None:
    wanted, key = str(calls[0]["perturbation"]), str(calls[0]["treatment"])

    by_name, by_key = (
        json.loads(hcs("show", what, "--catalog", finished_run, "--format", "json").out) for what in (wanted, key)
    )

    assert by_name == by_key
    assert by_name["run"] == "run-1"
    assert {row["perturbation"] for row in by_name["wells"]} == {wanted}
    assert by_name["sites"]
    assert by_name["neighbours"]
    assert wanted in hcs("show", wanted, "--catalog", finished_run).out


def test_a_plate_is_shown_with_its_controls(finished_run: Path) -> None:
    ended = hcs("show", "SIM00011001", "--catalog", finished_run, "--format", "json")

    view = json.loads(ended.out)
    assert ended.code == 0
    assert view["wells"]["negcon"] == 4
    assert view["sites"] == 24


def test_neighbours_are_other_perturbations_nearest_first(finished_run: Path, calls: list[dict[str, object]]) -> None:
    wanted = str(calls[0]["perturbation"])

    rows = asked(finished_run, "neighbours", wanted, "--top", 3)

    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert wanted not in {str(row["perturbation"]) for row in rows}
    similarities = [float(str(row["similarity"])) for row in rows]
    assert similarities == sorted(similarities, reverse=True)
    assert "no neighbours" in hcs("neighbours", "DMSO", "--catalog", finished_run).err


def test_something_unknown_is_wrong_usage_and_the_nearest_names_are_offered(finished_run: Path) -> None:
    ended = hcs("show", "SIM-", "--catalog", finished_run)

    assert ended.code == 2
    assert "holds no perturbation" in ended.err
    assert hcs("status", "run-99", "--catalog", finished_run).code == 2
    assert hcs("hits", "--profile", "nobody", "--catalog", finished_run).code == 2


def test_runs_and_status_say_what_was_done(finished_run: Path) -> None:
    (run,) = asked(finished_run, "runs")
    told = json.loads(hcs("status", "--catalog", finished_run, "--format", "json").out)

    assert run["state"] == told["state"] == "complete"
    assert told["sites_done"] == told["sites"] == 48
    assert {plate["plate"] for plate in told["plates"]} == {"SIM00011001", "SIM00011002"}


def test_a_doctor_finds_the_machine_in_order() -> None:
    ended = hcs("doctor", "--format", "json")

    report = json.loads(ended.out)
    assert ended.code == 0
    assert {row["state"] for row in report["checks"]} <= {"ok", "missing"}
    assert hcs("--version").out.startswith("hcs ")


def test_an_environment_that_cannot_be_meant_is_wrong_usage() -> None:
    ended = hcs("doctor", HCS_THREADS="many")

    assert ended.code == 2
    assert "HCS_THREADS" in ended.err


def test_a_check_as_csv_is_one_table(screen_folder: Path) -> None:
    ended = hcs("check", screen_folder / "SCREEN.yaml", "--format", "csv")

    assert ended.code == 0
    assert set(pl.read_csv(ended.out.encode())["plate"]) == {"SIM00011001", "SIM00011002"}


def test_an_interrupted_run_says_so_and_its_status_tells_that_nobody_works_on_it(
    screen_folder: Path, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.sqlite"
    screen = with_settings(shutil.copytree(screen_folder, tmp_path / "screen") / "SCREEN.yaml", encoders=["named"])
    process = start("run", screen, "--catalog", catalog)
    deadline = time.monotonic() + 120
    while "surveyed" not in (line := process.stderr.readline() if process.stderr else ""):
        assert process.poll() is None, line
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise

    assert process.returncode == 130
    assert "interrupted" in err
    assert "nobody works on run-1" in hcs("status", "--catalog", catalog).err
    assert hcs("run", screen, "--catalog", catalog).code == 0


def test_the_demo_counts_by_the_mechanism_that_is_true() -> None:
    truth = pl.DataFrame(
        {
            "perturbation": ["a", "b", "c", "d"],
            "control_type": ["treatment"] * 3 + ["poscon"],
            "is_active": [True, True, False, True],
            "mechanism": ["m", "m", None, "m"],
        }
    )
    calls = pl.DataFrame(
        {
            "perturbation": ["a", "b", "c"],
            "is_hit": [True, False, True],
            "predicted_mechanism": ["m", "m", "n"],
            "mean_average_precision": [1.0, 0.5, 0.6],
            "q_value": [0.01, 0.2, 0.04],
            "explained_by_count": ["not_explained", None, "explained"],
        }
    )

    rows = by_mechanism(calls, truth).to_dicts()

    assert [(row["true_mechanism"], row["compounds"], row["hits"], row["mechanism_right"]) for row in rows] == [
        ("m", 2, 1, 1),
        ("(inactive)", 1, 1, 0),
    ]
