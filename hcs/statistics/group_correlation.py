"""Median correlation within groups of rows, and within random groups of the same make.

Percent replicating (and matching) is the share of groups whose median is above the 95th percentile of random ones.
Pairs within a group are looked at, a group at a time; pairs of all rows never are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.grit import correlation_units

PERCENTILE = 95.0
N_RANDOM = 1_000
_TRIES = 20
_MOST_PAIRS = 50
"""Of copairs' null: the median of more pairs is not told apart from that of so many."""

Unit = tuple[tuple[int, ...], list[int]]
"""Rows that are alike in what pairs must differ in, after what that is."""


@dataclass(frozen=True)
class GroupCorrelations:
    """G groups and what random groups give."""

    medians: NDArray[np.float64]
    """(G,), NaN without a pair."""
    n_pairs: NDArray[np.intp]
    """(G,), pairs that differ where they must."""
    thresholds: NDArray[np.float64]
    """(G,), the 95th percentile of random groups; NaN where none can be made."""


class CorrelatedRows:
    """Rows, and the groups and other columns by which pairs of them are told apart."""

    def __init__(
        self, profiles: NDArray[np.floating], groups: NDArray[np.integer], different: NDArray[np.integer]
    ) -> None:
        """Take the rows.

        Args:
            profiles: (N, D), finite.
            groups: (N,), numbers from 0.
            different: (N, C), numbers; a pair counts if its rows differ in each of the C columns.
        """
        self._units = correlation_units(profiles)
        self.groups, self._different = groups, different
        self.members = [np.flatnonzero(groups == group) for group in range(int(groups.max(initial=-1)) + 1)]

    def median(self, rows: NDArray[np.intp]) -> tuple[float, int]:
        """Return the median correlation of the pairs of these rows that count, and their number."""
        counts = self._counts(rows)
        values = (self._units[rows] @ self._units[rows].T)[counts]
        values = values[np.isfinite(values)]
        return (float(np.median(values)) if len(values) else float("nan")), len(values)

    def _counts(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        counts = np.triu(np.ones((len(rows), len(rows)), dtype=np.bool_), k=1)
        for column in self._different[rows].T:
            counts &= column[:, None] != column[None, :]
        return counts

    def units_of(self, rows: NDArray[np.intp]) -> dict[tuple[int, ...], list[int]]:
        """Return the rows of a group by what they are that others must differ from; each by itself if nothing is."""
        units: dict[tuple[int, ...], list[int]] = {}
        for row in rows.tolist():
            units.setdefault(tuple(self._different[row].tolist()) or (-1 - row,), []).append(row)
        return units

    def of_random_pairs(self, n_random: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return medians of random pairs, as copairs draws them: (n_random,).

        As many pairs as half of the groups have rows that come first in a pair; at most 50.
        """
        firsts = [int(self._counts(rows).any(axis=1).sum()) for rows in self.members]
        n_pairs = min(int(np.median([n for n in firsts if n] or [1])), _MOST_PAIRS)
        columns = np.column_stack([self.groups, self._different])
        first, second = np.empty((2, 0), dtype=np.intp)
        for _ in range(_TRIES * 50):
            drawn = rng.integers(len(columns), size=(2, n_random * n_pairs))
            is_valid = (columns[drawn[0]] != columns[drawn[1]]).all(axis=1)
            first, second = np.append(first, drawn[0, is_valid]), np.append(second, drawn[1, is_valid])
            if len(first) >= n_random * n_pairs:
                break
        else:
            return np.full(n_random, np.nan)
        pairs = slice(0, n_random * n_pairs)
        values = np.einsum("nd,nd->n", self._units[first[pairs]], self._units[second[pairs]])
        return np.asarray(_nan_medians(values.reshape(n_random, n_pairs)))


def _nan_medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    has_any = np.isfinite(values).any(axis=1)
    medians = np.full(len(values), np.nan)
    medians[has_any] = np.nanmedian(values[has_any], axis=1)
    return medians


def group_correlations(
    rows: CorrelatedRows, *, seed: int, n_random: int = N_RANDOM, like_copairs: bool = False
) -> GroupCorrelations:
    """Return the median correlation of each group beside the 95th percentile of random groups.

    A random group has rows of as many groups as the group has wells (or compounds, or whatever its rows must differ
    in), as many of each, all of which differ from one another where pairs must. With `like_copairs` one threshold comes
    of medians of random pairs, whatever the size of a group: groups of 3 and of 300 are then held against one number,
    although the median of a small group scatters more.

    Args:
        rows: The rows.
        seed: Of the random groups, which depend on the make of a group alone, and not on what is asked beside it.
        n_random: Random groups for each make.
        like_copairs: See above.
    """
    found = [rows.median(members) for members in rows.members]
    medians, n_pairs = np.array([median for median, _ in found]), np.array([n for _, n in found], dtype=np.intp)
    if like_copairs:
        null = rows.of_random_pairs(n_random, np.random.default_rng(seed))
        return GroupCorrelations(medians, n_pairs, np.full(len(medians), _percentile(null)))
    units = [rows.units_of(members) for members in rows.members]
    makes = [tuple(sorted((len(unit) for unit in one.values()), reverse=True)) for one in units]
    wanted = {make for make, n in zip(makes, n_pairs, strict=True) if n}
    thresholds = {make: _threshold(rows, units, make, seed=seed, n_random=n_random) for make in sorted(wanted)}
    return GroupCorrelations(medians, n_pairs, np.array([thresholds.get(make, np.nan) for make in makes]))


def _threshold(
    rows: CorrelatedRows,
    units: Sequence[Mapping[tuple[int, ...], list[int]]],
    make: tuple[int, ...],
    *,
    seed: int,
    n_random: int,
) -> float:
    """Return the 95th percentile of the medians of random groups of this make; NaN where they cannot be made."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, *make]))
    large_enough = {
        size: [[unit for unit in one.items() if len(unit[1]) >= size] for one in units] for size in set(make)
    }
    medians = []
    for _ in range(n_random):
        drawn = _random_group(large_enough, make, n_groups=len(units), rng=rng)
        if drawn is None:
            return float("nan")
        medians.append(rows.median(drawn)[0])
    return _percentile(np.array(medians))


def _random_group(
    large_enough: Mapping[int, Sequence[Sequence[Unit]]],
    make: tuple[int, ...],
    *,
    n_groups: int,
    rng: np.random.Generator,
) -> NDArray[np.intp] | None:
    """Return the rows of one random group, None where some tries made none."""
    for _ in range(_TRIES):
        chosen: list[int] = []
        taken: list[tuple[int, ...]] = []
        order = iter(rng.permutation(n_groups).tolist())
        for size in make:
            unit = _next_unit(order, large_enough[size], taken, rng)
            if unit is None:
                break
            taken.append(unit[0])
            chosen += rng.choice(unit[1], size, replace=False).tolist() if size < len(unit[1]) else unit[1]
        else:
            return np.array(chosen, dtype=np.intp)
    return None


def _next_unit(
    order: Iterator[int], units: Sequence[Sequence[Unit]], taken: Sequence[tuple[int, ...]], rng: np.random.Generator
) -> Unit | None:
    """Return a unit of the next group that has one which differs from those that were taken."""
    for group in order:
        if units[group]:
            unit = units[group][int(rng.integers(len(units[group])))]
            if all(mine != other for known in taken for mine, other in zip(unit[0], known, strict=True)):
                return unit
    return None


def _percentile(null: NDArray[np.float64]) -> float:
    finite = null[np.isfinite(null)]
    return float(np.percentile(finite, PERCENTILE)) if len(finite) else float("nan")
