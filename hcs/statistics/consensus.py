"""One profile for rows that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError

Operation = Literal["median", "mean"]


def consensus(
    profiles: NDArray[np.float64], groups: Sequence[str] | NDArray[np.str_], *, operation: Operation
) -> tuple[list[str], NDArray[np.float64]]:
    """Return one profile a group: the median or mean of every feature over the group's wells.

    Args:
        profiles: (W, K).
        groups: (W,), the name of each well's group.
        operation: `median` is unmoved by a well with debris; with two wells both are the same.

    Returns:
        The groups' names, sorted, and their profiles, (G, K), float64, in this order. The same bits for any order of
        the wells.

    Raises:
        InputRejectedError: If there is not one group a profile.
    """
    if profiles.ndim != 2 or len(groups) != len(profiles):
        raise InputRejectedError(
            f"one group a profile is expected, but {len(groups)} groups and profiles of shape {profiles.shape} came"
        )
    names, member_of = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    combined = np.empty((len(names), profiles.shape[1]))
    for group in range(len(names)):
        # Sorting every feature's values gives the mean one order of summation.
        values = np.sort(np.asarray(profiles[member_of == group], dtype=np.float64), axis=0)
        combined[group] = np.median(values, axis=0) if operation == "median" else values.mean(axis=0)
    return names.tolist(), combined
