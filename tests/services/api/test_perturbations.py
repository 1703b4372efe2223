"""Perturbations and mechanisms over HTTP."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from hcs.catalog import known_mechanisms, neighbours_of, open_catalog, show_perturbation

NAMES = ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "CPD/3", "CPD4", "DMSO"]


@pytest.mark.parametrize("name", NAMES)
def test_everything_of_a_perturbation_is_told_whatever_it_is_called(reader, finished, name):
    with open_catalog(str(finished.catalog)) as catalog:
        expected = show_perturbation(catalog, name)

    found = reader.get(f"/v1/perturbations/{quote(name, safe='')}").json()

    assert found["perturbation"] == name
    assert found["n_wells"] == len(found["wells"]) == expected.wells.height
    assert len(found["calls"]) == expected.calls.height
    assert len(found["neighbours"]) == expected.neighbours.height
    assert found["mechanism"] == expected.mechanism
    assert sum(well["sites"] for well in found["wells"]) == expected.sites.height
    for link in (*found["links"].values(), found["wells"][0]["image"]):
        assert reader.get(link).status_code == 200


def test_a_dose_is_a_call_of_its_own(reader):
    calls = reader.get("/v1/perturbations/CPD4").json()["calls"]

    doses = {(call["profile"], call["concentration_micromolar"]) for call in calls}
    assert {("combined", 1.0), ("combined", 10.0)} <= doses
    assert len(doses) == len(calls)


def test_an_unknown_perturbation_is_answered_with_the_nearest(reader):
    answer = reader.get("/v1/perturbations/CPD44")

    assert answer.status_code == 404
    assert "CPD4" in answer.json()["detail"]


def test_neighbours_are_those_of_the_catalog_nearest_first(reader, finished):
    with open_catalog(str(finished.catalog)) as catalog:
        expected = neighbours_of(catalog, "CPD/3", top=2)

    page = reader.get("/v1/perturbations/CPD%2F3/neighbours", params={"top": 2}).json()

    assert [(item["treatment"], item["rank"], item["neighbour"]) for item in page["items"]] == list(
        expected.select("treatment", "rank", "neighbour").iter_rows()
    )
    assert page["items"][0]["similarity"] == pytest.approx(expected["similarity"][0])


def test_mechanisms_are_what_hits_can_be_asked_by_with_how_many_there_are(reader, finished):
    with open_catalog(str(finished.catalog)) as catalog:
        known = known_mechanisms(catalog)

    items = reader.get("/v1/mechanisms").json()["items"]

    assert [item["label"] for item in items] == known
    for item in items:
        asked = {"mechanism": item["label"], "limit": 500}
        assert len(reader.get("/v1/hits", params={**asked, "q_max": 1}).json()["items"]) == item["treatments"]
        hits = [row for row in reader.get("/v1/hits", params={**asked, "q_max": 1}).json()["items"] if row["is_hit"]]
        assert len(hits) == item["hits"]
