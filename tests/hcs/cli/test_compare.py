from __future__ import annotations

import csv
import io
import json

import pytest
import typer
from typer.testing import CliRunner

from hcs.catalog import publish
from hcs.cli import compare
from hcs.errors import NotFoundError
from schemas.work import RunState


@pytest.fixture
def command(catalog, make):
    """Return a function that compares runs of a catalog: run-2 has gained b and lost a."""
    for hits in ("a", "b"):
        rows = [{"perturbation": name, "q_value": 0.01 if name in hits else 0.9} for name in "ab"]
        calls, near = make.calls(rows), make.neighbours([])
        run = make.run(catalog)
        publish(catalog, run.id, calls=calls, neighbours=near, profiles=[], state=RunState.COMPLETE)
    app = typer.Typer()
    compare.register(app)

    def give(*arguments):
        ended = CliRunner().invoke(app, [*arguments, "--catalog", catalog.location])
        if isinstance(ended.exception, Exception):
            raise ended.exception
        return ended

    return give


def test_what_changed_is_a_row_and_counted(command):
    ended = command("run-2", "run-1", "--format", "json")

    rows = json.loads(ended.stdout)
    assert [(row["perturbation"], row["change"]) for row in rows] == [("b", "gained"), ("a", "lost")]
    assert (rows[0]["before_q_value"], rows[0]["after_q_value"]) == (0.9, 0.01)
    assert "run-2 (combined) against run-1 (combined) at q <= 0.05: 1 hits gained, 1 lost, 0 on both" in ended.stderr
    assert "lost" in command("run-2", "run-1").stdout
    assert "0 hits gained, 0 lost, 1 on both sides" in command("run-2", "latest").stderr


def test_every_column_is_in_a_file_and_the_limit_counts(command):
    rows = list(csv.DictReader(io.StringIO(command("2", "1", "--q-max", "0.9", "--format", "csv").stdout)))

    assert {row["change"] for row in rows} == {"both"}
    assert {"before_mean_average_precision", "after_explained_by_count"} <= set(rows[0])


def test_a_profile_that_is_not_there_is_said(command):
    with pytest.raises(NotFoundError, match="named"):
        command("run-2", "run-1", "--other-profile", "named")
