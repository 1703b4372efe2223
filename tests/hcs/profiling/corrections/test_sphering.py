from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.leak import held_out_ratio
from hcs.profiling.corrections.sphering import RIDGES, chosen_ridge, sphering
from hcs.profiling.sphere import fit_sphering, sphere


def controls_of(seed: int, *, n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 8)) @ rng.normal(size=(8, d)) + rng.normal(size=(n, d))


def design_of(n: int, n_controls: int) -> Design:
    is_negcon = np.arange(n) < n_controls
    plates = np.arange(n) % 2
    return Design(plates, plates * 0, np.where(is_negcon, 0, 1), is_negcon, is_negcon & (np.arange(n) // 2 % 2 == 0))


@pytest.mark.parametrize("form", ["ZCA-cor", "ZCA", "PCA-cor", "PCA"])
@pytest.mark.parametrize(("n", "d"), [(60, 12), (30, 50)])
def test_the_chosen_ridge_is_the_likeliest_for_controls_that_were_held_out(form, n, d):
    controls = 3.0 * controls_of(0, n=n, d=d)
    unit = 1.0 if form.endswith("-cor") else np.sqrt(controls.var(axis=0).mean())
    total = np.zeros(len(RIDGES))
    for fold in range(5):
        out = np.arange(n) % 5 == fold
        scale = controls[~out].std(axis=0) if form.endswith("-cor") else np.ones(d)
        for number, ridge in enumerate(RIDGES * unit):
            fitted = fit_sphering(controls[~out], form=form, epsilon=ridge * np.sqrt(n - out.sum() - 1))
            z = sphere(controls[out], fitted)
            whitener = fitted.weights / scale[:, None]
            total[number] += out.sum() * np.linalg.slogdet(whitener * scale[:, None])[1] - 0.5 * (z**2).sum()

    assert chosen_ridge(controls, form=form) == pytest.approx(unit * RIDGES[total.argmax()])


def test_more_controls_ask_for_less_of_a_ridge():
    chosen = [chosen_ridge(controls_of(1, n=n, d=40)) for n in (20, 200, 4000)]

    assert chosen[0] > chosen[1] > chosen[2]


def test_the_ridge_keeps_controls_that_were_not_fitted_on_nearly_as_near():
    """With hardly more controls than features, next to no ridge sends them far out."""
    values, design = controls_of(2, n=200, d=60), design_of(200, 160)

    ratio = {ridge: held_out_ratio(sphering(values, design, ridge=ridge).values, design) for ridge in (None, 1e-6)}

    assert ratio[None] < 1.4
    assert ratio[1e-6] > 1.5 * ratio[None]


def test_only_fitted_controls_are_looked_at_and_everything_is_said():
    values, design = controls_of(3, n=120, d=5), design_of(120, 80)
    changed = np.where(design.is_fitted[:, None], values, 9.0 * values)

    made = sphering(values.astype(np.float32), design)

    np.testing.assert_allclose(
        sphering(changed.astype(np.float32), design).values[design.is_fitted], made.values[design.is_fitted]
    )
    assert made.values.dtype == np.float32
    assert made.fitted_on == "40 of 80 negative controls, 40 wells"
    assert made.n_fitted == 40
    assert "chosen by the likelihood of held-out controls in 5 folds" in made.notes[0]


def test_the_order_of_wells_changes_nothing():
    values, design = controls_of(4, n=120, d=5), design_of(120, 80)
    order = np.random.default_rng(0).permutation(120)
    moved = Design(*(getattr(design, field.name)[order] for field in dataclasses.fields(design)[:5]))

    np.testing.assert_allclose(sphering(values[order], moved).values, sphering(values, design).values[order], atol=1e-9)


def test_too_few_controls_are_refused():
    values, design = controls_of(5, n=40, d=5), design_of(40, 16)

    with pytest.raises(InputRejectedError, match="10 negative controls"):
        sphering(values, design)


def test_a_constant_feature_is_refused_and_named():
    values, design = controls_of(6, n=60, d=5), design_of(60, 40)
    values[:, 4] = 2.0

    with pytest.raises(InputRejectedError, match="feature 4"):
        sphering(values, design)
