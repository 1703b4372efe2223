import numpy as np

from hcs.simulation.debris import scatter_debris


def test_debris_shines_in_every_channel_and_is_thin():
    light = scatter_debris(np.random.default_rng(0), n_pieces=2, side=128)

    assert light.shape == (5, 128, 128)
    assert light.min() >= 0
    assert np.all(light.max(axis=(1, 2)) > 0.4)
    assert np.mean(light[0] > 0.2) < 0.15


def test_more_pieces_are_more_light():
    totals = [scatter_debris(np.random.default_rng(1), n_pieces=n, side=256).sum() for n in (0, 1, 3)]

    assert totals[0] == 0
    assert totals[0] < totals[1] < totals[2]
