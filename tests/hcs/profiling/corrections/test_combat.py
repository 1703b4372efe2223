from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.corrections.combat import combat
from hcs.profiling.corrections.correction import Design


def screen(seed: int = 0, *, n: int = 300, d: int = 10, b: int = 3) -> tuple[np.ndarray, Design]:
    rng = np.random.default_rng(seed)
    batches = rng.permutation(np.arange(n) % b)
    perturbations = rng.integers(6, size=n)
    is_negcon = perturbations == 0
    scale, shift = np.exp(0.4 * rng.normal(size=(b, d))), 2.0 * rng.normal(size=(b, d))
    values = rng.normal(size=(n, d)) * scale[batches] + shift[batches] + 1.5 * rng.normal(size=(6, d))[perturbations]
    return values, Design(batches, batches, perturbations, is_negcon, is_negcon)


def test_batches_have_one_location_and_scale_afterwards():
    values, design = screen(n=3000)

    made = combat(values, design).values

    middles = np.array([made[design.batches == b].mean(axis=0) for b in range(3)])
    deviations = np.array([made[design.batches == b].std(axis=0) for b in range(3)])
    assert np.ptp(middles, axis=0).max() < 0.2
    assert (deviations.max(axis=0) / deviations.min(axis=0)).max() < 1.1


def test_active_wells_that_one_batch_has_more_of_stay_active_where_they_are_protected():
    rng = np.random.default_rng(1)
    batches = np.repeat([0, 1], 200)
    is_negcon = np.r_[np.arange(200) < 150, np.arange(200) < 50]
    values = rng.normal(size=(400, 8)) + 3.0 * ~is_negcon[:, None]
    design = Design(batches, batches, np.where(is_negcon, 0, 1), is_negcon, is_negcon)

    def difference(protect: str) -> float:
        made = combat(values, design, protect=protect).values
        return float(made[~is_negcon & (batches == 1)].mean() - made[is_negcon & (batches == 0)].mean())

    assert difference("controls") == pytest.approx(3.0, abs=0.15)
    assert difference("nothing") < 2.0


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_the_order_of_wells_changes_nothing_and_a_shift_stays(seed):
    values, design = screen(3, n=90)
    rng = np.random.default_rng(seed)
    order, shift = rng.permutation(90), 5.0 * rng.normal(size=10)
    moved = Design(*(getattr(design, field.name)[order] for field in dataclasses.fields(design)[:5]))

    made = combat(values[order] + shift, moved).values

    np.testing.assert_allclose(made, combat(values, design).values[order] + shift, atol=1e-6)


def test_batches_that_do_not_differ_are_left_nearly_as_they_are():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(4000, 6))
    none = np.zeros(4000, dtype=np.bool_)
    batches = np.arange(4000) % 2
    design = Design(batches, batches, batches * 0, none, none)

    made = combat(values, design)

    assert np.abs(made.values - values).max() < 0.1
    assert made.fitted_on.startswith("all 4,000 wells")


def test_one_batch_stays_as_it_is_and_a_note_says_so():
    values, design = screen(5)
    made = combat(values, dataclasses.replace(design, batches=np.zeros_like(design.batches)))

    np.testing.assert_array_equal(made.values, values)
    assert "one batch" in made.notes[0]


def test_a_batch_of_one_well_gets_a_location_and_a_note():
    values, design = screen(6)
    alone = np.flatnonzero(~design.is_negcon)[0]
    batches = design.batches.copy()
    batches[alone] = 9
    values[alone] += 20.0

    made = combat(values, dataclasses.replace(design, batches=batches))

    assert np.isfinite(made.values).all()
    assert np.linalg.norm(made.values[alone]) < np.linalg.norm(values[alone]) / 2
    assert "1 batches have one well, the first is batch 9" in made.notes[0]


def test_a_batch_that_shares_no_protected_group_is_refused_with_the_reason():
    values, design = screen(7)
    perturbations = design.perturbations + 6 * (design.batches == 2)
    confounded = dataclasses.replace(
        design, perturbations=perturbations, is_negcon=design.is_negcon & (design.batches != 2)
    )

    with pytest.raises(InputRejectedError, match="cannot be told apart"):
        combat(values, confounded, protect="perturbations")

    assert np.isfinite(combat(values, confounded, protect="controls").values).all()


def test_batches_that_are_tied_over_a_third_are_not_confounded():
    rng = np.random.default_rng(8)
    batches = np.repeat([0, 1, 2], 40)
    perturbations = np.r_[np.arange(40) % 2, 1 + np.arange(40) % 2, 2 + np.arange(40) % 2]
    none = np.zeros(120, dtype=np.bool_)
    values = rng.normal(size=(120, 5))

    made = combat(values, Design(batches, batches, perturbations, none, none), protect="perturbations")

    assert np.isfinite(made.values).all()


def test_a_feature_that_is_constant_in_each_batch_is_made_the_same_in_all():
    values, design = screen(9)
    values[:, 2] = 7.0
    values[:, 4] = design.batches

    made = combat(values.astype(np.float32), design)

    assert made.values.dtype == np.float32
    np.testing.assert_allclose(made.values[:, 2], 7.0)
    np.testing.assert_allclose(made.values[:, 4], design.batches.mean(), atol=1e-5)
    assert "2 features do not vary within batches, the first is feature 2" in made.notes[0]


def test_duplicate_rows_come_out_the_same():
    values, design = screen(10, n=60)
    twice = Design(*(np.tile(getattr(design, field.name), 2) for field in dataclasses.fields(design)[:5]))

    made = combat(np.vstack([values, values]), twice).values

    np.testing.assert_allclose(made[:60], made[60:])


def test_what_cannot_be_protected_is_a_mistake():
    with pytest.raises(UsageError, match="protect can be controls"):
        combat(*screen(), protect="compounds")
