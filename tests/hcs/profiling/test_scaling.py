from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.control_scale import PlateSpreads, steady_scale
from hcs.profiling.groups import RowGroups, group_rows
from hcs.profiling.scaling import METHODS, normalize_groups
from hcs.statistics.scales import centre_and_scale

EXACT = ("mad_robustize", "robustize", "inverse_normal")


def two_plates(seed: int = 0, *, n: int = 30, d: int = 5) -> tuple[np.ndarray, pl.DataFrame, np.ndarray]:
    """Profiles of two plates with another offset and spread each, and which wells are controls."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2 * n, d)) * np.repeat([[1.0], [3.0]], n, axis=0) + np.repeat([[0.0], [9.0]], n, axis=0)
    return values, pl.DataFrame({"plate": ["one"] * n + ["two"] * n}), np.tile(np.arange(n) < n // 2, 2)


def normalized(values: np.ndarray, plates: pl.DataFrame, controls: np.ndarray | None, **options: object) -> np.ndarray:
    return normalize_groups(values, group_rows(plates, ["plate"]), is_fitted=controls, **options).values


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
@settings(deadline=None, max_examples=15)
def test_the_unit_and_the_offset_of_a_feature_change_nothing(method, seed, factor, shift):
    values, plates, controls = two_plates(seed)

    np.testing.assert_allclose(
        normalized(values * factor + shift, plates, controls, method=method),
        normalized(values, plates, controls, method=method),
        atol=1e-7,
    )


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=15)
def test_the_order_of_the_wells_changes_nothing(method, seed):
    values, plates, controls = two_plates(seed)
    order = np.random.default_rng(seed).permutation(len(values))

    made = normalized(values[order], plates[order], controls[order], method=method)

    expected = normalized(values, plates, controls, method=method)[order]
    np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-12)
    if method in EXACT:
        assert made.tobytes() == expected.tobytes()


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_a_plate_alone_is_normalized_as_it_is_among_others(method, seed):
    values, plates, controls = two_plates(seed)
    first = (plates["plate"] == "one").to_numpy()

    together = normalized(values, plates, controls, method=method)
    alone = normalized(values[first], plates.filter(first), controls[first], method=method)

    assert together[first].tobytes() == alone.tobytes()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_changes_no_bit(method, dtype):
    values, plates, controls = two_plates()
    values = values.astype(dtype)

    one, three = (normalized(values, plates, controls, method=method, n_threads=n) for n in (1, 3))

    assert one.dtype == dtype
    assert one.tobytes() == three.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_what_came_in_is_not_changed(method):
    values, plates, controls = two_plates()
    before = values.copy()

    normalized(values, plates, controls, method=method)

    assert values.tobytes() == before.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_feature_that_is_constant_among_the_controls_of_one_plate_is_left_out_of_all(method):
    values, plates, controls = two_plates()
    values[:15, 2] = 4.0

    made = normalize_groups(values, group_rows(plates, ["plate"]), method=method, is_fitted=controls)

    assert made.kept.tolist() == [True, True, False, True, True]
    others = normalized(np.delete(values, 2, axis=1), plates, controls, method=method)
    assert made.values.tobytes() == others.tobytes()
    assert made.values.flags["C_CONTIGUOUS"]


def test_a_scale_that_vanishes_beside_the_other_wells_leaves_a_feature_out_instead_of_exploding():
    values, plates, controls = two_plates()
    values[controls, 1] *= 1e-6

    made = normalize_groups(values, group_rows(plates, ["plate"]), method="mad_robustize", is_fitted=controls)
    kept = normalize_groups(
        values, group_rows(plates, ["plate"]), method="mad_robustize", is_fitted=controls, degenerate="keep"
    )

    assert not made.kept[1]
    assert np.abs(made.values).max() < 1e3
    assert np.abs(kept.values[:, 1]).max() > 1e5


@pytest.mark.parametrize("method", METHODS)
def test_gaps_stay_gaps_and_are_left_out_of_the_fit(method):
    values, plates, controls = two_plates()
    values[[3, 20, 40], [0, 0, 4]] = np.nan
    filled = normalized(np.nan_to_num(values, nan=0.0), plates, controls, method=method)

    made = normalized(values, plates, controls, method=method)

    assert np.array_equal(np.isnan(made), np.isnan(values))
    assert np.array_equal(made[:, [1, 2, 3]], filled[:, [1, 2, 3]])
    alone = normalized(
        values[~np.isnan(values[:, 0])],
        plates.filter(~np.isnan(values[:, 0])),
        controls[~np.isnan(values[:, 0])],
        method=method,
    )
    if method != "inverse_normal":  # whose landmarks are as many as there are rows, gaps or not
        np.testing.assert_allclose(made[~np.isnan(values[:, 0]), 0], alone[:, 0], rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_feature_without_any_value_on_a_plate_is_left_out(method):
    values, plates, controls = two_plates()
    values[:30, 3] = np.nan

    made = normalize_groups(values, group_rows(plates, ["plate"]), method=method, is_fitted=controls)

    assert made.kept.tolist() == [True, True, True, False, True]
    assert np.isfinite(made.values).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_value_is_refused_by_name(method, bad):
    values, plates, controls = two_plates()
    values[25, 2] = bad

    with pytest.raises(InputRejectedError, match="feature 2 of plate one is infinite in 1 rows"):
        normalized(values, plates, controls, method=method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_infinite", [1, 29])
def test_an_infinite_value_is_refused_also_in_place(method, n_infinite):
    values, plates, controls = two_plates()
    values[:n_infinite, 2] = np.inf

    with pytest.raises(InputRejectedError, match="feature 2 of plate one is infinite"):
        normalized(values, plates, controls, method=method, out=values)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interleaved", [False, True])
def test_in_place_gives_the_same_bits(method, interleaved):
    values, plates, controls = two_plates()
    values[:, 3], values[4, 1] = 7.0, np.nan
    order = np.argsort(np.tile(np.arange(30), 2), kind="stable") if interleaved else np.arange(60)
    values, plates, controls = values[order], plates[order], controls[order]
    groups = group_rows(plates, ["plate"])
    apart = normalize_groups(values, groups, method=method, is_fitted=controls)

    made = normalize_groups(values, groups, method=method, is_fitted=controls, out=values)

    assert made.values.base is values or made.values is values
    assert made.kept.tolist() == apart.kept.tolist() == [True, True, True, False, True]
    assert made.values.tobytes() == apart.values.tobytes()


def test_a_place_for_the_result_must_fit():
    values, plates, controls = two_plates()
    for out in (
        np.empty((60, 4)),
        np.empty_like(values, dtype=np.float32),
        np.empty_like(values, order="F"),
        values[::-1],
    ):
        with pytest.raises(InputRejectedError, match="is expected"):
            normalized(values, plates, controls, method="standardize", out=out)


@pytest.mark.parametrize("method", METHODS)
def test_a_plate_without_controls_is_refused_or_fitted_on_all_of_its_wells(method):
    values, plates, controls = two_plates()
    controls[:30] = False
    groups = group_rows(plates, ["plate"])

    with pytest.raises(InputRejectedError, match="1 have none: plate one"):
        normalize_groups(values, groups, method=method, is_fitted=controls)

    made = normalize_groups(values, groups, method=method, is_fitted=controls, lacking="all")
    assert made.borrowed.tolist() == [True, False]
    assert made.n_fitted.tolist() == [30, 15]
    whole = normalized(values, plates, None, method=method)
    assert made.values[:30].tobytes() == whole[:30].tobytes()


@pytest.mark.parametrize("n_controls", [0, 1])
def test_one_well_or_one_control_is_refused(n_controls):
    values, plates, controls = two_plates()
    one = pl.concat([plates, pl.DataFrame({"plate": ["lonely"]})])

    with pytest.raises(InputRejectedError, match="plate lonely has 1"):
        normalized(
            np.vstack([values, values[:1]]),
            one,
            np.append(controls, n_controls == 1),
            method="standardize",
            lacking="all",
        )


def test_a_table_in_which_nothing_varies_is_refused():
    _, plates, controls = two_plates()

    with pytest.raises(InputRejectedError, match="no feature of 5 varies"):
        normalized(np.ones((60, 5)), plates, controls, method="mad_robustize")


def test_wells_that_come_twice_count_twice():
    values, plates, controls = two_plates()
    doubled = np.repeat(values, 2, axis=0)

    made = normalized(doubled, plates[np.repeat(np.arange(60), 2)], np.repeat(controls, 2), method="mad_robustize")

    expected = np.repeat(normalized(values, plates, controls, method="mad_robustize"), 2, axis=0)
    np.testing.assert_allclose(made, expected, rtol=1e-12)


def test_columns_named_like_sql_are_columns():
    values, plates, controls = two_plates()
    name = 'plate"; DROP TABLE wells; --'

    made = normalize_groups(
        values, group_rows(plates.rename({"plate": name}), [name]), method="standardize", is_fitted=controls
    )

    assert made.values.tobytes() == normalized(values, plates, controls, method="standardize").tobytes()


def test_rows_of_a_plate_need_not_stand_together():
    values, plates, controls = two_plates()
    order = np.argsort(np.arange(60) % 30, kind="stable")

    made = normalized(values[order], plates[order], controls[order], method="robustize")

    assert made.tobytes() == normalized(values, plates, controls, method="robustize")[order].tobytes()


def test_what_cannot_be_meant_is_refused():
    values, plates, _ = two_plates()
    groups = group_rows(plates, ["plate"])

    with pytest.raises(UsageError, match="the method 'zscore' is not known"):
        normalize_groups(values, groups, method="zscore")
    with pytest.raises(InputRejectedError, match="one row a well"):
        normalize_groups(values[:5], groups, method="standardize")
    with pytest.raises(InputRejectedError, match="float32 or float64"):
        normalize_groups(values.astype(np.int64), groups, method="standardize")
    with pytest.raises(UsageError, match="no column batch"):
        group_rows(plates, ["batch"])
    with pytest.raises(InputRejectedError, match="empty"):
        group_rows(plates.clear(), ["plate"])


def few_controls(seed: int = 0) -> tuple[np.ndarray, RowGroups, np.ndarray]:
    """Return three plates of 40 wells, of which 6, 12 and 20 are controls."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(120, 5)) * [1.0, 2.0, 5.0, 0.1, 1.0] + rng.normal(size=(3, 5)).repeat(40, axis=0)
    is_control = np.concatenate([np.arange(40) < n for n in (6, 12, 20)])
    return values, group_rows(pl.DataFrame({"plate": np.repeat(["a", "b", "c"], 40)}), ["plate"]), is_control


