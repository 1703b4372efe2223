"""Average precision by label: a walk down the ranked list, and what stands on one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.statistics import label_precision
from hcs.statistics.label_precision import expected_precision, label_precisions


def naive(
    profiles: np.ndarray, labels: list[set[int]], perturbations: list[int] | None
) -> dict[tuple[int, int], tuple[float, int, int]]:
    """Walk down the list of each row and label; in single precision equal similarities are tied."""
    units = profiles / np.maximum(np.linalg.norm(profiles, axis=1, keepdims=True), 1e-300)
    found = {}
    for row, own in enumerate(labels):
        far = 1 - (units @ units[row]).astype(np.float32)
        others = [other for other in range(len(labels)) if other != row]
        negatives = [other for other in others if not labels[other] & own]
        for label in own:
            positives = [
                other
                for other in others
                if label in labels[other] and (perturbations is None or perturbations[other] != perturbations[row])
            ]
            ranked = sorted([(far[other], 0) for other in positives] + [(far[other], 1) for other in negatives])
            hits, precisions = 0, []
            for rank, (_, is_negative) in enumerate(ranked, start=1):
                if not is_negative:
                    hits += 1
                    precisions.append(hits / rank)
            precision = float(np.mean(precisions)) if precisions and negatives else float("nan")
            found[label, row] = (precision, len(positives), len(ranked))
    return found


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 14), knows=st.booleans(), levels=st.sampled_from([1, 30]))
def test_it_is_what_a_walk_down_the_list_gives(seed: int, n: int, knows: bool, levels: int) -> None:
    rng = np.random.default_rng(seed)
    profiles = rng.integers(-levels, levels + 1, (n, 3)).astype(float)
    labels = [set(rng.choice(4, rng.integers(1, 3)).tolist()) for _ in range(n)]
    perturbations = rng.integers(0, 5, n)
    members = [np.array([row for row in range(n) if label in labels[row]], dtype=np.intp) for label in range(4)]

    found = label_precisions(profiles, members, perturbations=perturbations if knows else None)

    expected = naive(profiles, labels, perturbations.tolist() if knows else None)
    assert list(zip(found.labels.tolist(), found.rows.tolist(), strict=True)) == sorted(expected)
    for place, key in enumerate(sorted(expected)):
        came = (found.precisions[place], found.n_positives[place], found.n_candidates[place])
        assert came == pytest.approx(expected[key], nan_ok=True)


def test_it_does_not_matter_whether_all_similarities_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = np.random.default_rng(0).standard_normal((50, 5))
    members = [np.arange(0, 25), np.arange(25, 50)]
    whole = label_precisions(profiles, members).precisions

    monkeypatch.setattr(label_precision, "_MOST_AT_ONCE", 10)
    monkeypatch.setattr(label_precision, "_BLOCK", 350)  # seven rows at a time

    np.testing.assert_array_equal(label_precisions(profiles, members).precisions, whole)


def test_the_expected_precision_is_the_mean_over_all_orders() -> None:
    rng = np.random.default_rng(0)
    draws = np.sort(np.argsort(rng.random((40_000, 9)), axis=1)[:, :3], axis=1) + 1
    mean = (np.arange(1, 4) / draws).mean()

    assert expected_precision(np.array([3]), np.array([9]))[0] == pytest.approx(mean, abs=4e-3)
    assert expected_precision(np.array([1]), np.array([2]))[0] == pytest.approx(0.75)
