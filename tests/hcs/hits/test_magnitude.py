"""How strong treatments are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from hcs.errors import InputRejectedError
from hcs.hits.magnitude import magnitudes
from hcs.hits.magnitude_mahalanobis import white_wells


def screen(
    effects: tuple[float, ...] = (0.0, 3.0), *, n_plates: int = 4, n_controls: int = 12, d: int = 10, seed: int = 0
) -> dict[str, object]:
    """Return treatments c0, c1, ... once a plate, shifted in the first features by their effect."""
    rng = np.random.default_rng(seed)
    n = n_controls + len(effects)
    place, plate = np.tile(np.arange(n), n_plates), np.repeat(np.arange(n_plates), n)
    shift = np.concatenate([np.zeros(n_controls), effects])[place]
    profiles = rng.standard_normal((len(place), d)) + np.outer(shift, np.arange(d) < d // 2) + plate[:, None]
    return {
        "profiles": profiles,
        "plates": [f"P{number}" for number in plate],
        "wells": [f"W{number}" for number in place],
        "perturbations": ["DMSO" if number < n_controls else f"c{number - n_controls}" for number in place],
        "is_control": place < n_controls,
    }


def test_a_strong_treatment_is_strong_by_every_measure_and_a_control_is_one() -> None:
    found = {row["perturbation"]: row for row in magnitudes(**screen((0.0, 6.0), n_controls=24)).to_dicts()}

    assert set(found) == {"c0", "c1"}
    none, strong = found["c0"], found["c1"]
    assert 0.6 < none["mahalanobis_ratio"] < 1.5
    assert strong["mahalanobis"] > 4
    assert strong["mahalanobis_ratio"] > 3
    assert (none["induction_percent"], strong["induction_percent"]) == (0, 50)
    assert strong["grit"] > 1.5 > abs(none["grit"])
    assert strong["energy_distance"] > 3 * none["energy_distance"]
    assert strong["energy_q_value"] == 2 * strong["energy_p_value"] <= 0.01 < none["energy_q_value"]
    assert none["n_controls"] == 96


def test_held_out_controls_have_a_ratio_of_one_where_fitted_ones_would_look_weak() -> None:
    """96 controls of 60 features: the covariance of the very controls would make them half as long."""
    ratios = []
    for seed in range(15):
        made = screen((0.0,) * 4, n_controls=24, d=60, seed=seed)
        plates = np.repeat(np.arange(4), 28)
        white = white_wells(made["profiles"], plates, made["wells"], made["is_control"])
        names = np.array(made["perturbations"])
        ratios += [white.length(np.flatnonzero(names == f"c{number}"), plates)[1] for number in range(4)]

    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1, abs=0.06)


def test_the_distance_leaves_the_plate_out_of_its_covariance() -> None:
    made = screen((1.0,), n_plates=3, n_controls=8)
    profiles, plates = made["profiles"], np.repeat([0, 1, 2], 9)
    is_control = made["is_control"]

    found = white_wells(profiles, plates, made["wells"], is_control)

    centred = [profiles[is_control & (plates == p)] - profiles[is_control & (plates == p)].mean(axis=0) for p in (0, 2)]
    matrix, _ = ledoit_wolf(np.vstack(centred), assume_centered=True)
    treated = profiles[(plates == 1) & ~is_control][0] - profiles[is_control & (plates == 1)].mean(axis=0)
    length = np.linalg.norm(found.deviations[(plates == 1) & ~is_control])
    assert length == pytest.approx(np.sqrt(treated @ np.linalg.inv(matrix) @ treated))


def test_one_plate_is_fitted_on_half_of_its_controls() -> None:
    row = magnitudes(**screen((3.0,), n_plates=1, n_controls=24)).row(0, named=True)

    assert row["mahalanobis_ratio"] > 2
    assert row["grit"] is None  # one well has no other
    assert row["energy_smallest_possible_p"] == 1 / 25


def test_names_of_plates_and_the_order_of_rows_change_nothing() -> None:
    made = screen()
    order = np.random.default_rng(1).permutation(len(made["plates"]))
    moved = {name: [value[row] for row in order] for name, value in made.items()}
    moved |= {"profiles": made["profiles"][order], "is_control": made["is_control"][order]}
    moved["plates"] = [f"x{9 - int(name[1:])}" for name in moved["plates"]]

    found, again = magnitudes(**made), magnitudes(**moved)

    for name in found.columns[1:]:
        np.testing.assert_allclose(again[name].to_numpy(), found[name].to_numpy(), rtol=1e-9)


def test_grit_by_group_asks_other_perturbations() -> None:
    made = screen((2.0, 2.0, 0.0))
    groups = ["g" if name in {"c0", "c1"} else name for name in made["perturbations"]]

    found = dict(magnitudes(**made, groups=groups).select("perturbation", "grit").iter_rows())

    assert found["c0"] > 1
    assert found["c2"] is None


def test_a_plate_without_controls_counts_for_nothing_and_constant_features_are_left_out_of_induction() -> None:
    made = screen((6.0,), n_controls=24)
    plates = np.array(made["plates"])
    is_control = made["is_control"] & (plates != "P0")
    names = ["c0" if not control else "DMSO" for control in is_control]
    constant = np.column_stack([made["profiles"], np.ones((len(plates), 10))])

    row = magnitudes(**made | {"profiles": constant, "is_control": is_control, "perturbations": names}).row(
        0, named=True
    )

    assert (row["n_replicates"], row["n_plates"]) == (3, 3)
    assert row["induction_percent"] == 50


def test_profiles_that_are_not_finite_and_tables_without_controls_are_refused() -> None:
    made = screen()
    made["profiles"][3, 3] = np.nan
    with pytest.raises(InputRejectedError, match="well W3 of plate P0 has one that is missing"):
        magnitudes(**made)
    with pytest.raises(InputRejectedError, match="0 of 56 wells are controls"):
        magnitudes(**screen() | {"is_control": np.zeros(56, dtype=bool)})
