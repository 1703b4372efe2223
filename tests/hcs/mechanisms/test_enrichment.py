"""Which mechanisms are enriched in a cluster."""

from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from hcs.mechanisms.enrichment import enriched_mechanisms


def members(clusters: dict[str, list[int | None]]) -> pl.DataFrame:
    rows = [(name, cluster) for name, held in clusters.items() for cluster in held]
    return pl.DataFrame(rows, schema={"perturbation": pl.String, "cluster": pl.Int64}, orient="row")


def naive_p(n: int, marked: int, drawn: int, seen: int) -> float:
    """Count the draws that have as many marked ones."""
    ways = sum(
        math.comb(marked, hit) * math.comb(n - marked, drawn - hit) for hit in range(seen, min(marked, drawn) + 1)
    )
    return ways / math.comb(n, drawn)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_agrees_with_counting_draws(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"c{number:02d}" for number in range(14)]
    cluster_of = {name: None if rng.random() < 0.2 else int(rng.integers(1, 4)) for name in names}
    mechanism_of = {name: str(rng.choice(["x", "y", "z", "w"])) for name in names if rng.random() < 0.8}
    annotated = sorted(mechanism_of)
    clusters = sorted({cluster_of[name] for name in annotated} - {None})
    expected = {}
    for cluster, label in itertools.product(clusters, sorted(set(mechanism_of.values()))):
        marked = [name for name in annotated if mechanism_of[name] == label]
        drawn = [name for name in annotated if cluster_of[name] == cluster]
        if len(marked) >= 2:
            seen = len(set(marked) & set(drawn))
            expected[cluster, label] = (seen, naive_p(len(annotated), len(marked), len(drawn), seen))
    q_values = false_discovery_control([p for _, p in expected.values()]) if expected else []

    found = enriched_mechanisms(members({name: [cluster_of[name]] for name in names}), mechanisms=mechanism_of)

    tested = found.drop_nulls("p_value")
    rows = {(row[0], row[1]): row[2:] for row in tested.iter_rows()}
    assert set(rows) == {key for key, (seen, _) in expected.items() if seen}
    for (key, (seen, p_value)), q_value in zip(expected.items(), q_values, strict=True):
        if seen:
            assert rows[key][0] == seen
            assert rows[key][2:] == pytest.approx((p_value, q_value))


def test_the_most_enriched_comes_first() -> None:
    held = {"a": [1], "b": [1], "c": [1], "d": [2], "e": [2], "f": [2], "g": [None]}
    mechanisms = {"a": "tubulin", "b": "Tubulin|rare", "c": "actin", "d": "actin", "e": "actin", "g": "tubulin"}

    found = enriched_mechanisms(members(held), mechanisms=mechanisms)

    assert found.filter(cluster=1)["mechanism"].to_list() == ["Tubulin", "actin", "rare"]
    assert found.filter(cluster=1)["n_with_mechanism"].to_list() == [2, 1, 1]
    assert found.filter(mechanism="rare").select("p_value", "q_value").row(0) == (None, None)
    assert found.filter(cluster=2)["n_annotated"].to_list() == [2]


def test_doses_of_a_compound_are_one_witness() -> None:
    mechanisms = {"a": "x", "b": "x", "c": "y", "d": "y"}
    once = enriched_mechanisms(members({"a": [1], "b": [1], "c": [2], "d": [2]}), mechanisms=mechanisms)

    often = enriched_mechanisms(members({"a": [1] * 9, "b": [1], "c": [2], "d": [2, 2]}), mechanisms=mechanisms)

    assert often.equals(once)


@pytest.mark.parametrize("mechanisms", [{}, {"elsewhere": "x"}, {"a": " | "}])
def test_without_annotations_nothing_is_enriched(mechanisms: dict[str, str]) -> None:
    assert enriched_mechanisms(members({"a": [1], "b": [1]}), mechanisms=mechanisms).is_empty()


def test_without_clusters_nothing_is_enriched() -> None:
    assert enriched_mechanisms(members({"a": [None], "b": [None]}), mechanisms={"a": "x", "b": "x"}).is_empty()
