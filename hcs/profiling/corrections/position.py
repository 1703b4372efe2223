"""What corrections for the position of wells share: sets of plates, whether their layout is fixed, and the test.

Plates of one batch are one set. A correction is made in the sets where a permutation test finds that position makes a
difference (`hcs.statistics.position_test`, p <= .05), and the notes tell p and what was done.

Rows and columns are tested on negative controls where at least 16 of a set stand in 3 rows and 3 columns: among treated
wells a pattern over the plate can be biology, such as doses along columns. Where controls do not permit it, all wells
are tested, negative controls apart from the others, unless the layout is fixed: then what stands in a position is the
same treatment on all plates, and position cannot be told from treatment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.row_order import order_by_content
from hcs.statistics.position_test import N_DRAWS, position_p_value

ALPHA = 0.05
FEWEST_CONTROLS = 16
FEWEST_LINES = 3
FIXED_SHARE = 0.1
"""A layout counts as fixed if more than this share of the other wells in a treated well's position hold the same
perturbation: a mean over the position would then hold too much of the treatment itself."""

_SEED = 20_211


@dataclass(frozen=True)
class PlateSet:
    """The wells of the plates of one batch, and what the test says of their positions."""

    name: str
    """Of a sentence."""
    rows: NDArray[np.intp]
    """(N,), of the table."""
    p_value: float | None
    """None where position could not be tested."""
    tested_on: str
    """Of a sentence; why not, where it was not tested."""

    @property
    def is_corrected(self) -> bool:
        """Whether the test says that position makes a difference."""
        return self.p_value is not None and self.p_value <= ALPHA

    def note(self, subject: str, done: str, left: str) -> str:
        """Return what was found and done."""
        if self.p_value is None:
            return f"{self.name}: {subject} not tested, since {self.tested_on}; {left}"
        found = f"{subject} p = {self.p_value:.3g} ({N_DRAWS} permutations of {self.tested_on} within plates)"
        return f"{self.name}: {found}; {done if self.is_corrected else left}"


def places_of(design: Design) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return every well's row and column, from 0.

    Raises:
        InputRejectedError: If wells have no position, or two of a plate the same.
    """
    if design.rows is None or design.columns is None:
        raise InputRejectedError(
            "a correction for position needs the wells' names, such as A01, but none came; name their column with "
            "--well"
        )
    places = np.column_stack([design.plates, design.rows, design.columns])
    n_distinct = len(np.unique(places, axis=0))
    if n_distinct < len(places) or min(design.rows.min(), design.columns.min()) < 0:
        raise InputRejectedError(
            f"one row for each well of a plate is expected, but {len(places)} rows lie in {n_distinct} wells; make one "
            "row of the sites of a well first, as by `aggregate`"
        )
    return design.rows, design.columns


def plates_of(design: Design, rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Give the rows of each plate among these rows."""
    plates = design.plates[rows]
    for plate in np.unique(plates):
        yield rows[plates == plate]


def same_perturbation_share(design: Design) -> float | None:
    """Return which share of the other wells in a treated well's position hold the same perturbation; None: not known.

    1 where the layout is the same on all plates, near 0 where it is shuffled.
    """
    rows, columns = places_of(design)
    is_treated = ~design.is_negcon & (design.perturbations >= 0)
    if not is_treated.any():
        return None
    position = np.unique(np.column_stack([rows, columns])[is_treated], axis=0, return_inverse=True)[1].reshape(-1)
    both = np.column_stack([position, design.perturbations[is_treated]])
    _, pair, n_same = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    n_same_of_well = n_same[pair.reshape(-1)]
    n_there = np.bincount(position)[position]
    has_others = n_there > 1
    if not has_others.any():
        return None
    return float(((n_same_of_well - 1)[has_others] / (n_there - 1)[has_others]).mean())


def tested_sets(values: NDArray[np.floating], design: Design) -> list[PlateSet]:
    """Return the sets of plates, rows and columns of each tested."""
    places = places_of(design)
    share = same_perturbation_share(design)
    is_shuffled = share is not None and share <= FIXED_SHARE
    sets = []
    for name, rows in batches_of(design):
        chosen, tested_on = _tested_wells(design, places, rows, is_shuffled=is_shuffled)
        factors = [line[chosen] for line in places]
        sets.append(PlateSet(name, rows, tested_p(values, design, chosen, factors) if len(chosen) else None, tested_on))
    return sets


def batches_of(design: Design) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Give every batch's name in messages, and its rows."""
    batches = np.unique(design.batches)
    for batch in batches:
        name = "all plates" if len(batches) == 1 else f"batch {batch + 1} of {len(batches)}"
        yield name, np.flatnonzero(design.batches == batch)


def _tested_wells(
    design: Design,
    places: tuple[NDArray[np.intp], NDArray[np.intp]],
    rows: NDArray[np.intp],
    *,
    is_shuffled: bool,
) -> tuple[NDArray[np.intp], str]:
    """Return the wells of a set that are tested, and their name in a sentence; none, and the reason."""
    controls = rows[design.is_fitted[rows] & design.is_negcon[rows]]
    if len(controls) >= FEWEST_CONTROLS and all(len(np.unique(line[controls])) >= FEWEST_LINES for line in places):
        return controls, f"{len(controls)} negative controls"
    if is_shuffled:
        return rows, f"all {len(rows)} wells"
    return rows[:0], (
        f"only {len(controls)} negative controls, or fewer than {FEWEST_LINES} rows or columns of them, are there, and "
        "treated wells have a fixed or unknown layout"
    )


def tested_p(
    values: NDArray[np.floating], design: Design, chosen: NDArray[np.intp], factors: Sequence[NDArray[np.intp]]
) -> float:
    """Return the p-value of these places for these rows; wells are exchanged within plates, controls among controls."""
    # In an order of their content, so that the same wells in other rows of a table are dealt alike.
    order, _ = order_by_content(np.asarray(values[chosen], dtype=np.float64))
    strata = (2 * design.plates[chosen] + design.is_negcon[chosen])[order]
    return position_p_value(
        values[chosen[order]], [factor[order] for factor in factors], strata, rng=np.random.default_rng(_SEED)
    )