@pytest.mark.parametrize("method", ["mad_robustize", "standardize"])
def test_scales_from_few_rows_are_shrunk_as_in_a_run(method) -> None:
    values, groups, is_control = few_controls()

    made = normalize_groups(values, groups, method=method, is_fitted=is_control, shrinks=True)

    rows = [np.flatnonzero(is_control[40 * place : 40 * place + 40]) + 40 * place for place in range(3)]
    centre, scale = zip(*(centre_and_scale(values[chosen], scaling=method) for chosen in rows), strict=True)
    spreads = PlateSpreads(
        n_controls=np.array([6, 12, 20]),
        n_wells=np.array([40, 40, 40]),
        control_scale=np.stack(scale),
        spread=np.stack([values[40 * place : 40 * place + 40].std(axis=0) for place in range(3)]),
    )
    expected = (values - np.repeat(centre, 40, axis=0)) / np.repeat(steady_scale(spreads), 40, axis=0)
    np.testing.assert_allclose(made.values, expected, rtol=1e-12)
    assert made.shrunk.tolist() == [True, True, False]
    alone = normalize_groups(values, groups, method=method, is_fitted=is_control)
    np.testing.assert_array_equal(alone.values[80:], made.values[80:])
    assert not alone.shrunk.any()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), factor=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_shrinking_does_not_depend_on_unit_and_offset(seed: int, factor: float, shift: float) -> None:
    values, groups, is_control = few_controls(seed)

    one, other = (
        normalize_groups(x, groups, method="mad_robustize", is_fitted=is_control, shrinks=True).values
        for x in (values, values * factor + shift)
    )

    np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", ["mad_robustize", "inverse_normal"])
def test_zero_keeps_every_feature_and_what_is_missing(method) -> None:
    values, groups, is_control = few_controls()
    values[:6, 1] = 3.0
    values[is_control, 2] = np.nan
    values[50, 1] = np.nan

    made = normalize_groups(values, groups, method=method, is_fitted=is_control, degenerate="zero")
    inside = values.copy()
    normalize_groups(inside, groups, method=method, is_fitted=is_control, degenerate="zero", out=inside)

    assert made.kept.tolist() == [True, False, False, True, True]
    assert made.values.shape == values.shape
    np.testing.assert_array_equal(made.values[:, 1:3], np.where(np.isnan(values[:, 1:3]), np.nan, 0.0))
    np.testing.assert_array_equal(inside, made.values)
