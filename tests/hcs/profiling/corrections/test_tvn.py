from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power, sqrtm

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.tvn import coral, tvn

METHODS = [tvn, coral]


def screen(seed: int = 0, *, n: int = 4000, d: int = 6, b: int = 2, share: float = 0.6) -> tuple[np.ndarray, Design]:
    """Wells of batches that turn, scale and shift features, a share of them negative controls."""
    rng = np.random.default_rng(seed)
    batches = rng.permutation(np.arange(n) % b)
    turned = np.eye(d) + 0.5 * rng.normal(size=(b, d, d)) / np.sqrt(d)
    common = np.eye(d) + 0.5 * rng.normal(size=(d, d)) / np.sqrt(d)
    values = (
        np.einsum("nd,nde->ne", rng.normal(size=(n, d)) @ common, turned[batches]) + rng.normal(size=(b, d))[batches]
    )
    is_negcon = rng.random(n) < share
    values[~is_negcon] += rng.normal(size=d)
    return values, Design(batches, batches, np.where(is_negcon, -1, 0), is_negcon, is_negcon)


def of_controls(values: np.ndarray, design: Design, batch: int) -> np.ndarray:
    return np.cov(values[design.is_negcon & (design.batches == batch)].T)


def test_controls_of_every_batch_have_about_unit_covariance():
    values, design = screen(n=20_000)

    made = tvn(values, design, ridge=0.0).values

    for batch in range(2):
        assert np.abs(of_controls(made, design, batch) - np.eye(6)).max() < 0.02
        np.testing.assert_allclose(made[design.is_negcon & (design.batches == batch)].mean(axis=0), 0.0, atol=1e-9)


def test_many_controls_give_the_form_of_the_published_benchmarks():
    """Scaled, turned to the components of the controls, scaled, per batch (cov + I / 2)^(-1/2): up to a rotation."""
    values, design = screen(n=20_000)
    controls, middles = design.is_negcon, np.empty_like(values)
    for batch in range(2):
        middles[design.batches == batch] = values[controls & (design.batches == batch)].mean(axis=0)
    published = values - middles
    published /= published[controls].std(axis=0)
    _, _, components = np.linalg.svd(published[controls], full_matrices=False)
    published = published @ components.T
    published /= published[controls].std(axis=0)
    for batch in range(2):
        rows = design.batches == batch
        published[rows] @= fractional_matrix_power(np.cov(published[rows & controls].T) + 0.5 * np.eye(6), -0.5)

    made = tvn(values, design).values

    some = slice(0, 20_000, 187)
    np.testing.assert_allclose(made[some] @ made[some].T, published[some] @ published[some].T, atol=0.1)


def test_coral_gives_every_batch_the_covariance_of_all_controls():
    values, design = screen(n=20_000)

    made = coral(values, design, ridge=0.0).values

    pooled = sum(of_controls(made, design, batch) for batch in range(2)) / 2
    own = sum(of_controls(values, design, batch) for batch in range(2)) / 2
    own /= np.sqrt(np.outer(np.diag(own), np.diag(own)))
    for batch in range(2):
        assert np.abs(of_controls(made, design, batch) - pooled).max() < 0.02
    assert np.abs(pooled - own).max() < 0.05
    assert np.abs(of_controls(values, design, 0) - of_controls(values, design, 1)).max() > 0.3


@pytest.mark.parametrize("correct", METHODS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_the_order_of_wells_and_shifts_of_features_change_nothing(correct, seed):
    values, design = screen(3, n=150, b=3)
    rng = np.random.default_rng(seed)
    order = rng.permutation(150)
    moved = Design(*(getattr(design, field.name)[order] for field in dataclasses.fields(design)[:5]))

    made = correct(values[order] + 5.0 * rng.normal(size=6), moved).values

    np.testing.assert_allclose(made, correct(values, design).values[order], atol=1e-6)


@pytest.mark.parametrize("correct", METHODS)
def test_units_of_features_change_nothing(correct):
    values, design = screen(4, n=300)

    made = correct(values * np.array([1e-3, 1, 1e3, 7, 2, 0.5]), design).values

    np.testing.assert_allclose(made, correct(values, design).values, atol=1e-9)


@pytest.mark.parametrize("correct", METHODS)
def test_fewer_controls_than_features_are_shrunk_and_a_note_says_so(correct):
    values, design = screen(5, n=120, d=40, share=0.2)

    made = correct(values.astype(np.float32), design)

    assert made.values.dtype == np.float32
    assert np.isfinite(made.values).all()
    assert "Ledoit-Wolf" in made.notes[-1]
    # A direction that few controls happen not to vary along must not be blown up.
    lengths = np.linalg.norm(made.values[~design.is_negcon], axis=1)
    assert lengths.max() < 12 * np.median(np.linalg.norm(made.values[design.is_negcon], axis=1))


@pytest.mark.parametrize("correct", METHODS)
def test_a_batch_without_controls_is_centred_on_all_its_wells_and_named(correct):
    values, design = screen(6, n=300, b=3)
    values[design.batches == 2] += 100.0
    is_negcon = design.is_negcon & (design.batches != 2)
    lacking = dataclasses.replace(design, is_negcon=is_negcon, is_fitted=is_negcon)

    made = correct(values, lacking)

    assert "batch 2 has no fitted negative controls" in made.notes[0]
    np.testing.assert_allclose(np.median(made.values[design.batches == 2], axis=0), 0.0, atol=1.0)
    assert made.n_fitted == int(is_negcon.sum())
    assert made.fitted_on == f"all negative controls, {int(is_negcon.sum())} wells"


@pytest.mark.parametrize("correct", METHODS)
def test_only_controls_that_may_be_fitted_on_are_looked_at(correct):
    values, design = screen(7, n=400)
    half = design.is_negcon & (np.arange(400) % 2 == 0)
    changed = np.where((design.is_negcon & ~half)[:, None], values + 50.0, values)
    split = dataclasses.replace(design, is_fitted=half)

    before, after = correct(values, split), correct(changed, split)

    np.testing.assert_array_equal(before.values[half], after.values[half])
    assert before.fitted_on.startswith(f"{int(half.sum())} of {int(design.is_negcon.sum())} negative controls")


@pytest.mark.parametrize("correct", METHODS)
def test_no_controls_at_all_are_refused(correct):
    values, design = screen(8, n=60)
    none = np.zeros(60, dtype=np.bool_)

    with pytest.raises(InputRejectedError, match="negative controls needs a batch with 4"):
        correct(values, dataclasses.replace(design, is_fitted=none))


@pytest.mark.parametrize("correct", METHODS)
def test_a_constant_feature_is_refused_and_named(correct):
    values, design = screen(9, n=60)
    values[:, 3] = 0.1

    with pytest.raises(InputRejectedError, match="feature 3"):
        correct(values.astype(np.float32), design)


def test_coral_of_two_batches_is_the_recolouring_of_one_feature():
    values, design = screen(10, n=4000, d=1)

    made = coral(values, design, ridge=0.0).values

    for batch in range(2):
        assert float(sqrtm(np.atleast_2d(of_controls(made, design, batch)))[0, 0]) == pytest.approx(1.0, abs=0.01)
