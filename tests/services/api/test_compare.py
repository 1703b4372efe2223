"""Hits gained and lost over HTTP."""

from __future__ import annotations

import sqlite3

import pytest
from serving import serving

from hcs.catalog import compare_hits, open_catalog
from schemas.api_results import Comparison

COMPARE = "/v1/runs/run-1/compare"


@pytest.fixture
def differing(copied):
    """The run, whose calls on one profile were changed: one hit is lost there, and one of another's numbers unknown."""
    with sqlite3.connect(copied.catalog) as connection:
        connection.execute("UPDATE calls SET q_value = 0.2 WHERE profile = 'named' AND treatment = 'CPD4@1'")
        connection.execute("UPDATE calls SET effect = NULL WHERE profile = 'named' AND treatment = 'CPD4@10'")
        connection.execute("DELETE FROM call_mechanisms WHERE profile = 'named' AND treatment = 'CPD/3@1'")
        connection.execute("DELETE FROM calls WHERE profile = 'named' AND treatment = 'CPD/3@1'")
    connection.close()
    return copied


def test_what_is_told_is_the_comparison_of_the_catalog(differing):
    with open_catalog(str(differing.catalog)) as catalog:
        expected = compare_hits(catalog, run="run-1", other="run-1", other_profile="named")
    with serving(differing.catalog) as server, server.client(differing.keys.read) as client:
        answer = client.get(COMPARE, params={"other": "latest", "other_profile": "named"})

    found = Comparison.model_validate_json(answer.content)
    assert [(item.treatment, item.change) for item in found.items] == list(
        expected.calls.select("treatment", "change").iter_rows()
    )
    assert (found.run, found.other, found.profile, found.other_profile) == ("run-1", "run-1", "combined", "named")
    assert (found.gained, found.lost, found.q_max) == (2, 0, 0.05)
    assert found.gained + found.both == len(found.items)
    by_name = {item.treatment: item for item in found.items}
    assert by_name["CPD/3@1"].before is None
    assert by_name["CPD/3@1"].change == by_name["CPD4@1"].change == "gained"
    assert by_name["CPD4@1"].before.q_value == 0.2
    assert by_name["CPD4@10"].before.effect is None
    assert by_name["CPD4@10"].after.effect is not None
    assert any("<script>" in item.perturbation for item in found.items)


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ({}, 422, "other"),
        ({"other": "run-999"}, 404, "run-999"),
        ({"other": "run-1", "other_profile": "none such"}, 404, "none such"),
        ({"other": "run-1", "q_max": "0"}, 422, "q_max"),
        ({"other": "run-1", "qmax": "0.1"}, 422, "q_max"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(reader, query, status, word):
    answer = reader.get(COMPARE, params=query)

    assert answer.status_code == status
    assert word in answer.json()["detail"]
