"""The wells of one hit as what explains hits takes them."""

from __future__ import annotations

import numpy as np

from hcs.hits.hit_pool import HitPool


def pool_of_one(profiles: np.ndarray, plates: np.ndarray, is_replicate: np.ndarray) -> HitPool:
    """Return the pool of a single hit, given profiles (P, D) of its replicates and its controls."""
    is_control = ~is_replicate
    return HitPool(profiles[is_replicate][None], plates[is_replicate], profiles[is_control], plates[is_control])
