"""Mechanisms of calls: annotated, predicted, or none."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from hcs.mechanisms.annotate import annotate_calls, predict_mechanisms
from hcs.mechanisms.consensus import Consensus, consensus_profiles
from hcs.statistics.not_same import label_set
from schemas.results import PublishedCalls
from schemas.tables import TreatmentCalls


def make_calls(hits: set[str], *, names: str = "a1 a2 a3 b1 b2 i1 i2") -> pl.DataFrame:
    rows = [
        {
            "perturbation": name, "concentration_micromolar": 1.0, "control_type": "treatment", "profile": "combined",
            "n_replicates": 3, "n_plates": 3, "n_batches": 1, "n_controls": 36, "p_value": 0.001, "q_value": 0.01,
            "is_hit": name in hits, "call": "active" if name in hits else "inactive",
        }
        for name in names.split()
    ]  # fmt: skip
    schema = TreatmentCalls.create_empty().schema
    return TreatmentCalls.validate(pl.DataFrame(rows, schema=schema), cast=True)


def annotate(make_wells: Callable, hits: set[str]) -> dict[str, dict[str, object]]:
    profiles, wells = make_wells()
    frame = annotate_calls(make_calls(hits), profiles, wells)
    PublishedCalls.validate(frame)
    return {row["perturbation"]: row for row in frame.iter_rows(named=True)}


ALL = {"a1", "a2", "a3", "b1", "b2"}


def test_an_annotation_stands_and_its_prediction_beside_it_is_made_without_it(make_wells: Callable) -> None:
    rows = annotate(make_wells, ALL)

    assert (rows["a1"]["mechanism"], rows["a1"]["mechanism_source"]) == ("tubulin", "annotated")
    assert rows["a1"]["predicted_mechanism"] == "tubulin"
    assert rows["b1"]["mechanism"] == "actin|rock"
    assert rows["b1"]["predicted_mechanism"] == "ROCK"
    assert rows["a1"]["name"] == "A1"


def test_a_hit_without_annotation_gets_that_of_its_nearest_annotated_hit(make_wells: Callable) -> None:
    row = annotate(make_wells, ALL)["a3"]

    assert (row["mechanism"], row["mechanism_source"]) == ("tubulin", "predicted")
    evidence = json.loads(str(row["mechanism_evidence"]))
    assert {neighbour["treatment"] for neighbour in evidence["neighbours"][:2]} == {"a1@1", "a2@1"}
    assert evidence["neighbours"][0]["similarity"] > 0.9


def test_what_is_no_hit_is_neither_predicted_nor_evidence(make_wells: Callable) -> None:
    rows = annotate(make_wells, {"a3", "i1", "b1", "b2"})

    # a1 and a2 are no hits here, and i1, annotated too, looks like noise: what is left is what i1 or b say.
    cited = {neighbour["treatment"] for neighbour in json.loads(str(rows["b1"]["mechanism_evidence"]))["neighbours"]}
    assert cited <= {"i1@1", "b2@1"}
    assert (rows["i2"]["mechanism"], rows["i2"]["mechanism_source"]) == (None, "none")
    assert (rows["a1"]["mechanism_source"], rows["a1"]["predicted_mechanism"]) == ("annotated", None)


def test_without_annotated_hits_nothing_is_predicted(make_wells: Callable) -> None:
    row = annotate(make_wells, {"a3"})["a3"]

    assert (row["mechanism"], row["mechanism_source"], row["mechanism_evidence"]) == (None, "none", None)


def test_hiding_an_annotation_changes_no_prediction_of_its_own(make_wells: Callable) -> None:
    consensus = consensus_profiles(*make_wells())
    hits = [f"{name}@1" for name in sorted(ALL)]
    known = {"a1": "tubulin", "a2": "tubulin", "b1": "actin"}

    told = predict_mechanisms(consensus, mechanisms=known, hits=hits)
    hidden = predict_mechanisms(consensus, mechanisms={"a2": "tubulin", "b1": "actin"}, hits=hits)

    own = pl.col("treatment") == "a1@1"
    assert told.filter(own).equals(hidden.filter(own))


def test_a_compound_is_no_evidence_for_itself_at_another_dose() -> None:
    consensus = Consensus(
        pl.DataFrame({"treatment": ["a@1", "a@2", "b@1"], "perturbation": ["a", "a", "b"]}),
        np.array([[1.0, 0.0], [1.0, 0.01], [0.5, 0.5]]),
    )

    found = predict_mechanisms(consensus, mechanisms={"a": "x", "b": "y"}, hits=["a@1", "a@2", "b@1"])

    assert dict(found.select("treatment", "predicted_mechanism").iter_rows()) == {"a@1": "y", "a@2": "y", "b@1": "x"}


def test_a_neighbour_that_is_not_similar_is_none() -> None:
    consensus = Consensus(
        pl.DataFrame({"treatment": ["a", "b"], "perturbation": ["a", "b"]}), np.array([[1.0, 0.0], [-1.0, 0.1]])
    )

    assert predict_mechanisms(consensus, mechanisms={"b": "y"}, hits=["a", "b"]).height == 0


def test_agreement_counts_neighbours_that_share_a_label_with_the_first() -> None:
    angles = np.radians([0, 1, 2, 3, 4])
    consensus = Consensus(
        pl.DataFrame({"treatment": list("qwxyz"), "perturbation": list("qwxyz")}),
        np.column_stack([np.cos(angles), np.sin(angles)]),
    )
    mechanisms = {"w": "a|b", "x": "B", "y": "c", "z": "a | d"}

    evidence = predict_mechanisms(consensus, mechanisms=mechanisms, hits=list("qwxyz")).filter(treatment="q")

    assert evidence["predicted_mechanism"][0] == "a|b"
    assert json.loads(evidence["mechanism_evidence"][0])["agreement"] == 0.75


@pytest.mark.parametrize(
    ("mechanism", "labels"), [("a|B", {"a", "b"}), (" HDAC inhibitor ", {"hdac inhibitor"}), ("|", set())]
)
def test_a_mechanism_may_have_several_labels(mechanism: str, labels: set[str]) -> None:
    assert label_set(mechanism) == labels


def test_an_empty_annotation_is_none(make_wells: Callable) -> None:
    profiles, wells = make_wells()
    blank = wells.with_columns(mechanism=pl.lit("  "))

    frame = annotate_calls(make_calls(ALL), profiles, blank)

    assert set(frame["mechanism_source"]) == {"none"}
