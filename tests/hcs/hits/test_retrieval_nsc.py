"""NSC and both readings of NSCB, against the loop that published them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.retrieval_nsc import nearest_labels


def treatments() -> tuple[np.ndarray, list[str], list[str], list[str]]:
    """Return profiles of 12 compounds at up to 3 concentrations, labels, and the weeks of each, one of all weeks."""
    rng = np.random.default_rng(0)
    compounds = [f"c{row // 3}" for row in range(36)]
    labels = [f"m{(row // 3) % 4}" for row in range(36)]
    weeks = [["week1", "week1,week2", "week3", "week1,week2,week3"][(row // 3 + row // 12) % 4] for row in range(36)]
    direction = {label: rng.standard_normal(8) for label in sorted(set(labels))}
    shift = {week: rng.standard_normal(8) for week in sorted(set(weeks))}
    profiles = np.stack([direction[m] + shift[w] for m, w in zip(labels, weeks, strict=True)])
    return profiles + rng.standard_normal((36, 8)), compounds, labels, weeks


def by_a_loop(excluded: np.ndarray, labels: list[str], profiles: np.ndarray) -> list[tuple[str, str]]:
    """As the evaluation notebook of DeepProfiler: 1-NN in cosine distance, others set to the largest distance."""
    units = profiles / np.linalg.norm(profiles, axis=1, keepdims=True)
    similarity = np.where(excluded, -np.inf, units @ units.T)
    return [(labels[row], labels[int(near.argmax())]) for row, near in enumerate(similarity) if np.isfinite(near.max())]


def test_scores_and_confusion_are_those_of_a_loop() -> None:
    profiles, compounds, labels, weeks = treatments()
    same_compound = np.equal.outer(compounds, compounds)
    sets = [set(week.split(",")) for week in weeks]
    excluded = {
        "NSC": same_compound,
        "NSCB exact": same_compound | np.equal.outer(weeks, weeks),
        "NSCB strict": same_compound | np.array([[bool(a & b) for b in sets] for a in sets]),
    }

    found = nearest_labels(profiles, perturbations=compounds, labels=labels, batches=weeks)

    assert found.scores["score"].to_list() == list(excluded)
    for row in found.scores.iter_rows(named=True):
        pairs = by_a_loop(excluded[row["score"]], labels, profiles)
        right = sum(actual == nearest for actual, nearest in pairs)
        assert (row["n_right"], row["n_queries"]) == (right, len(pairs))
        assert row["accuracy"] == pytest.approx(right / len(pairs))
        part = found.confusion.filter(pl.col("score") == row["score"])
        assert {(label, nearest): n for _, label, nearest, n in part.iter_rows()} == {
            pair: pairs.count(pair) for pair in pairs
        }
    assert found.scores["accuracy"].n_unique() == 3  # the three readings do differ here


def test_a_label_of_one_batch_is_wrong_until_it_is_left_out() -> None:
    profiles = np.random.default_rng(1).standard_normal((6, 5))
    rows = {"perturbations": list("abcdef"), "batches": list("112212"), "labels": ["u", "u", "v", "v", "v", "w"]}

    whole = nearest_labels(profiles, **rows).scores.row(1, named=True)
    rest = nearest_labels(profiles, **rows, left_out=["U", "w"]).scores.row(1, named=True)

    assert (whole["n_queries"], whole["n_answerable"]) == (6, 3)
    assert (rest["n_queries"], rest["n_answerable"]) == (3, 3)


def test_rows_without_a_batch_or_a_number_are_refused_and_those_without_a_label_take_no_part() -> None:
    profiles = np.random.default_rng(1).standard_normal((4, 5))
    rows = {"perturbations": list("abcd"), "labels": ["x", "x", "", "y"]}
    profiles[2] = np.nan

    assert nearest_labels(profiles, **rows).scores["n_queries"].to_list() == [3]
    with pytest.raises(InputRejectedError, match="row 2 has none"):
        nearest_labels(profiles, **rows, batches=["1", "", "", "2"])
    with pytest.raises(InputRejectedError, match="none of 4 has one"):
        nearest_labels(profiles, **rows, left_out=["x", "y"])
    profiles[0, 0] = np.inf
    with pytest.raises(InputRejectedError, match="row 1 has one that is missing or infinite"):
        nearest_labels(profiles, **rows)
