from __future__ import annotations

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.combat import combat
from hcs.profiling.corrections.correction import Design
from hcs.statistics.combat import Moments, batch_effects


def transcribed(values: np.ndarray, batches: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """ComBat with one design matrix, written down feature by feature from the formulas of the paper."""
    n_batches, n_wells = int(batches.max()) + 1, len(values)
    in_batch = np.array([[batches[i] == b for b in range(n_batches)] for i in range(n_wells)], dtype=float)
    in_group = np.array(
        [[groups[i] == g for g in range(1, int(groups.max()) + 1)] for i in range(n_wells)], dtype=float
    )
    design = np.hstack([in_batch, in_group])
    z, sigma, base = np.empty_like(values), np.empty(values.shape[1]), np.empty_like(values)
    for j in range(values.shape[1]):
        fit, *_ = np.linalg.lstsq(design, values[:, j], rcond=None)
        alpha = sum(in_batch[:, b].mean() * fit[b] for b in range(n_batches))
        sigma[j] = np.sqrt(((values[:, j] - design @ fit) ** 2).mean())
        base[:, j] = alpha + in_group @ fit[n_batches:]
        z[:, j] = (values[:, j] - base[:, j]) / sigma[j]
    made = np.empty_like(values)
    for b in range(n_batches):
        own = z[batches == b]
        n = len(own)
        seen, spread = own.mean(axis=0), own.var(axis=0, ddof=1)
        gamma_bar, tau = seen.mean(), seen.var(ddof=1)
        m, v = spread.mean(), spread.var(ddof=1)
        shape, rate = (2 * v + m**2) / v, (m * v + m**3) / v
        for j in range(values.shape[1]):
            gamma, delta = seen[j], spread[j]
            for _ in range(300):
                gamma = (n * tau * seen[j] + delta * gamma_bar) / (n * tau + delta)
                delta = (rate + 0.5 * ((own[:, j] - gamma) ** 2).sum()) / (n / 2 + shape - 1)
            rows = batches == b
            made[rows, j] = sigma[j] * (z[rows, j] - gamma) / np.sqrt(delta) + base[rows, j]
    return made


def wells(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    batches, groups = np.repeat([0, 1, 2], [20, 9, 30]), rng.integers(3, size=59)
    values = rng.normal(5.0, 2.0, size=(59, 12)) * np.exp(0.3 * rng.normal(size=(3, 12)))[batches]
    return values + rng.normal(size=(3, 12))[batches] + 2.0 * rng.normal(size=(3, 12))[groups], batches, groups


@pytest.mark.parametrize("protect", ["nothing", "perturbations"])
def test_the_formulas_of_the_paper_feature_by_feature_give_the_same(protect):
    values, batches, groups = wells()
    none = np.zeros(len(values), dtype=np.bool_)
    design = Design(plates=batches, batches=batches, perturbations=groups, is_negcon=none, is_fitted=none)

    made = combat(values, design, protect=protect).values

    expected = transcribed(values, batches, groups if protect == "perturbations" else np.zeros_like(groups))
    np.testing.assert_allclose(made, expected, atol=1e-3)
    assert np.abs(made - values).max() > 1.0


def test_many_wells_are_hardly_drawn_and_few_mostly():
    """With features alike, the location of 2 wells is drawn to the mean of all features, that of 2,000 stays."""
    rng = np.random.default_rng(1)

    def effects(n: int):
        means = rng.normal(size=(2, 500)) / np.sqrt(n) + 0.05 * rng.normal(size=(2, 500))
        squares = rng.chisquare(n - 1, size=(2, 500))
        cells = np.array([0, 1])
        return batch_effects(Moments(cells, np.zeros(2, dtype=np.intp), np.array([n, n]), means, squares)), means

    few, seen_few = effects(2)
    many, seen_many = effects(20_000)

    def kept(made, seen) -> float:
        raw = (seen - seen.mean(axis=0)) / made.sigma
        return float(made.gamma.std() / raw.std())

    assert kept(few, seen_few) < 0.9
    assert kept(many, seen_many) > 0.95


def test_one_feature_alone_is_refused():
    cells = np.array([0, 1])
    moments = Moments(cells, cells * 0, np.array([5, 5]), np.array([[0.0], [1.0]]), np.ones((2, 1)))

    with pytest.raises(InputRejectedError, match="two features that vary"):
        batch_effects(moments)
