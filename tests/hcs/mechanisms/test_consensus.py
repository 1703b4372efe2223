"""One profile a treatment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from hcs.mechanisms.consensus import consensus_profiles


@pytest.mark.parametrize(("operation", "expected"), [("median", np.median), ("mean", np.mean)])
def test_it_is_the_average_over_the_wells_of_a_treatment(
    make_wells: Callable, operation: str, expected: Callable
) -> None:
    profiles, wells = make_wells()

    consensus = consensus_profiles(profiles, wells, operation=operation)

    assert consensus.treatments["perturbation"].to_list() == ["a1", "a2", "a3", "b1", "b2", "i1", "i2"]
    assert (consensus.treatments["treatment"] == consensus.treatments["perturbation"] + "@1").all()
    for row, name in enumerate(consensus.treatments["perturbation"]):
        own = profiles[(wells["perturbation"] == name).to_numpy()]
        np.testing.assert_allclose(consensus.profiles[row], expected(own, axis=0))


@pytest.mark.parametrize("operation", ["median", "mean"])
def test_the_order_of_the_wells_changes_no_bit(make_wells: Callable, operation: str) -> None:
    profiles, wells = make_wells()
    order = np.random.default_rng(1).permutation(wells.height)

    first = consensus_profiles(profiles, wells, operation=operation)
    second = consensus_profiles(profiles[order], wells[order], operation=operation)

    assert first.treatments.equals(second.treatments)
    assert first.profiles.tobytes() == second.profiles.tobytes()


def test_doses_are_treatments_of_one_perturbation(make_wells: Callable) -> None:
    profiles, wells = make_wells()
    dosed = wells.with_columns(
        perturbation=pl.col("perturbation").replace({"a1": "a", "a2": "a"}),
        concentration_micromolar=pl.when(pl.col("perturbation") == "a2")
        .then(5.0)
        .otherwise("concentration_micromolar"),
    )

    consensus = consensus_profiles(profiles, dosed)

    assert consensus.treatments["treatment"].to_list()[:3] == ["a3@1", "a@1", "a@5"]
    assert consensus.perturbation_numbers[1] == consensus.perturbation_numbers[2]


def test_negative_controls_and_empty_wells_have_none(make_wells: Callable) -> None:
    profiles, wells = make_wells()
    only_controls = wells.with_columns(control_type=pl.lit("negcon"))

    consensus = consensus_profiles(profiles, only_controls)

    assert consensus.treatments.height == 0
    assert consensus.profiles.shape == (0, 6)
