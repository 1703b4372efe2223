"""Which rows each group of a table is fitted on, such as a plate on its negative controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.groups import RowGroups

Lacking = Literal["refuse", "all"]


@dataclass(frozen=True)
class FittedRows:
    """Of G groups of W rows."""

    groups: RowGroups
    chosen: NDArray[np.bool_]
    """(W,), the rows that shall be fitted on."""
    n_rows: NDArray[np.intp]
    """(G,), rows that each group is fitted on."""
    borrowed: NDArray[np.bool_]
    """(G,), groups without a chosen row, which are fitted on all of theirs."""

    def of_group(self, group: int) -> NDArray[np.bool_] | None:
        """Return which rows of a group it is fitted on; None is all."""
        if self.n_rows[group] == self.groups.sizes[group]:
            return None
        return self.chosen[self.groups.rows(group)]


def fitted_rows(groups: RowGroups, chosen: NDArray[np.bool_], *, lacking: Lacking) -> FittedRows:
    """Return the rows that each group is fitted on.

    Args:
        groups: Of W rows.
        chosen: (W,).
        lacking: What is done with a group without a chosen row: refuse, or fit it on all of its rows.

    Raises:
        InputRejectedError: If a group has one row to be fitted on or, unless `lacking` is `all`, none.
    """
    n_chosen = np.array([int(chosen[groups.rows(group)].sum()) for group in range(len(groups))], dtype=np.intp)
    borrowed = n_chosen == 0
    if lacking == "refuse" and borrowed.any():
        names = [groups.name(int(group)) for group in np.flatnonzero(borrowed)]
        raise InputRejectedError(
            f"rows to fit on are expected in every group, but {len(names)} have none: {', '.join(names[:5])}; leave "
            "these out, or fit them on all of their rows"
        )
    n_rows = np.where(borrowed, groups.sizes, n_chosen)
    if (n_rows < 2).any():
        group = int(np.argmin(n_rows))
        raise InputRejectedError(
            f"at least two rows to fit on are expected in every group, but {groups.name(group)} has {n_rows[group]}; "
            "one value has no spread"
        )
    return FittedRows(groups, chosen, n_rows, borrowed)
