"""What the wells of one treatment say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from hcs.hits.evidence import gather_evidence
from hcs.hits.treatments import screen_wells
from hcs.statistics.query_precision import query_precisions


def test_the_plain_score_is_that_of_copairs(make_screen: Callable) -> None:
    copairs = pytest.importorskip("copairs.map", reason="copairs is the reference of this test")
    profiles, wells = make_screen([0.0, 0.4, 0.8, 2.0], n_plates=3, n_replicates=2, n_controls=6)
    precisions = copairs.average_precision(
        wells.to_pandas(use_pyarrow_extension_array=False)[["plate", "perturbation", "control_type"]],
        profiles,
        pos_sameby=["perturbation"],
        pos_diffby=[],
        neg_sameby=["plate"],
        neg_diffby=["perturbation", "control_type"],
        progress_bar=False,
    )
    expected = precisions.groupby("perturbation")["average_precision"].mean()

    screen = screen_wells(profiles, wells)

    by_treatment = {item.treatment.perturbation: item for item in gather_evidence(screen, seed=0)}

    for treatment in screen.treatments:
        found = by_treatment[treatment.perturbation].mean_average_precision
        assert found == pytest.approx(expected[treatment.perturbation], abs=1e-6)


def test_the_plain_score_does_not_centre_and_the_p_value_does(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.6], n_plates=3)
    moved = profiles + 4.0
    first, second = screen_wells(profiles, wells), screen_wells(moved, wells)

    before, after = (gather_evidence(screen, seed=0)[0] for screen in (first, second))

    assert before.test == after.test
    assert before.mean_average_precision != after.mean_average_precision
    assert before.effect == pytest.approx(after.effect)


def test_perfect_replicates_score_one(make_screen: Callable) -> None:
    profiles = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])

    found = query_precisions(profiles, np.array([0, 0, -1, -1]), np.arange(4) > 1, np.zeros(4, dtype=int))

    assert found.precisions.tolist() == [1.0, 1.0]


def test_a_replicate_on_a_plate_without_controls_is_left_out_and_told(make_screen: Callable) -> None:
    profiles, wells = make_screen([0.0, 0.0], n_plates=3, n_replicates=2)
    keep = (pl.col("plate") != "P2") | (pl.col("control_type") != "negcon")
    rows = wells.with_row_index().filter(keep)["index"].to_numpy()
    screen = screen_wells(profiles[rows], wells[rows])

    evidence = gather_evidence(screen, seed=0)[0]

    assert (len(evidence.replicates), evidence.n_plates, evidence.n_controls) == (4, 2, 16)
    assert evidence.reason == "left out: 2 on plates without a negative control"
    assert evidence.test is not None


def test_one_replicate_has_an_effect_but_no_score(make_screen: Callable) -> None:
    profiles, wells = make_screen([5.0], n_plates=1)
    screen = screen_wells(profiles, wells)

    evidence = gather_evidence(screen, seed=0)[0]

    assert evidence.test is None
    assert evidence.mean_average_precision is None
    assert evidence.reason == "one replicate: no other to agree with"
    assert evidence.effect is not None
    assert evidence.effect > 2
