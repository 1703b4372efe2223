"""What `hcs hits` and `hcs show` say of what else could explain a hit."""

from __future__ import annotations

import csv
import io
import json

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hcs.catalog import find_hits, publish
from hcs.cli import ask
from hcs.errors import UsageError
from hcs.hits.explain import sentences_of_call
from schemas.results import PublishedCalls
from schemas.work import RunState

UNTESTED = dict.fromkeys(
    ("p_position", "smallest_possible_p_position", "position_verdict", "explained_by_count", "n_other_positions",
     "other_positions_precision", "channel_verdict", "channel", "batch_verdict", "n_batches_testable",
     "n_batches_holding", "quality_verdict", "n_judged", "n_flagged", "flagged_share_of_controls")
)  # fmt: skip
ROWS = [
    {"perturbation": "CPD1", "name": "kinesore", "q_value": 0.001, "channel_verdict": "one_channel"},
    {"perturbation": "CPD2", "q_value": 0.002, "quality_verdict": "flagged_more", "n_batches_holding": 1,
     "batch_verdict": "some_batches", "explained_by_count": "explained"},
    {"perturbation": "CPD3", "q_value": 0.003, "batch_verdict": "cannot_tell", "n_batches_holding": 0,
     "n_batches_testable": 0},
    {"perturbation": "CPD4", "q_value": 0.004, **UNTESTED},
    {"perturbation": "CPD5", "q_value": 0.7, "is_hit": False, "call": "inactive", **UNTESTED},
]  # fmt: skip


@pytest.fixture
def command(catalog, make):
    """Return a function that asks a catalog with one run; the rows are those above."""
    rows = [{"concentration_micromolar": None, **row} for row in ROWS]
    wells = make.wells([{"well": f"A{n:02d}", "perturbation": row["perturbation"]} for n, row in enumerate(rows, 1)])
    run = make.run(catalog, wells=wells)
    publish(
        catalog, run.id, calls=make.calls(rows), neighbours=make.neighbours([]), profiles=[], state=RunState.COMPLETE
    )
    app = typer.Typer()
    ask.register(app)

    def give(*arguments):
        ended = CliRunner().invoke(app, [*arguments, "--catalog", catalog.location])
        if isinstance(ended.exception, Exception):
            raise ended.exception
        return ended

    return give


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], "1234"),
        (["--not-by-count"], "134"),
        (["--not-one-channel"], "234"),
        (["--not-flagged"], "134"),
        (["--min-batches", "1"], "12"),
        (["--min-batches", "2"], "1"),
        (["--not-by-count", "--not-one-channel", "--not-flagged"], "34"),
        (["--q-max", "1", "--not-by-count", "--not-one-channel", "--not-flagged"], "345"),
    ],
)
def test_what_else_explains_a_hit_can_be_left_out(command, options, found):
    rows = json.loads(command("hits", "--format", "json", *options).stdout)

    assert "".join(row["perturbation"][-1] for row in rows) == found
    assert set(PublishedCalls.column_names()) <= set(rows[0])


def test_hits_that_a_limit_on_batches_leaves_out_though_nobody_knows_are_counted(command):
    assert "2 hits left out since it cannot be told in how many batches" in command("hits", "--min-batches", "1").stderr
    assert "left out" not in command("hits").stderr


def test_the_table_tells_the_doubts_and_in_how_many_batches_a_hit_holds(command):
    lines = command("hits").stdout.splitlines()

    told = {name: next(line for line in lines if name in line) for name in ("CPD1", "CPD2", "CPD3")}
    assert "DNA alone" in told["CPD1"]
    assert "cell count; flagged images" in told["CPD2"]
    assert told["CPD3"].rstrip("│ ").endswith("-")
    assert "channel verdict" not in lines[1] + lines[2]
    assert "some_batches" in command("hits", "--all").stdout


def test_sentences_stand_under_the_hits_that_they_are_of(command, catalog):
    rows = find_hits(catalog).sort("q_value").rows(named=True)

    said = command("hits", "--explain").stdout

    expected = [
        line
        for row in rows
        for line in (
            f"{row['treatment']} (kinesore)" if row["name"] else row["treatment"],
            *(f"  - {sentence}" for sentence in sentences_of_call(row)),
        )
    ]
    assert said.endswith("\n".join(expected) + "\n")
    assert "  - not tested: the places of its wells, the number of cells" in said


def test_sentences_are_a_list_in_json_and_one_text_in_a_table_of_text(command, tmp_path):
    rows = json.loads(command("hits", "--q-max", "1", "--explain", "--format", "json").stdout)
    table = list(csv.DictReader(io.StringIO(command("hits", "--q-max", "1", "--explain", "--format", "csv").stdout)))
    files = {ending: tmp_path / f"hits.{ending}" for ending in ("csv", "json", "parquet")}
    for file in files.values():
        command("hits", "--q-max", "1", "--explain", "--output", str(file))

    assert [row["explanations"] for row in rows] == [list(sentences_of_call(row)) for row in rows]
    texts = [" | ".join(row["explanations"]) for row in rows]
    assert [row["explanations"] for row in table] == texts
    assert pl.read_parquet(files["parquet"])["explanations"].to_list() == texts
    assert pl.read_json(files["json"])["explanations"].to_list() == [row["explanations"] for row in rows]
    assert "explanations" not in json.loads(command("hits", "--format", "json").stdout)[0]


def test_a_perturbation_is_shown_with_what_else_could_explain_it(command):
    shown = command("show", "CPD2").stdout
    inactive = command("show", "CPD5").stdout

    assert "what else could explain it\nCPD2\n  - its p-value is 0.002 without" in shown
    assert "look at its images first" in shown
    assert "what else" not in inactive


def test_wells_have_no_sentences(command):
    with pytest.raises(UsageError, match="give one of the two"):
        command("hits", "--wells", "--explain")
