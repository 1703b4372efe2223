"""Clusters and profiles beside the annotation, and beside chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from hcs.mechanisms.clusters import Clusters
from hcs.mechanisms.consensus import Consensus
from hcs.mechanisms.figures import agreement_figures

N_MECHANISMS, N_EACH = 4, 5
NAMES = [f"c{number:02d}" for number in range(N_MECHANISMS * N_EACH)]
MECHANISMS = {name: f"mechanism {row // N_EACH}" for row, name in enumerate(NAMES)}


def consensus(*, noise: float = 0.2, seed: int = 0, offset: float = 0.0) -> Consensus:
    """Every mechanism has a direction; `offset` is common to all rows, as that of a batch is."""
    rng = np.random.default_rng(seed)
    profiles = np.eye(8)[np.arange(len(NAMES)) // N_EACH] + noise * rng.standard_normal((len(NAMES), 8))
    profiles[:, -1] += offset
    return Consensus(pl.DataFrame({"treatment": NAMES, "perturbation": NAMES}), profiles)


def clusters_of(numbers: list[int | None], *, reason: str | None = None) -> Clusters:
    members = pl.DataFrame({"treatment": NAMES, "perturbation": NAMES, "cluster": numbers})
    return Clusters(members.with_columns(pl.col("cluster").cast(pl.Int64)), reason)


RIGHT = [row // N_EACH + 1 for row in range(len(NAMES))]


def figures(
    clusters: Clusters | None = None,
    *,
    whole: Consensus | None = None,
    by_batch: dict[str, Consensus] | None = None,
    mechanisms: dict[str, str] = MECHANISMS,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    parts = {"b1": consensus(seed=1), "b2": consensus(seed=2)} if by_batch is None else by_batch
    frame = agreement_figures(
        clusters or clusters_of(RIGHT), whole or consensus(), by_batch=parts, mechanisms=mechanisms, seed=seed
    )
    return {row["figure"]: row for row in frame.iter_rows(named=True)}


def test_right_clusters_agree_wholly_and_shuffled_annotations_do_not() -> None:
    found = figures()

    for name in ("adjusted_rand_index", "normalized_mutual_information", "not_same_compound"):
        assert found[name]["value"] == pytest.approx(1)
        assert found[name]["shuffled"] < 0.6
    assert abs(found["adjusted_rand_index"]["shuffled"]) < 0.03
    # Another compound of four among nineteen has the label by chance.
    assert found["not_same_compound"]["shuffled"] == pytest.approx(4 / 19, abs=0.02)
    assert found["cosine_silhouette"]["value"] > 0.5 > found["cosine_silhouette"]["shuffled"]
    assert (found["treatments"]["value"], found["clusters"]["value"], found["noise"]["value"]) == (20, 4, 0)
    assert {row["reason"] for row in found.values()} == {None}


def test_noise_counts_against_the_clusters() -> None:
    numbers = [1, 1, *[None] * 18]

    found = figures(clusters_of(numbers))

    assert found["noise"]["value"] == 18
    singled = [1, 1, *range(100, 118)]
    expected = adjusted_rand_score([row // N_EACH for row in range(20)], singled)
    assert found["adjusted_rand_index"]["value"] == pytest.approx(expected)


def test_what_is_not_annotated_takes_no_part_in_the_comparison() -> None:
    known = {name: MECHANISMS[name] for name in NAMES if name not in ("c00", "c19")}
    wrong_there = [4, *RIGHT[1:-1], 1]

    found = figures(clusters_of(wrong_there), mechanisms=known)

    assert found["adjusted_rand_index"]["value"] == pytest.approx(1)
    assert found["adjusted_rand_index"]["n"] == found["not_same_compound"]["n"] == 18
    assert found["not_same_compound_or_batch"]["n"] == 36


def test_offsets_of_batches_are_seen_across_batches_alone() -> None:
    """In both batches the compounds of one mechanism are alike, in the second under the directions of another."""
    first, second = consensus(seed=1), consensus(seed=2)
    moved = Consensus(second.treatments, np.roll(second.profiles, 1, axis=1))

    found = figures(by_batch={"b1": first, "b2": moved})

    assert found["not_same_compound"]["value"] == pytest.approx(1)
    assert found["not_same_compound_or_batch"]["value"] < 0.2


def test_one_batch_has_no_figure_across_batches() -> None:
    found = figures(by_batch={"": consensus()})["not_same_compound_or_batch"]

    assert found["value"] is None
    assert found["reason"] == "all wells are of one batch, and neighbours are looked for in another"


@pytest.mark.parametrize(
    ("mechanisms", "reason"),
    [
        ({}, "of these treatments none has an annotated mechanism"),
        ({"elsewhere": "x"}, "of these treatments none has an annotated mechanism"),
        ({"c00": "x"}, "of these treatments one has an annotated mechanism"),
    ],
)
def test_without_annotations_there_are_counts_and_reasons(mechanisms: dict[str, str], reason: str) -> None:
    found = figures(mechanisms=mechanisms)

    assert found["clusters"]["value"] == 4
    for name in ("adjusted_rand_index", "normalized_mutual_information", "cosine_silhouette", "not_same_compound"):
        assert (found[name]["value"], found[name]["shuffled"], found[name]["reason"]) == (None, None, reason)
    assert found["not_same_compound_or_batch"]["value"] is None


def test_what_was_not_clustered_still_has_neighbours() -> None:
    found = figures(clusters_of([None] * 20, reason="too few"))

    assert (found["adjusted_rand_index"]["value"], found["adjusted_rand_index"]["reason"]) == (None, "too few")
    assert (found["noise"]["value"], found["clusters"]["value"]) == (None, 0)
    assert found["not_same_compound"]["value"] == pytest.approx(1)


def test_one_mechanism_for_all_has_no_silhouette() -> None:
    found = figures(mechanisms=dict.fromkeys(NAMES, "x"))["cosine_silhouette"]

    assert (found["value"], found["reason"]) == (None, "all annotated treatments have the same mechanism")


def test_several_labels_are_one_class_and_one_in_common_is_right() -> None:
    several = {name: f"{label.upper()}|x" if name == "c00" else label for name, label in MECHANISMS.items()}

    found = figures(mechanisms=several)

    assert found["adjusted_rand_index"]["value"] < 1
    assert found["not_same_compound"]["value"] == pytest.approx(1)


def test_a_seed_gives_the_same_chance() -> None:
    assert figures(seed=3) == figures(seed=3)
    assert figures(seed=3)["cosine_silhouette"]["shuffled"] != figures(seed=4)["cosine_silhouette"]["shuffled"]
