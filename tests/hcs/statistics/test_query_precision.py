"""Average precision of wells among controls: copairs as the oracle, to the last decision, and the edges."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hcs.statistics.query_precision import means_of_treatments, query_precisions


def make_wells(n_plates: int, n_treatments: int, n_controls: int, *, dtype: type, seed: int, n_features: int = 30):
    rng = np.random.default_rng(seed)
    shifts = 0.5 * rng.standard_normal((n_treatments, n_features)) * (np.arange(n_treatments) % 2)[:, None]
    treatments = np.tile(np.r_[np.arange(n_treatments), np.full(n_controls, -1)], n_plates)
    plates = np.repeat(np.arange(n_plates), n_treatments + n_controls)
    profiles = (
        rng.standard_normal((len(plates), n_features)) + np.vstack([shifts, np.zeros((1, n_features))])[treatments]
    )
    return profiles.astype(dtype), treatments, plates


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("same_plate", [True, False])
def test_precisions_and_counts_are_those_of_copairs(dtype: type, same_plate: bool) -> None:
    copairs = pytest.importorskip("copairs.map", reason="copairs is the reference of this test")
    import pandas as pd

    profiles, treatments, plates = make_wells(4, 20, 30, dtype=dtype, seed=1)
    # Coarse values and copies make ties, which only the arithmetic of copairs can settle as copairs does.
    profiles[: len(profiles) // 2] = np.round(profiles[: len(profiles) // 2])
    profiles[20] = profiles[21] = 2 * profiles[0]
    names = np.where(treatments < 0, 1000 + np.arange(len(plates)), treatments)
    meta = pd.DataFrame({"plate": plates, "name": names, "is_control": (treatments < 0).astype(int)})

    expected = copairs.average_precision(
        meta,
        profiles,
        pos_sameby=["name"],
        pos_diffby=[],
        neg_sameby=["plate"] if same_plate else [],
        neg_diffby=["is_control"],
        progress_bar=False,
    ).iloc
    found = query_precisions(profiles, treatments, treatments < 0, plates if same_plate else None)

    theirs = expected[found.rows]
    np.testing.assert_allclose(found.precisions, theirs["average_precision"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.configurations, theirs[["n_pos_pairs", "n_total_pairs"]])


def test_a_precision_is_that_of_scikit_learn() -> None:
    profiles, treatments, plates = make_wells(3, 4, 12, dtype=np.float64, seed=2)
    units = profiles / np.linalg.norm(profiles, axis=1)[:, None]

    found = query_precisions(profiles, treatments, treatments < 0, plates)

    for row, precision in zip(found.rows, found.precisions, strict=True):
        others = (treatments == treatments[row]) & (np.arange(len(plates)) != row)
        rivals = (treatments < 0) & (plates == plates[row])
        expected = average_precision_score(others[others | rivals], (units @ units[row])[others | rivals])
        assert precision == pytest.approx(expected, abs=1e-12)


def test_rows_may_come_in_any_order() -> None:
    profiles, treatments, plates = make_wells(3, 6, 10, dtype=np.float32, seed=3)
    order = np.random.default_rng(0).permutation(len(plates))

    first = query_precisions(profiles, treatments, treatments < 0, plates)
    second = query_precisions(profiles[order], treatments[order], treatments[order] < 0, plates[order])

    by_row = dict(zip(order[second.rows].tolist(), second.precisions.tolist(), strict=True))
    assert [by_row[row] for row in first.rows.tolist()] == first.precisions.tolist()


def test_without_negatives_or_other_replicates_there_is_no_precision() -> None:
    profiles, treatments, plates = make_wells(2, 2, 4, dtype=np.float64, seed=4)
    without_controls = (treatments < 0) & (plates == 0)
    treatments = np.where((treatments == 1) & (plates == 1), 2, treatments)  # two treatments of one well each

    found = query_precisions(profiles, treatments, without_controls, plates)

    assert np.isnan(found.precisions[treatments[found.rows] > 0]).all()
    assert np.isnan(found.precisions[plates[found.rows] == 1]).all()
    assert not np.isnan(found.precisions[0])
    assert np.isnan(means_of_treatments(found.precisions, treatments[found.rows], 3)[1:]).all()


def test_a_row_of_zeros_is_as_unlike_everything() -> None:
    profiles = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [1.0, 0.1]])

    found = query_precisions(profiles, np.array([0, 0, -1, -1]), np.arange(4) > 1, np.zeros(4, dtype=int))

    # For the first, one control is more similar than the zero row; for the zero row all are tied, in its favour.
    assert found.precisions.tolist() == [0.5, 1.0]
