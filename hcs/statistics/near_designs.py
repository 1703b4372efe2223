"""Which drawn designs may score as high as a treatment, found for all treatments of a layout together.

Designs of controls score nearly the same for every treatment: by how much they differ at most from what they score on
average is known from the tables. That average itself is bounded by one or two numbers looked up for each design, so
that for strong treatments nearly no design is scored at all. Of designs with one of a treatment's wells it is known how
much that well can add at most. Designs with several are few, and are all scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.design_scores import Blocks, scores
from hcs.statistics.draw_batches import Batch, code_groups

_ROUNDING = 1e-9
_ROUNDING_OF_BOUNDS = 1e-5
"""Bounds have single precision; a score is a difference of mean cosines."""
_DESIGNS_AT_ONCE = 16_384
"""Designs whose bounds are looked up together: 128 kB of codes and bounds, which a core has near."""

_ENTRIES_AT_ONCE = 500_000
"""Of tables: 4 MB."""


@dataclass(frozen=True)
class Reach:
    """How far down a treatment has to look."""

    lowest: float
    """A design of controls that scores less on average does not score as high as the treatment."""
    missing: NDArray[np.float64]
    """(A,), the same of the controls of a design with one of the treatment's wells, by the plate of that well."""


@dataclass(frozen=True)
class Candidates:
    """Designs of some batches that may reach one of the treatments."""

    n_designs: int
    """Of all batches."""
    controls: NDArray[np.intp]
    """(n,), numbers of designs of controls, over all batches."""
    of_controls: NDArray[np.intp]
    """(pairs, n), the places of their pairs."""
    likened: NDArray[np.float64]
    """(n,), what they score on average."""
    single: NDArray[np.intp]
    """(S,), numbers of designs with one of the treatment's wells."""
    of_single: NDArray[np.int32]
    """(pairs, S)."""
    likened_single: NDArray[np.float64]
    """(S,), what their controls score on average."""
    single_plates: NDArray[np.intp]
    """(S,), the plate of the treatment's well."""
    mixed: NDArray[np.intp]
    """(M,), numbers of the designs with several."""
    of_mixed: NDArray[np.int32]
    """(pairs, M)."""

    def at_least(self, table: NDArray[np.float64], threshold: float, reach: Reach) -> NDArray[np.intp]:
        """Return the numbers of the designs that score as high as a treatment, in rising order."""
        near = np.flatnonzero(self.likened >= reach.lowest)
        near_single = np.flatnonzero(self.likened_single >= reach.missing[self.single_plates])
        found = [
            numbers[scores(table, places) >= threshold]
            for numbers, places in (
                (self.mixed, self.of_mixed),
                (self.controls[near], self.of_controls[:, near]),
                (self.single[near_single], self.of_single[:, near_single]),
            )
            if len(numbers)
        ]
        return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.intp)


class Likeness:
    """What designs score on average over some treatments."""

    def __init__(self, tables: Sequence[NDArray[np.float64]], blocks: Blocks) -> None:
        self._blocks = blocks
        self._mean = np.mean(tables, axis=0)
        self._with_nothing = np.append(self._mean, 0.0)
        self._bounds = _bounds(self._mean, blocks)

    def reaches(self, tables: Sequence[NDArray[np.float64]], thresholds: Sequence[float]) -> list[Reach]:
        """Return how far down the treatments with these tables have to look."""
        found = []
        step = max(1, _ENTRIES_AT_ONCE // len(self._mean))
        for start in range(0, len(tables), step):
            some = np.stack(tables[start : start + step])
            most = self._blocks.most_of_one_replicate(some)
            some -= self._mean
            lowest = np.array(thresholds[start : start + step]) - _ROUNDING - self._blocks.largest_differences(some)
            found += [Reach(*of_one) for of_one in zip(lowest.tolist(), lowest[:, None] - most, strict=True)]
        return found

    def candidates(self, batches: Sequence[Batch], reaches: Sequence[Reach]) -> Candidates:
        """Return the designs that may reach one of the treatments."""
        lowest = min(reach.lowest for reach in reaches)
        missing = np.min([reach.missing for reach in reaches], axis=0)
        starts = np.cumsum([0, *(batch.n_designs for batch in batches)])
        parts = [self._of_batch(batch, start, lowest, missing) for batch, start in zip(batches, starts, strict=False)]
        joined = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
        return Candidates(n_designs=int(starts[-1]), **joined)

    def _of_batch(
        self, batch: Batch, start: int, lowest: float, missing: NDArray[np.float64]
    ) -> dict[str, NDArray[np.generic]]:
        near = self._near(batch, lowest)
        of_controls = self._blocks.places_on_plates(batch.of_controls[:, near])
        likened = scores(self._mean, of_controls)
        likened_single = scores(self._with_nothing, batch.single_controls)
        near_single = np.flatnonzero(likened_single >= missing[batch.single_plates])
        return {
            "controls": start + batch.controls[near],
            "of_controls": of_controls,
            "likened": likened,
            "single": start + batch.single[near_single],
            "of_single": batch.of_single[:, near_single],
            "likened_single": likened_single[near_single],
            "single_plates": batch.single_plates[near_single],
            "mixed": start + batch.mixed,
            "of_mixed": batch.of_mixed,
        }

    def _near(self, batch: Batch, lowest: float) -> NDArray[np.intp]:
        """Return which designs of controls may score so much on average."""
        if not self._bounds:
            return np.arange(len(batch.controls))
        limit = np.float32(lowest - _ROUNDING_OF_BOUNDS)
        found = []
        for start in range(0, len(batch.controls), _DESIGNS_AT_ONCE):
            some = slice(start, start + _DESIGNS_AT_ONCE)
            bound = self._bounds[0].take(batch.codes[0][some])
            for table, codes in zip(self._bounds[1:], batch.codes[1:], strict=True):
                bound += table.take(codes[some])
            found.append(start + np.flatnonzero(bound >= limit))
        return np.concatenate(found) if found else np.empty(0, dtype=np.intp)


def _bounds(table: NDArray[np.float64], blocks: Blocks) -> list[NDArray[np.float32]]:
    """Return a number for each code, so that a design of controls scores at most the sum of its codes'.

    The first has the pairs within its wells. The second has those within its own, and the most that each of its wells
    can have with any of the first's.
    """
    groups = code_groups(blocks.layout)
    pairs = blocks.control_blocks(table)
    sizes = np.repeat(blocks.layout.n_controls, blocks.layout.n_drawn).tolist()
    bounds = []
    for number, group in enumerate(groups):
        bound = np.zeros([sizes[place] for place in group])
        for (first, second), block in pairs.items():
            if first in group and second in group:
                bound += _spread(block, (first - group.start, second - group.start), len(group))
            elif number and second in group:
                bound += _spread(block.max(axis=0), (second - group.start,), len(group))
        bounds.append(bound.ravel().astype(np.float32))
    return bounds


def _spread(values: NDArray[np.float64], axes: tuple[int, ...], n_axes: int) -> NDArray[np.float64]:
    """Return values with axes of length 1 for all but these."""
    return np.expand_dims(values, tuple(axis for axis in range(n_axes) if axis not in axes))
