from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.registry import CORRECTIONS
from hcs.simulation.profiles import Nuisances, ProfileDesign, simulate_profiles

METHODS = sorted(set(CORRECTIONS) & {"none", "sphering", "tvn", "coral", "combat", "harmony"})


@pytest.fixture(scope="module")
def simulated() -> tuple[np.ndarray, Design]:
    """Three batches of two small plates, with strong effects of batches."""
    made = simulate_profiles(
        ProfileDesign(
            n_batches=3,
            n_plates=2,
            n_wells=96,
            n_features=40,
            n_compounds=60,
            n_negcon=20,
            nuisances=Nuisances(batch_shift=1.0, batch_mixing=2.0, batch_variation=0.5, tails=5.0),
        ),
        seed=900,
    )
    names = ("plate", "batch", "perturbation")
    plates, batches, perturbations = (made.wells[name].rank("dense").to_numpy().astype(np.intp) - 1 for name in names)
    is_negcon = (made.wells["control_type"] == "negcon").to_numpy()
    centred = made.profiles - np.median(made.profiles[is_negcon], axis=0)
    return centred, Design(plates, batches, perturbations, is_negcon, is_negcon)


def taken(design: Design, rows: np.ndarray) -> Design:
    return Design(*(getattr(design, field.name)[rows] for field in dataclasses.fields(design)[:5]))


def test_the_methods_are_all_there():
    assert METHODS == ["combat", "coral", "harmony", "none", "sphering", "tvn"]


@pytest.mark.parametrize("method", METHODS)
def test_float32_in_float32_out_the_wells_in_their_order_and_the_argument_untouched(method, simulated):
    values, design = simulated
    before, order = values.copy(), np.random.default_rng(0).permutation(len(values))

    made = CORRECTIONS[method](values, design)
    moved = CORRECTIONS[method](values[order], taken(design, order))

    assert made.values.dtype == np.float32
    assert len(made.values) == len(values)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_allclose(moved.values, made.values[order], atol=2e-3)
    assert made.fitted_on
    assert (made.n_fitted > 0) == (method != "none")


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
def test_a_missing_value_is_refused_and_the_feature_named(method, simulated):
    values, design = simulated
    broken = values.copy()
    broken[5, 17] = np.nan

    with pytest.raises(InputRejectedError, match="feature 17 is nan in row 5"):
        CORRECTIONS[method](broken, design)


@pytest.mark.parametrize("method", METHODS)
def test_one_well_is_left_as_it_is_or_refused(method, simulated):
    values, design = simulated
    one = np.array([3])
    if method in {"sphering", "tvn", "coral"}:
        with pytest.raises(InputRejectedError, match="negative controls"):
            CORRECTIONS[method](values[one], taken(design, one))
    else:
        np.testing.assert_array_equal(CORRECTIONS[method](values[one], taken(design, one)).values, values[one])


@pytest.mark.parametrize("method", METHODS)
def test_duplicate_rows_come_out_the_same(method, simulated):
    values, design = simulated
    rows = np.r_[np.arange(len(values)), np.flatnonzero(~design.is_negcon)[:7]]

    made = CORRECTIONS[method](values[rows], taken(design, rows)).values

    np.testing.assert_allclose(made[len(values) :], made[rows[len(values) :]], atol=1e-5)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in {"none", "sphering"}])
def test_wells_of_batches_lie_closer_together_than_before(method, simulated):
    values, design = simulated

    def apart(of: np.ndarray) -> float:
        """Distance between the middles of batches, in spreads of wells."""
        middles = np.array([of[design.batches == b].mean(axis=0) for b in range(3)])
        return float(np.linalg.norm(middles - middles.mean(axis=0)) / of.std(axis=0).mean())

    assert apart(CORRECTIONS[method](values, design).values) < 0.7 * apart(values)


@pytest.mark.parametrize("method", METHODS)
def test_batches_of_one_plate_are_corrected_without_a_gap(method, simulated):
    values, design = simulated
    first = [np.unique(design.plates[design.batches == batch])[0] for batch in range(3)]
    rows = np.flatnonzero((design.batches == 0) | np.isin(design.plates, first))

    made = CORRECTIONS[method](values[rows], taken(design, rows)).values

    assert made.shape == (len(rows), values.shape[1])
    assert np.isfinite(made).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_feature_is_refused_or_left_without_a_gap(method, simulated):
    values, design = simulated
    constant = values.copy()
    constant[:, 7] = 3.0
    if method in {"sphering", "tvn", "coral"}:
        with pytest.raises(InputRejectedError, match="feature 7"):
            CORRECTIONS[method](constant, design)
    else:
        assert np.isfinite(CORRECTIONS[method](constant, design).values).all()
