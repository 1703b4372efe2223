"""Laws, oracles and edges of average precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from hcs.statistics.average_precision import negatives_above, precisions_of_counts

counts = st.integers(1, 12)


def average_precision(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Of one query."""
    return float(precisions_of_counts(negatives_above(positives[None], negatives[None]))[0])


def naive_average_precision(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Walk down the ranked list, a positive before a negative of equal similarity."""
    ranked = sorted([(-s, 0) for s in positives] + [(-s, 1) for s in negatives])
    found, precisions = 0, []
    for rank, (_, is_negative) in enumerate(ranked, start=1):
        if not is_negative:
            found += 1
            precisions.append(found / rank)
    return float(np.mean(precisions))


@settings(deadline=None, max_examples=80)
@given(n_positives=counts, n_negatives=counts, levels=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_ties_favour_positives_as_in_a_naive_walk(n_positives: int, n_negatives: int, levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positives = rng.integers(0, levels, n_positives) / levels
    negatives = rng.integers(0, levels, n_negatives) / levels

    assert average_precision(positives, negatives) == pytest.approx(
        naive_average_precision(positives, negatives), abs=1e-12
    )


@settings(deadline=None, max_examples=40)
@given(n_positives=counts, n_negatives=counts, seed=st.integers(0, 2**32 - 1))
def test_without_ties_it_is_that_of_scikit_learn(n_positives: int, n_negatives: int, seed: int) -> None:
    similarities = np.random.default_rng(seed).standard_normal(n_positives + n_negatives)
    labels = np.arange(similarities.size) < n_positives

    found = average_precision(similarities[labels], similarities[~labels])

    assert found == pytest.approx(average_precision_score(labels, similarities), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_candidates_and_a_rising_map_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positives, negatives = np.round(rng.uniform(-1, 1, (4, 5)), 1), np.round(rng.uniform(-1, 1, (4, 10)), 1)
    order = rng.permutation(10)

    expected = negatives_above(positives, negatives)

    np.testing.assert_array_equal(negatives_above(positives, negatives[:, order]), expected)
    np.testing.assert_array_equal(negatives_above(positives[:, ::-1], negatives), expected[:, ::-1])
    np.testing.assert_array_equal(negatives_above(np.exp(positives), np.exp(negatives)), expected)
    np.testing.assert_array_equal(precisions_of_counts(expected[:, ::-1]), precisions_of_counts(expected))


def test_rounding_does_not_split_a_tie() -> None:
    third = np.array([1.0 / 3.0])

    assert average_precision(third, np.nextafter(third, 1.0)) == 1.0


@pytest.mark.parametrize("n_plates", [1, 3])
def test_it_is_that_of_copairs(n_plates: int) -> None:
    copairs = pytest.importorskip("copairs.map", reason="copairs is the reference of this test")
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(3)
    meta = pandas.DataFrame(
        [
            {"plate": f"p{plate}", "compound": name, "role": "negcon" if name == "DMSO" else "treatment"}
            for plate in range(n_plates)
            for name in ["a", "a", "b", "b", "b", *["DMSO"] * 6]
        ]
    )
    profiles = rng.standard_normal((len(meta), 12)) + (meta["compound"] == "a").to_numpy()[:, None] * 0.7
    expected = copairs.average_precision(
        meta,
        profiles,
        pos_sameby=["compound"],
        pos_diffby=[],
        neg_sameby=["plate"],
        neg_diffby=["compound", "role"],
        progress_bar=False,
    )

    units = profiles / np.linalg.norm(profiles, axis=1, keepdims=True)
    compound, plate = meta["compound"].to_numpy(), meta["plate"].to_numpy()
    is_negcon = compound == "DMSO"
    similarities, others = units @ units.T, ~np.eye(len(meta), dtype=bool)
    found = [
        average_precision(
            similarities[query, (compound == compound[query]) & others[query]],
            similarities[query, (plate == plate[query]) & is_negcon],
        )
        for query in np.flatnonzero(~is_negcon)
    ]

    np.testing.assert_allclose(found, expected["average_precision"].to_numpy(dtype=float)[~is_negcon], atol=1e-6)
