from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.sphere import FORMS, fit_sphering, sphere


def controls_of(seed: int, *, n: int = 200, d: int = 20, spread: float = 1.0) -> np.ndarray:
    """Correlated rows about an offset; `spread` is how many decades lie between the units of features."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)))
    return mixed * 10 ** rng.uniform(-spread / 2, spread / 2, d) + 10.0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("spread", [1.0, 6.0])
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_the_rows_that_were_fitted_on_have_unit_covariance(form, spread, seed):
    controls = controls_of(seed, spread=spread)

    made = sphere(controls, fit_sphering(controls, form=form, epsilon=0.0))

    assert np.abs(np.cov(made.T) - np.eye(20)).max() < 1e-6
    assert np.abs(made.mean(axis=0)).max() < 1e-6


@pytest.mark.parametrize("form", ["ZCA-cor", "PCA-cor"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_units_and_offsets_change_nothing_where_features_are_standardized(form, seed):
    controls, rng = controls_of(seed), np.random.default_rng(seed)
    unit, offset = 10 ** rng.uniform(-3, 3, 20), rng.normal(scale=10, size=20)

    made = sphere(controls * unit + offset * unit, fit_sphering(controls * unit + offset * unit, form=form))

    np.testing.assert_allclose(made, sphere(controls, fit_sphering(controls, form=form)), atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [200, 12])
def test_the_order_of_the_controls_changes_nothing_but_rounding(form, n):
    controls = controls_of(3, n=n)

    fitted, other = (fit_sphering(rows, form=form) for rows in (controls, controls[::-1]))

    assert fitted.rank == other.rank == min(n - 1, 20)
    shown = slice(None) if form.startswith("ZCA") else slice(fitted.rank)
    np.testing.assert_allclose(fitted.weights[:, shown], other.weights[:, shown], atol=1e-9 * fitted.weights.max())


def test_zca_is_the_symmetric_root_of_the_inverse_covariance():
    controls = controls_of(4)

    weights = fit_sphering(controls, form="ZCA", epsilon=0.0).weights

    np.testing.assert_allclose(weights, weights.T, atol=1e-12)
    np.testing.assert_allclose(weights @ weights, np.linalg.inv(np.cov(controls.T)), rtol=1e-8, atol=1e-8)


def test_with_fewer_controls_than_features_what_they_fill_is_whitened_and_no_direction_is_lost():
    controls = controls_of(5, n=15)
    fitted = fit_sphering(controls, form="PCA", epsilon=0.0)

    made = sphere(controls, fitted)

    assert fitted.rank == 14
    np.testing.assert_allclose(np.cov(made.T)[:14, :14], np.eye(14), atol=1e-9)
    np.testing.assert_allclose(made[:, 14:], 0.0, atol=1e-9)
    lengths = np.linalg.norm(fitted.weights, axis=0)
    np.testing.assert_allclose(lengths[14:], lengths[13])


def test_epsilon_bounds_what_a_quiet_direction_is_enlarged_by():
    controls = controls_of(6)
    controls[:, 1] = controls[:, 0] + 1e-6 * np.random.default_rng(6).normal(size=200)

    plain, regularised = (fit_sphering(controls, form="ZCA", epsilon=epsilon) for epsilon in (0.0, 5.0))

    assert np.abs(plain.weights).max() > 1e4
    assert np.linalg.norm(regularised.weights, 2) <= np.sqrt(199) / 5.0


def test_float32_profiles_stay_float32_and_may_be_overwritten():
    controls = controls_of(7).astype(np.float32)
    fitted = fit_sphering(controls)
    expected = sphere(controls, fitted)

    made = sphere(controls, fitted, out=controls)

    assert expected.dtype == np.float32
    assert made is controls
    assert made.tobytes() == expected.tobytes()


def test_without_centring_the_origin_stays():
    controls = controls_of(8)

    fitted = fit_sphering(controls, form="ZCA", centres=False)

    np.testing.assert_array_equal(sphere(np.zeros((1, 20)), fitted), 0.0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows.__setitem__((3, 4), np.nan), "feature 4 is nan in row 3"),
        (lambda rows: rows.__setitem__((3, 4), np.inf), "feature 4 is inf in row 3"),
        (lambda rows: rows.__setitem__((slice(None), 4), 7.0), "1 do not, the first is feature 4"),
        (lambda rows: rows.__setitem__((slice(None), 4), rows[:, 1] + rows[:, 2]), "fill 19"),
    ],
)
def test_controls_that_cannot_be_fitted_on_are_refused(spoil, message):
    controls = controls_of(9)
    spoil(controls)

    with pytest.raises(InputRejectedError, match=message):
        fit_sphering(controls)


def test_copies_of_controls_are_refused_where_directions_are_counted():
    with pytest.raises(InputRejectedError, match="or rows copies"):
        fit_sphering(np.repeat(controls_of(10, n=6), 2, axis=0))


def test_what_cannot_be_meant_is_refused():
    controls = controls_of(11)
    fitted = fit_sphering(controls)

    with pytest.raises(UsageError, match="the form 'zca' is not known"):
        fit_sphering(controls, form="zca")
    with pytest.raises(UsageError, match="epsilon is -1"):
        fit_sphering(controls, epsilon=-1.0)
    with pytest.raises(UsageError, match="centring is off"):
        fit_sphering(controls, centres=False)
    with pytest.raises(InputRejectedError, match="at least two control rows"):
        fit_sphering(controls[:1])
    with pytest.raises(InputRejectedError, match="the 20 features of the fit"):
        sphere(controls[:, :5], fitted)
    controls[0, 0] = np.nan
    with pytest.raises(InputRejectedError, match="feature 0 is nan"):
        sphere(controls, fitted)
