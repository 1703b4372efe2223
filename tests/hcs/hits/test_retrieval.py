"""Consistency: the numbers of copairs, and laws that its p-values do not keep."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.retrieval import Consistency, consistency, split_labels


def screen(seed: int = 0, n: int = 30) -> tuple[np.ndarray, list[str], list[str]]:
    """Return profiles, one or two labels a row, and perturbations of three rows each; two rows are equal."""
    rng = np.random.default_rng(seed)
    labels = ["|".join(sorted(set(rng.choice(list("abcde"), rng.integers(1, 3))))) for _ in range(n)]
    profiles = rng.standard_normal((n, 12)) + 0.5 * np.array([["a" in label] for label in labels])
    profiles[7] = profiles[3]
    return profiles, labels, [f"p{row // 3}" for row in range(n)]


@pytest.mark.parametrize("different", [[], ["p"]])
def test_with_several_labels_it_is_that_of_copairs(different: list[str], tmp_path: object) -> None:
    copairs = pytest.importorskip("copairs.map", reason="copairs is the reference of this test")
    profiles, labels, perturbations = screen()
    meta = pd.DataFrame({"l": [label.split("|") for label in labels], "p": perturbations, "row": range(len(labels))})
    each = copairs.multilabel.average_precision(
        meta, profiles, ["l"], different, [], ["l"], multilabel_col="l", progress_bar=False
    )
    theirs = copairs.mean_average_precision(
        each, ["l"], null_size=10_000, threshold=0.05, seed=0, progress_bar=False, cache_dir=tmp_path
    ).sort_values("l")

    ours = consistency(
        profiles,
        split_labels(labels, between="|"),
        perturbations=perturbations if different else None,
        null="copairs",
        seed=1,
    )

    each = each.sort_values(["l", "row"])
    assert ours.profiles["row"].to_list() == each["row"].to_list()
    for mine, peers in (
        ("average_precision", "average_precision"),
        ("n_positives", "n_pos_pairs"),
        ("n_candidates", "n_total_pairs"),
    ):
        np.testing.assert_allclose(ours.profiles[mine].to_numpy(), each[peers].to_numpy(), atol=1e-6)
    for name in ("mean_average_precision", "mean_normalized_average_precision"):
        np.testing.assert_allclose(ours.labels[name].to_numpy(), theirs[name].to_numpy(), atol=1e-6)
    p, peers_p = ours.labels["p_value"].to_numpy(), theirs["p_value"].to_numpy()
    assert (np.abs(p - peers_p) <= 4 * np.sqrt(2 * p * (1 - p) / 10_000) + 2e-4).all()


def test_with_one_label_it_is_that_of_copairs() -> None:
    copairs = pytest.importorskip("copairs.map", reason="copairs is the reference of this test")
    profiles, labels, _ = screen(seed=1)
    first = [label[0] for label in labels]
    theirs = copairs.average_precision(pd.DataFrame({"l": first}), profiles, ["l"], [], [], ["l"], progress_bar=False)

    ours = consistency(profiles, split_labels(first, between=None)).profiles.sort("row")

    np.testing.assert_allclose(ours["average_precision"].to_numpy(), theirs["average_precision"].to_numpy(), atol=1e-6)


def scored(*, null: str, seed: int = 0, order: np.ndarray | None = None, renamed: bool = False) -> Consistency:
    profiles, labels, perturbations = screen(seed=2)
    rows = np.arange(len(labels)) if order is None else order
    return consistency(
        profiles[rows],
        split_labels([labels[row] for row in rows], between="|"),
        perturbations=[("new " if renamed else "") + perturbations[row] for row in rows],
        null=null,
        seed=seed,
    )


@pytest.mark.parametrize("null", ["labels", "copairs"])
def test_neither_the_order_of_rows_nor_names_change_a_p_value(null: str) -> None:
    order = np.random.default_rng(0).permutation(30)

    assert scored(null=null, order=order, renamed=True).labels.equals(scored(null=null).labels)
    assert not scored(null=null, seed=1).labels.equals(scored(null=null).labels)


def test_two_profiles_that_find_each_other_by_chance_are_not_called_by_labels_dealt_anew() -> None:
    """With two rows copairs gives every perfect score the smallest p that its draws allow."""
    rng = np.random.default_rng(0)
    n_screens, alarms = 20, {"labels": 0, "copairs": 0}
    for _ in range(n_screens):
        profiles = rng.standard_normal((20, 3))
        for null in alarms:
            found = consistency(profiles, [(f"m{row // 2}",) for row in range(20)], null=null, seed=0)
            alarms[null] += int(found.labels["is_consistent"].any())

    assert alarms["labels"] <= 4  # .05 of 20 screens, and three standard errors
    assert alarms["copairs"] >= 6


def test_doses_of_one_perturbation_do_not_make_a_label_consistent() -> None:
    rng = np.random.default_rng(0)
    directions = np.repeat(rng.standard_normal((12, 10)), 6, axis=0)
    profiles = directions + 0.1 * rng.standard_normal((72, 10))
    labels, perturbations = [(f"m{row // 12}",) for row in range(72)], [f"p{row // 6}" for row in range(72)]

    blind = consistency(profiles, labels).labels
    seeing = consistency(profiles, labels, perturbations=perturbations).labels

    assert blind["is_consistent"].all()
    assert not seeing["is_consistent"].any()
    assert seeing["n_perturbations"].to_list() == [2] * 6


def test_what_has_no_positive_or_no_negative_has_no_score() -> None:
    profiles = np.random.default_rng(0).standard_normal((5, 4))

    found = consistency(profiles, [("a", "b"), ("a",), ("a", "c"), ("a",), ()])

    # Every labelled row has `a`: nothing is left to rank against, where copairs would say 1.
    assert found.labels["mean_average_precision"].is_null().all()
    assert found.labels["p_value"].is_null().all()
    assert not found.labels["is_consistent"].any()
    assert found.n_without_label == 1


def test_a_profile_that_is_not_finite_is_refused_if_it_has_a_label() -> None:
    profiles = np.random.default_rng(0).standard_normal((4, 3))
    profiles[2, 1] = np.nan

    with pytest.raises(InputRejectedError, match="row 3 has one that is missing"):
        consistency(profiles, [("a",), ("a",), ("b",), ("b",)])
    assert consistency(profiles, [("a",), ("a",), (), ("b",)]).labels.height == 2
    with pytest.raises(InputRejectedError, match="two or more profiles with a label"):
        consistency(profiles, [(), (), (), ("b",)])


def test_labels_are_split_stripped_and_kept_as_they_are_written() -> None:
    cells = [" b|a | b", None, "", "A"]

    assert split_labels(cells, between="|") == [("a", "b"), (), (), ("A",)]
    assert split_labels(cells, between=None) == [("b|a | b",), (), (), ("A",)]


def test_a_column_of_one_label_alone_is_scored_as_none() -> None:
    found = consistency(np.eye(4), [("only",)] * 4).labels

    assert found.select("mean_average_precision", "p_value", "q_value").null_count().row(0) == (1, 1, 1)
    assert isinstance(found, pl.DataFrame)
