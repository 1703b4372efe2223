import itertools

import numpy as np

from hcs.simulation.streams import Purpose, stream


def test_the_same_place_gives_the_same_numbers():
    first, second = (stream(3, Purpose.WELL, 1, 2, 3).random(5) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_streams_differ_by_seed_purpose_and_place():
    streams = [
        stream(seed, purpose, *place)
        for seed, purpose, place in itertools.product(
            (0, 1), (Purpose.WELL, Purpose.PLATE), ((), (0,), (1,), (0, 1), (1, 0))
        )
    ]

    first_numbers = {generator.random() for generator in streams}

    assert len(first_numbers) == len(streams)


def test_streams_are_uncorrelated():
    rows = np.array([stream(0, Purpose.CAMERA, 0, 0, well, 1).standard_normal(2000) for well in range(20)])

    correlations = np.corrcoef(rows)[np.triu_indices(20, 1)]

    assert np.abs(correlations).max() < 0.1
