"""One profile for rows that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.statistics.finite import not_finite
from hcs.statistics.modz import modz
from hcs.statistics.stacks import Reduction, mean, median, reduce_groups, sorted_rows

Operation = Literal["median", "mean", "modz"]


def _sorted_mean(stack: NDArray[np.floating], _: NDArray[np.intp]) -> NDArray[np.floating]:
    """Return the mean of every group; sorting every feature's values gives it one order of summation."""
    return mean(sorted_rows(stack.astype(np.float64)))


CONSENSUS: dict[Operation, Reduction] = {"median": median, "mean": _sorted_mean, "modz": modz}
"""Operation -> how it makes one row of a group's."""


def consensus_of_groups(
    profiles: NDArray[np.floating],
    order: NDArray[np.intp],
    starts: NDArray[np.intp],
    *,
    operation: Operation,
    n_threads: int | None = None,
) -> NDArray[np.floating]:
    """Return one profile a group, (G, K), in the dtype of the profiles.

    Args:
        profiles: (W, K). `median` and `mean` leave out missing values; `modz` takes none.
        order: (N,), rows, one group after the other.
        starts: (G + 1,), where in `order` each group begins, and the end.
        operation: As for `consensus`.
        n_threads: None is one for every core. The result is the same bits for any number.

    Raises:
        InputRejectedError: If replicates shall be weighed by their agreement, and a value is NaN or infinite.
    """
    if operation == "modz":
        bad = not_finite(profiles)
        if len(bad):
            raise InputRejectedError(
                f"modz compares replicates over all features, which must be finite, but feature {bad[0]} is not "
                f"({len(bad)} features like it); leave such features out, as by the selection step `drop_na` with a "
                "cutoff of 0, or take the median"
            )
    return reduce_groups(profiles, order, starts, reduction=CONSENSUS[operation], n_threads=n_threads)


def consensus(
    profiles: NDArray[np.float64], groups: Sequence[str] | NDArray[np.str_], *, operation: Operation
) -> tuple[list[str], NDArray[np.float64]]:
    """Return one profile a group: the median, mean or MODZ of every feature over the group's wells.

    Args:
        profiles: (W, K).
        groups: (W,), the name of each well's group.
        operation: `median` is unmoved by a well with debris; with two wells it is the `mean`. `modz` weighs wells by
            how well they agree with the others of their group.

    Returns:
        The groups' names, sorted, and their profiles, (G, K), float64, in this order. With `median` and `mean` the
        same bits for any order of the wells.

    Raises:
        InputRejectedError: If there is not one group a profile.
    """
    if profiles.ndim != 2 or len(groups) != len(profiles):
        raise InputRejectedError(
            f"one group a profile is expected, but {len(groups)} groups and profiles of shape {profiles.shape} came"
        )
    names, member_of = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    order = np.argsort(member_of, kind="stable")
    starts = np.searchsorted(member_of[order], np.arange(len(names) + 1))
    rows = np.asarray(profiles, dtype=np.float64)
    return names.tolist(), consensus_of_groups(rows, order, starts, operation=operation).astype(np.float64, copy=False)
