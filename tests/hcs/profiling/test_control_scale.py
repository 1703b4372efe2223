from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.profiling.control_scale import PlateSpreads, steady_scale


def measured(rng: np.random.Generator, n_controls: list[int], n_features: int = 9) -> PlateSpreads:
    n_plates = len(n_controls)
    return PlateSpreads(
        n_controls=np.array(n_controls),
        n_wells=np.full(n_plates, 96),
        control_scale=rng.lognormal(size=(n_plates, n_features)),
        spread=rng.lognormal(size=(n_plates, n_features)),
    )


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 24), min_size=1, max_size=5))
@settings(deadline=None, max_examples=50)
def test_scaling_a_feature_scales_its_scale(seed, n_controls):
    rng = np.random.default_rng(seed)
    plates = measured(rng, n_controls)
    factor = rng.lognormal(sigma=5, size=9)
    scaled = PlateSpreads(plates.n_controls, plates.n_wells, plates.control_scale * factor, plates.spread * factor)

    np.testing.assert_allclose(steady_scale(scaled), steady_scale(plates) * factor, rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 24), min_size=2, max_size=6))
@settings(deadline=None, max_examples=50)
def test_the_order_of_the_plates_does_not_change_a_bit(seed, n_controls):
    rng = np.random.default_rng(seed)
    plates = measured(rng, n_controls)
    order = rng.permutation(len(n_controls))
    shuffled = PlateSpreads(
        plates.n_controls[order], plates.n_wells[order], plates.control_scale[order], plates.spread[order]
    )

    assert steady_scale(plates)[order].tobytes() == steady_scale(shuffled).tobytes()


def test_sixteen_controls_speak_for_themselves():
    plates = measured(np.random.default_rng(0), [16, 24, 4])

    np.testing.assert_array_equal(steady_scale(plates)[:2], plates.control_scale[:2])


def test_a_single_plate_is_shrunk_towards_what_its_spread_lets_expect():
    plates = measured(np.random.default_rng(0), [8])
    ratio = np.median(plates.control_scale[0] / plates.spread[0])

    expected = np.sqrt((16 * (ratio * plates.spread[0]) ** 2 + 8 * plates.control_scale[0] ** 2) / 24)

    np.testing.assert_allclose(steady_scale(plates)[0], expected, rtol=1e-12)


def test_many_other_plates_lend_their_pooled_scale():
    plates = measured(np.random.default_rng(0), [4] + [200] * 50)
    pooled = (plates.control_scale[1:] ** 2).mean(axis=0)

    expected = np.sqrt((16 * pooled + 4 * plates.control_scale[0] ** 2) / 20)

    np.testing.assert_allclose(steady_scale(plates)[0], expected, rtol=1e-2)


@pytest.mark.parametrize("n_controls", [[1], [1, 1]])
def test_single_controls_leave_the_spread_of_all_wells(n_controls):
    rng = np.random.default_rng(0)
    plates = measured(rng, n_controls)
    alone = PlateSpreads(
        plates.n_controls,
        plates.n_wells,
        np.zeros_like(plates.spread),
        np.tile(plates.spread[:1], (len(n_controls), 1)),
    )

    # One control has MAD 0: with weight 1 of 17 the plate's own scale is 0, the rest is borrowed.
    expected = alone.spread * np.sqrt(16 / 17)
    if len(n_controls) == 1:
        np.testing.assert_allclose(steady_scale(alone), expected, rtol=1e-12)
    else:
        assert (steady_scale(alone) > 0.9 * expected).all()


def test_a_feature_that_does_not_vary_has_no_scale():
    plates = measured(np.random.default_rng(0), [4, 4])
    plates.control_scale[:, 3] = 0
    plates.spread[:, 3] = 0

    scale = steady_scale(plates)

    assert (scale[:, 3] == 0).all()
    assert (np.delete(scale, 3, axis=1) > 0).all()
