"""Retrieval of labels among other compounds, and among other batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.statistics import not_same
from hcs.statistics.not_same import label_set, not_same_compound, not_same_compound_or_batch, shares_a_label


def cosine(left: list[float], right: list[float]) -> float:
    lengths = math.sqrt(sum(x * x for x in left)) * math.sqrt(sum(x * x for x in right))
    return round(sum(x * y for x, y in zip(left, right, strict=True)) / lengths, 9) if lengths else 0.0


def naive(
    profiles: list[list[float]], compounds: list[str], labels: list[str], batches: list[str] | None
) -> tuple[list[int], list[bool]]:
    """Look at every pair of rows, in plain Python."""
    nearest, is_right = [], []
    for query, label in enumerate(labels):
        candidates = [
            (-cosine(profiles[query], profiles[row]), compounds[row], batches[row] if batches else "", row)
            for row in range(len(profiles))
            if compounds[row] != compounds[query]
            and labels[row]
            and (batches is None or batches[row] != batches[query])
        ]
        row = min(candidates)[-1] if candidates and label else -1
        nearest.append(row)
        is_right.append(row >= 0 and bool(set(label.split("|")) & set(labels[row].split("|"))))
    return nearest, is_right


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 16),
    levels=st.sampled_from([1, 2, 50]),
    knows_batches=st.booleans(),
)
def test_it_agrees_with_looking_at_every_pair(seed: int, n_rows: int, levels: int, knows_batches: bool) -> None:
    rng = np.random.default_rng(seed)
    profiles = rng.integers(-levels, levels + 1, (n_rows, 3)).astype(float)
    compounds = [str(name) for name in rng.choice(["b", "a", "d", "c", "e"], n_rows)]
    labels = [str(label) for label in rng.choice(["", "x", "y", "x|y", "y|z", "w"], n_rows)]
    batches = [str(batch) for batch in rng.choice(["2", "1", "3"], n_rows)]
    expected = naive(profiles.tolist(), compounds, labels, batches if knows_batches else None)

    found = (
        not_same_compound_or_batch(profiles, compounds=compounds, labels=labels, batches=batches)
        if knows_batches
        else not_same_compound(profiles, compounds=compounds, labels=labels)
    )

    assert (found.nearest.tolist(), found.is_right.tolist()) == expected
    assert found.n_queries == sum(row >= 0 for row in expected[0])
    if found.n_queries:
        assert found.accuracy == pytest.approx(sum(expected[1]) / found.n_queries)
    else:
        assert found.accuracy is None


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    profiles = rng.integers(-1, 2, (12, 3)).astype(float)
    compounds = np.array([f"c{number}" for number in range(12)])
    labels = rng.choice(["x", "y", "z"], 12)
    order = rng.permutation(12)

    found = not_same_compound(profiles, compounds=compounds.tolist(), labels=labels.tolist())
    moved = not_same_compound(profiles[order], compounds=compounds[order].tolist(), labels=labels[order].tolist())

    assert compounds[found.nearest[order]].tolist() == compounds[order][moved.nearest].tolist()
    assert found.accuracy == moved.accuracy


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(0.01, 100))
def test_the_length_of_a_profile_decides_nothing(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    profiles = rng.standard_normal((10, 4))
    names = [f"c{number}" for number in range(10)]
    scales = np.where(rng.random(10) < 0.5, factor, 1.0)[:, None]

    found = not_same_compound(profiles, compounds=names, labels=["x"] * 10)
    scaled = not_same_compound(profiles * scales, compounds=names, labels=["x"] * 10)

    np.testing.assert_array_equal(found.nearest, scaled.nearest)


def test_a_compound_does_not_find_its_own_doses() -> None:
    profiles = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])

    found = not_same_compound(profiles, compounds=["a", "a", "b", "c"], labels=["x", "x", "x", "y"])

    assert found.nearest.tolist() == [2, 2, 3, 2]
    assert found.is_right.tolist() == [True, True, False, False]
    assert found.accuracy == 0.5


def test_a_batch_is_not_searched_by_its_own_rows() -> None:
    """Every batch has an offset that is larger than the phenotypes, so NSC sees batches and NSCB sees phenotypes."""
    profiles = np.array([[1, 0, 9, 0], [1, 0, 0, 9], [0, 1, 9, 0], [0, 1, 0, 9], [1, 0, 9, 0], [1, 0, 0, 9]], float)
    compounds, labels = ["a", "a", "b", "b", "c", "c"], ["x", "x", "y", "y", "x", "x"]
    batches = ["1", "2", "1", "2", "1", "2"]

    found = not_same_compound_or_batch(profiles, compounds=compounds, labels=labels, batches=batches)

    assert found.nearest.tolist() == [5, 4, 1, 0, 1, 0]
    assert found.accuracy == pytest.approx(4 / 6)


def test_a_label_that_no_candidate_has_is_a_wrong_query() -> None:
    found = not_same_compound(np.eye(3), compounds=["a", "b", "c"], labels=["only", "x", "x"])

    assert found.n_queries == 3
    assert not found.is_right[0]


def test_a_row_without_a_label_neither_asks_nor_answers() -> None:
    profiles = np.array([[1.0, 0.0], [1.0, 0.01], [0.5, 0.5]])

    found = not_same_compound(profiles, compounds=["a", "b", "c"], labels=["x", " ", "x"])

    assert found.nearest.tolist() == [2, -1, 0]
    assert (found.accuracy, found.n_queries) == (1.0, 2)


def test_one_compound_or_one_batch_leaves_no_query() -> None:
    profiles = np.eye(3)

    alone = not_same_compound(profiles, compounds=["a"] * 3, labels=["x"] * 3)
    one_batch = not_same_compound_or_batch(profiles, compounds=["a", "b", "c"], labels=["x"] * 3, batches=["1"] * 3)

    for found in (alone, one_batch):
        assert (found.accuracy, found.n_queries) == (None, 0)
        assert found.nearest.tolist() == [-1, -1, -1]


def test_without_rows_there_is_no_query() -> None:
    found = not_same_compound(np.zeros((0, 4)), compounds=[], labels=[])

    assert (found.accuracy, found.n_queries, len(found.nearest)) == (None, 0, 0)


def test_equal_similarities_go_to_the_first_compound_by_name() -> None:
    profiles = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [0.0, 0.0]])

    found = not_same_compound(profiles, compounds=["q", "z", "b", "a"], labels=["x"] * 4)

    assert found.nearest.tolist() == [3, 2, 1, 2]


def test_a_block_at_a_time_finds_the_same_rows() -> None:
    rng = np.random.default_rng(0)
    profiles = rng.standard_normal((3000, 4))
    names = [f"{number:04d}" for number in range(3000)]
    n_blocks = len(profiles) ** 2 / not_same._BLOCK

    found = not_same_compound(profiles, compounds=names, labels=["x"] * 3000)
    units = profiles / np.linalg.norm(profiles, axis=1, keepdims=True)
    similarities = units @ units.T - 3 * np.eye(3000)

    assert n_blocks > 1
    np.testing.assert_array_equal(found.nearest, similarities.argmax(axis=1))


def test_shuffled_labels_ask_the_same_neighbours() -> None:
    rng = np.random.default_rng(1)
    profiles, names = rng.standard_normal((30, 5)), [str(number) for number in range(30)]
    labels = rng.choice(["x", "y", "x|z"], 30)
    found = not_same_compound(profiles, compounds=names, labels=labels.tolist())
    shuffled = rng.permutation(labels).tolist()

    again = not_same_compound(profiles, compounds=names, labels=shuffled)

    np.testing.assert_array_equal(found.nearest, again.nearest)
    np.testing.assert_array_equal(shares_a_label(found.nearest, labels=shuffled), again.is_right)


@pytest.mark.parametrize(
    ("text", "labels"), [("", set()), ("a", {"a"}), ("a|b", {"a", "b"}), (" a | |B|A", {"a", "b"})]
)
def test_labels_are_parted_by_a_bar(text: str, labels: set[str]) -> None:
    assert label_set(text) == labels


def test_batches_that_overlap_are_the_same_only_where_that_is_asked() -> None:
    """The trap of BBBC021: taxol is in all weeks, under a text that no other compound has."""
    profiles = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    compounds, labels = ["taxol", "b", "c", "d"], ["x", "x", "y", "x"]
    batches = ["week1,week2, week3", "week1", "week2", "week4"]
    exact = not_same_compound_or_batch(profiles, compounds=compounds, labels=labels, batches=batches)

    strict = not_same_compound_or_batch(
        profiles, compounds=compounds, labels=labels, batches=batches, between_batches=","
    )

    assert exact.nearest.tolist() == [1, 0, 3, 2]
    assert strict.nearest.tolist() == [3, 3, 3, 2]


def test_a_query_is_answerable_where_a_candidate_shares_its_label() -> None:
    profiles = np.eye(4) + 0.1
    found = not_same_compound(profiles, compounds=["a", "a", "b", "c"], labels=["x|z", "x", "Z", "y"])

    assert found.is_answerable.tolist() == [True, False, True, False]
    assert set(np.flatnonzero(found.is_right)) <= set(np.flatnonzero(found.is_answerable))
