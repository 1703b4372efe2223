"""Calls of wells without a replicate."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.control_halves import fitted_controls
from hcs.hits.singlicates import _distances, call_singlicates

D = 64


def primary_screen(
    rng: np.random.Generator, *, n_plates: int, n_controls: int, n_wells: int, effect: float, n_active: int
) -> dict[str, object]:
    """Return correlated profiles of plates that are shifted; the first `n_active` wells of each plate are active."""
    n = n_controls + n_wells
    mixing = np.linalg.qr(rng.standard_normal((D, D)))[0] * np.exp(-np.arange(D) / 24)
    noise = rng.standard_normal((n_plates * n, D)) @ mixing + 0.5 * rng.standard_normal((n_plates * n, D))
    noise /= noise.std(axis=0)
    place = np.tile(np.arange(n), n_plates)
    is_active = (place >= n_controls) & (place < n_controls + n_active)
    directions = rng.standard_normal((len(place), D))
    directions *= effect * np.sqrt(D) / np.linalg.norm(directions, axis=1, keepdims=True)
    plate = np.repeat(np.arange(n_plates), n)
    return {
        "profiles": noise + is_active[:, None] * directions + 0.3 * rng.standard_normal((n_plates, D))[plate],
        "plates": [f"P{number}" for number in plate],
        "wells": [f"W{number}" for number in place],
        "is_control": place < n_controls,
        "is_active": is_active,
    }


def calls_of(screen: dict[str, object], **options: float) -> pl.DataFrame:
    return call_singlicates(**{name: value for name, value in screen.items() if name != "is_active"}, **options)


def test_null_rates_false_discoveries_and_recall_are_as_promised() -> None:
    null, proportions, recalls = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        screen = primary_screen(rng, n_plates=20, n_controls=64, n_wells=40, effect=1.0, n_active=4)
        calls = calls_of(screen)
        is_active = screen["is_active"][calls["row"].to_numpy()]
        hits = calls["is_hit"].to_numpy()
        null.append((calls["p_value"].to_numpy()[~is_active] <= 0.05).mean())
        proportions.append((hits & ~is_active).sum() / max(hits.sum(), 1))
        recalls.append(hits[is_active].mean())

    assert 0.04 <= np.mean(null) <= 0.06
    assert np.mean(proportions) <= 0.065  # .05 and three standard errors of six screens
    assert np.mean(recalls) >= 0.8


def test_names_of_plates_orders_of_rows_and_shifts_of_plates_change_nothing() -> None:
    rng = np.random.default_rng(0)
    screen = primary_screen(rng, n_plates=3, n_controls=8, n_wells=5, effect=1.0, n_active=2)
    order = rng.permutation(39)
    moved = {name: [value[row] for row in order] for name, value in screen.items()}
    moved |= {"profiles": screen["profiles"][order], "is_control": screen["is_control"][order]}
    moved["plates"] = [{"P0": "z", "P1": "P1", "P2": "DROP TABLE wells;--" * 20}[name] for name in moved["plates"]]

    found = calls_of(screen)
    again = calls_of(moved).with_columns(row=order[calls_of(moved)["row"].to_numpy()]).sort("row")

    assert again.drop("distance").equals(found.drop("distance"))
    np.testing.assert_allclose(again["distance"].to_numpy(), found["distance"].to_numpy())


def test_halves_are_halves_and_do_not_look_at_other_plates() -> None:
    rng = np.random.default_rng(1)
    profiles, plates = rng.standard_normal((30, 3)), np.repeat([0, 1, 2], [8, 15, 7])
    wells, is_control = [f"W{row}" for row in range(30)], np.arange(30) % 5 > 0
    fitted = fitted_controls(profiles, plates, wells, is_control)

    assert [int(fitted[plates == plate].sum()) for plate in range(3)] == [3, 6, 3]
    assert not fitted[~is_control].any()
    alone = fitted_controls(profiles[8:23], plates[8:23] + 7, wells[8:23], is_control[8:23])
    np.testing.assert_array_equal(alone, fitted[8:23])


def test_too_few_controls_for_any_single_well_are_said_to_be_underpowered() -> None:
    screen = primary_screen(np.random.default_rng(2), n_plates=2, n_controls=6, n_wells=30, effect=0.0, n_active=0)

    calls = calls_of(screen)

    assert calls["smallest_possible_p"].unique().to_list() == [1 / 7]
    assert set(calls["call"]) == {"underpowered"}


def test_a_plate_without_two_controls_is_not_callable_and_says_why() -> None:
    screen = primary_screen(np.random.default_rng(3), n_plates=3, n_controls=6, n_wells=4, effect=0.0, n_active=0)
    is_control = screen["is_control"] & ~np.array(
        [plate == "P1" and well != "W0" for plate, well in zip(screen["plates"], screen["wells"], strict=True)]
    )

    calls = calls_of(screen | {"is_control": is_control})

    on_it = calls.filter(pl.col("call") == "not_callable")
    assert on_it.height == 9  # its five former controls too
    assert on_it["reason"].str.contains("fewer than 2 negative controls").all()
    assert on_it["p_value"].null_count() == 9
    assert calls.filter(pl.col("call") != "not_callable")["reason"].null_count() == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"is_control": np.zeros(20, dtype=bool)}, "none of 20 wells is one"),
        ({"wells": ["W0"] * 20}, "well W0 of plate P0 comes more than once"),
        ({"profiles": np.full((20, D), np.nan)}, "well W0 of plate P0 has one that is missing"),
        ({"profiles": np.ones((20, D))}, "2 or more control wells that differ"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(change: dict[str, object], message: str) -> None:
    screen = primary_screen(np.random.default_rng(4), n_plates=2, n_controls=6, n_wells=4, effect=0.0, n_active=0)

    with pytest.raises(InputRejectedError, match=message):
        calls_of(screen | change)


def test_features_that_do_not_vary_change_no_p_value() -> None:
    screen = primary_screen(np.random.default_rng(5), n_plates=4, n_controls=64, n_wells=6, effect=1.0, n_active=2)
    constant = np.column_stack([screen["profiles"], np.full(280, 7.0)])

    found = calls_of(screen | {"profiles": constant})

    assert found["p_value"].len() == 24
    # Another hash, and so other halves.
    assert np.corrcoef(found["p_value"].to_numpy(), calls_of(screen)["p_value"].to_numpy())[0, 1] > 0.95


def test_normalizing_a_plate_on_all_its_controls_changes_nothing_where_halves_are_the_same() -> None:
    screen = primary_screen(np.random.default_rng(6), n_plates=3, n_controls=20, n_wells=6, effect=1.0, n_active=2)
    numbers = np.repeat(np.arange(3), 26)
    values = screen["profiles"]
    fitted = fitted_controls(values, numbers, screen["wells"], screen["is_control"])
    is_callable = np.ones(len(values), dtype=np.bool_)
    scaled = values.copy()
    for plate in range(3):
        controls = values[(numbers == plate) & screen["is_control"]]
        scaled[numbers == plate] = (values[numbers == plate] - controls.mean(axis=0)) / controls.std(axis=0)

    before, after = (_distances(each, numbers, fitted, is_callable) for each in (values, scaled))

    np.testing.assert_allclose(after, before, rtol=1e-9)


@pytest.mark.parametrize(
    ("usual", "odd", "spread"),
    [
        pytest.param(16, 14, 2.0, id="one-control-of-each-half-lost"),
        pytest.param(16, 15, 10.0, id="one-control-lost-of-raw-profiles"),
        pytest.param(64, 16, 1.0, id="a-quarter-of-the-controls"),
        pytest.param(32, 2, 1.0, id="two-controls"),
    ],
)
def test_a_plate_with_fewer_controls_keeps_the_rate(usual: int, odd: int, spread: float) -> None:
    """Only the odd plate holds wells, which do nothing: as after other replicates of compounds were lost."""
    rates = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n_controls, n_wells = [usual] * 15 + [odd], [0] * 15 + [60]
        plates = np.repeat(np.arange(16), np.add(n_controls, n_wells))
        place = np.concatenate([np.arange(n + m) for n, m in zip(n_controls, n_wells, strict=True)])
        calls = call_singlicates(
            spread * rng.standard_normal((len(plates), 30)) @ rng.standard_normal((30, 30)),
            plates=[f"P{number}" for number in plates],
            wells=[f"W{number}" for number in place],
            is_control=place < np.repeat(n_controls, np.add(n_controls, n_wells)),
        )
        rates.append((calls["p_value"].to_numpy() <= 0.05).mean())
        assert not calls["is_hit"].any()
    error = np.std(rates, ddof=1) / np.sqrt(len(rates))
    assert np.mean(rates) <= 0.05 + 3.5 * max(error, 0.003)


def test_plates_nearly_alike_are_compared_together_and_others_by_themselves() -> None:
    n_controls = [16, 16, 16, 14, 4]
    plates = np.repeat(np.arange(5), np.add(n_controls, 2))
    place = np.concatenate([np.arange(n + 2) for n in n_controls])
    calls = call_singlicates(
        np.random.default_rng(0).standard_normal((len(plates), 5)),
        plates=[f"P{number}" for number in plates],
        wells=[f"W{number}" for number in place],
        is_control=place < np.repeat(n_controls, np.add(n_controls, 2)),
    )

    # Seven are fitted on where there are 14 or 16, two of four.
    assert calls["n_controls"].to_list() == [9, 9, 9, 9, 9, 9, 7, 7, 2, 2]
    smallest = [1 / (1 + 3 * 9 + 7)] * 8 + [1 / (1 + 2)] * 2
    assert calls["smallest_possible_p"].to_list() == pytest.approx(smallest)
