import numpy as np
import pytest
from scipy.spatial.distance import pdist

from hcs.simulation.cells import MARGIN, grow_cells, seed_cells
from hcs.simulation.library import AXES, N_AXES

ZERO = np.zeros(N_AXES)


def _seed(seed: int, **options: float) -> np.ndarray:
    return seed_cells(np.random.default_rng(seed), **({"expected": 48, "site_px": 256} | options))


def test_the_number_of_cells_is_poisson_around_what_is_expected():
    inside = [np.all((_seed(seed) >= 0) & (_seed(seed) < 256), axis=1).sum() for seed in range(60)]

    assert np.mean(inside) == pytest.approx(48, abs=3.5)
    assert 0.6 < np.var(inside) / np.mean(inside) < 3


def test_cells_keep_their_distance():
    nearest = [pdist(_seed(seed)).min() for seed in range(20)]

    assert np.median(nearest) > 12
    assert min(nearest) > 7


def test_cells_are_seeded_around_the_field_too():
    centres = np.concatenate([_seed(seed) for seed in range(10)])

    assert -MARGIN <= centres.min() < 0
    assert 256 < centres.max() <= 256 + MARGIN


def _naive_darts(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kept: list[np.ndarray] = []
    while len(kept) < n:
        dart = rng.uniform(-MARGIN, 256 + MARGIN, 2)
        if all(np.hypot(*(dart - other)) >= 17 for other in kept):
            kept.append(dart)
    return np.array(kept)


def _dispersion(fields: list[np.ndarray]) -> float:
    bins = [np.histogram2d(*field.T, bins=4, range=[(-MARGIN, 256 + MARGIN)] * 2)[0] for field in fields]
    return np.var(bins) / np.mean(bins)


def test_cells_settle_in_clusters():
    fields = [_seed(seed) for seed in range(60)]

    scattered = [_naive_darts(seed, len(field)) for seed, field in enumerate(fields)]

    assert _dispersion(fields) > 1.2 * _dispersion(scattered)


def test_an_empty_well_has_no_cells():
    assert _seed(0, expected=0.0).shape == (0, 2)


def test_cells_move_closer_where_there_is_no_room():
    centres = _seed(0, expected=60.0, site_px=64)

    assert len(centres) > 150
    assert pdist(centres).min() > 2


def _grow(response: np.ndarray, surroundings: np.ndarray = ZERO, *, n: int = 4000):
    return grow_cells(
        np.random.default_rng(0), np.zeros((n, 2), np.float32), response=response, surroundings=surroundings
    ).phenotypes


def test_untreated_cells_differ_by_one_standard_deviation_on_every_axis():
    phenotypes = _grow(ZERO)

    np.testing.assert_allclose(phenotypes.mean(axis=0), 0, atol=0.07)
    np.testing.assert_allclose(phenotypes.std(axis=0), 1, atol=0.05)


def test_large_cells_have_much_of_everything():
    phenotypes = _grow(ZERO)

    correlation = np.corrcoef(phenotypes.T)

    assert correlation[AXES.index("cell_spread"), AXES.index("er_amount")] == pytest.approx(0.3, abs=0.06)
    assert correlation[AXES.index("cell_spread"), AXES.index("golgi_dispersal")] == pytest.approx(0, abs=0.06)


def test_a_treatment_moves_the_mean_by_its_response_and_cells_respond_differently():
    response = np.linspace(-2, 2, N_AXES)

    shift = _grow(response) - _grow(ZERO)

    np.testing.assert_allclose(shift.mean(axis=0), response, atol=0.05)
    assert shift[:, 0].std() > 0.3


def test_surroundings_move_every_cell_alike():
    surroundings = np.linspace(-1, 1, N_AXES)

    shift = _grow(ZERO, surroundings) - _grow(ZERO)

    np.testing.assert_allclose(shift, np.broadcast_to(surroundings, shift.shape), atol=1e-12)


def test_only_cells_with_their_centre_in_the_field_are_within():
    centres = np.array([[0, 0], [-0.1, 5], [63.9, 63.9], [5, 64]], np.float32)
    cells = grow_cells(np.random.default_rng(0), centres, response=ZERO, surroundings=ZERO)

    within = cells.within(64)

    np.testing.assert_array_equal(within.centres, centres[[0, 2]])
    np.testing.assert_array_equal(within.phenotypes, cells.phenotypes[[0, 2]])
