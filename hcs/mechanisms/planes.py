"""Profiles in a plane, for pictures: nothing is decided there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.mechanisms.clusters import PICTURE_MIN_DISTANCE, embed_by_umap
from hcs.statistics.similarity import unit_rows

_FEWEST = 5


def plane_of(profiles: NDArray[np.float64], *, seed: int, n_neighbours: int = 10) -> NDArray[np.float64]:
    """Return the place of every profile in the plane of UMAP by cosine distance, (N, 2), the same for a seed.

    Args:
        profiles: (N, D), finite.
        seed: Of the embedding.
        n_neighbours: Size of the neighbourhoods that are preserved.

    Raises:
        InputRejectedError: If there are fewer than 5 profiles, or one is not finite.
    """
    if len(profiles) < _FEWEST or not np.isfinite(profiles).all():
        raise InputRejectedError(
            f"at least {_FEWEST} finite profiles are needed for a picture of them, but {len(profiles)} came, of which "
            f"{int((~np.isfinite(profiles)).any(axis=1).sum())} are not finite"
        )
    units, _ = unit_rows(profiles)
    return embed_by_umap(units, n_dimensions=2, n_neighbours=n_neighbours, min_distance=PICTURE_MIN_DISTANCE, seed=seed)
