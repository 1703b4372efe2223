"""Which other perturbations look most alike."""

from __future__ import annotations

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.mechanisms.consensus import consensus_profiles
from hcs.statistics.consensus import Operation
from hcs.statistics.neighbours import nearest_neighbours
from schemas.results import TreatmentNeighbours


def treatment_neighbours(
    profiles: NDArray[np.float64],
    wells: pl.DataFrame,
    *,
    profile_name: str,
    operation: Operation = "median",
    top: int = 20,
) -> dy.DataFrame[TreatmentNeighbours]:
    """Return the most similar other perturbations of every treatment, nearest first.

    Similarity is the cosine of consensus profiles. A neighbour is never another dose of the same perturbation, and
    comes once, at its most similar dose. Whether it is active is not asked: two inactive treatments may well be
    neighbours, and their similarity then is that of noise.

    Args:
        profiles: (N, D), one row a well, in the order of `wells`, finite.
        wells: `perturbation, concentration_micromolar, dose_step, control_type`.
        profile_name: Which profile this is, for the table.
        operation: How the wells of a treatment become one profile.
        top: How many neighbours a treatment gets at most.

    Returns:
        Sorted by treatment and rank.
    """
    consensus = consensus_profiles(profiles, wells, operation=operation)
    groups = consensus.perturbation_numbers
    near = nearest_neighbours(
        consensus.profiles, consensus.profiles, query_groups=groups, reference_groups=groups, top=top
    )
    names = consensus.treatments["treatment"]
    query, position = np.nonzero(near.rows >= 0)
    frame = pl.DataFrame(
        {
            "profile": pl.repeat(profile_name, len(query), eager=True),
            "treatment": names.gather(query),
            "rank": position + 1,
            "neighbour": names.gather(near.rows[query, position]),
            "similarity": near.similarities[query, position],
        }
    )
    return TreatmentNeighbours.validate(frame, cast=True)
