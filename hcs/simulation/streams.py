"""Independent streams of random numbers: one for each purpose and place, whoever draws first."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for. A number is part of every stream below it: never renumber, only append."""

    COMPOUNDS = 0
    LAYOUT = 1
    SCANNER = 2
    BATCH = 3
    PLATE = 4
    POSITION = 5
    WELL = 6
    SEEDING = 7
    PHENOTYPE = 8
    ARTEFACTS = 9
    CAMERA = 10
    FEATURES = 11
    SOURCE = 12
    CYTOTOXICS = 13


def stream(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """Return the generator of one purpose at one place (batch, plate, well, site: as many as it needs).

    Streams with another seed, purpose or place are independent (`numpy.random.SeedSequence`, spawn keys), so a site
    can be rendered without any other.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose), *place))))
