"""Maps and comparisons, as a client has them."""

from __future__ import annotations

import sqlite3
import time

import pytest

from hcs.catalog import keep_grouping, open_catalog, results_digest
from hcs.errors import ApiNotFoundError
from schemas.api_results import MAP_FORM, RunMap

WHICH = {"profile": "named", "everything": False}


@pytest.fixture
def kept(finished):
    """A map of the run as it is kept: the same that a process of the API makes, without the wait for it."""
    made = RunMap(run="run-1", **WHICH, items=(), clusters=(), figures=(), notes=("made before",))
    with open_catalog(str(finished.catalog)) as catalog:
        digest = results_digest(catalog, 1)
        keep_grouping(catalog, 1, made.model_dump_json().encode(), **WHICH, form=MAP_FORM, results_sha256=digest)
    yield made
    with sqlite3.connect(finished.catalog) as connection:
        connection.execute("DELETE FROM groupings")
    connection.close()


def test_a_map_that_is_there_is_a_record(client, kept):
    assert client.map("run-1", profile="named") == kept
    assert client.map(client.run("run-1"), profile="named") == kept


def test_a_map_that_is_being_made_is_none_and_a_run_that_has_none_an_error(client):
    began = time.monotonic()

    assert client.map("run-1", everything=True) is None

    assert time.monotonic() - began < 5
    with pytest.raises(ApiNotFoundError, match="none such"):
        client.map("run-1", profile="none such")


def test_runs_are_compared_by_name_and_by_record(client):
    run = client.run("run-1")

    found = client.compare(run, run, other_profile="named")

    assert found == client.compare("run-1", "run-1", other_profile="named", q_max=0.05)
    assert (found.run, found.other_profile) == ("run-1", "named")
    assert found.gained + found.lost + found.both == len(found.items) > 0
    assert client.compare("run-1", "run-1", q_max=1).both == 8
