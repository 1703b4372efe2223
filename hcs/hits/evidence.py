"""What the wells of each treatment say, before other treatments are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.hits.effect import deviations
from hcs.hits.treatments import ScreenWells, Treatment
from hcs.statistics.permutation import DesignTest, design_tests
from hcs.statistics.query_precision import means_of_treatments, query_precisions
from hcs.statistics.threads import on_threads

NO_OTHER = "no other to agree with"
"""What is said of a single replicate."""


@dataclass(frozen=True)
class Evidence:
    """One treatment's replicates and scores; fields that cannot be had are None."""

    treatment: Treatment
    replicates: NDArray[np.intp]
    """Rows of the replicates that are used: those on a plate with a negative control."""
    n_plates: int
    n_batches: int
    n_controls: int
    reason: str | None
    mean_average_precision: float | None = None
    test: DesignTest | None = None
    effect: float | None = None


@dataclass(frozen=True)
class Siblings:
    """Treatments that have as many replicates as one another on each of the same plates, and so share the controls."""

    numbers: tuple[int, ...]
    """(T,), of the treatments."""
    replicates: NDArray[np.intp]
    """(T, R), rows of their wells, plate by plate."""
    plates: NDArray[np.intp]
    """(R,), where these lie."""

    def chosen(self, places: Sequence[int]) -> Siblings:
        """Return some of the treatments, by their place among these."""
        return Siblings(tuple(self.numbers[place] for place in places), self.replicates[list(places)], self.plates)

    def parts(self, n: int) -> Iterator[Siblings]:
        """Yield the same treatments, at most n at a time."""
        for start in range(0, len(self.numbers), n):
            yield Siblings(self.numbers[start : start + n], self.replicates[start : start + n], self.plates)


def gather_evidence(screen: ScreenWells, *, seed: int) -> list[Evidence]:
    """Return what the wells of each treatment say, in the order of `screen.treatments`.

    A replicate on a plate without a negative control has nothing to be compared with and is left out; `reason` tells of
    it. Fewer than two others cannot agree: there is no precision and no p-value, and `reason` says which it was.
    """
    is_used = np.isin(screen.plates, screen.plates[screen.is_negcon])
    used = [item.wells[is_used[item.wells]] for item in screen.treatments]
    precisions = _mean_average_precisions(screen, used)
    groups = siblings(screen, used)
    found = on_threads(lambda group: _of_siblings(screen, group, precisions, seed=seed), groups, n_threads=None)
    by_number = {number: evidence for group in found for number, evidence in group}
    return [
        by_number.get(number) or Evidence(treatment, rows, 0, 0, 0, _reason(treatment, rows))
        for number, (treatment, rows) in enumerate(zip(screen.treatments, used, strict=True))
    ]


def siblings(screen: ScreenWells, replicates: Sequence[NDArray[np.intp]]) -> list[Siblings]:
    """Return treatments with at least one replicate, grouped by how many replicates they have on which plates."""
    groups: dict[tuple[int, ...], list[int]] = {}
    in_order = [rows[np.argsort(screen.plates[rows], kind="stable")] for rows in replicates]
    for number, rows in enumerate(in_order):
        if len(rows):
            groups.setdefault(tuple(screen.plates[rows].tolist()), []).append(number)
    return [
        Siblings(tuple(numbers), np.stack([in_order[number] for number in numbers]), np.array(plates, dtype=np.intp))
        for plates, numbers in groups.items()
    ]


def _mean_average_precisions(screen: ScreenWells, replicates: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    """Return the plain precision of each treatment, NaN without two replicates.

    Every replicate is a query, the others on any plate are its positives, the controls of its own plate its negatives;
    similarity is the cosine of the profiles as they are.
    """
    number = np.full(len(screen.profiles), -1, dtype=np.intp)
    for place, rows in enumerate(replicates):
        number[rows if len(rows) > 1 else rows[:0]] = place
    found = query_precisions(screen.profiles, number, screen.is_negcon, screen.plates)
    return means_of_treatments(found.precisions, number[found.rows], len(replicates))


def _of_siblings(
    screen: ScreenWells, group: Siblings, precisions: NDArray[np.float64], *, seed: int
) -> list[tuple[int, Evidence]]:
    rows = screen.negcons_of(group.plates)
    wells = (screen.profiles[rows], screen.plates[rows], screen.profiles[group.replicates], group.plates)
    effects = [item.effect for item in deviations(*wells)]
    n_plates = len(np.unique(group.plates))
    n_batches = _n_distinct(screen.batches[group.replicates])
    is_callable = len(group.plates) >= 2
    tests = design_tests(*wells, seed=seed) if is_callable else None
    return [
        (
            number,
            Evidence(
                treatment=screen.treatments[number],
                replicates=group.replicates[place],
                n_plates=n_plates,
                n_batches=n_batches[place],
                n_controls=len(rows),
                reason=_reason(screen.treatments[number], group.replicates[place]),
                mean_average_precision=None if np.isnan(precisions[number]) else float(precisions[number]),
                test=None if tests is None else tests[place],
                effect=None if np.isnan(effects[place]) else effects[place],
            ),
        )
        for place, number in enumerate(group.numbers)
    ]


def _n_distinct(numbers: NDArray[np.intp]) -> list[int]:
    """Return how many different numbers each row has."""
    n_changes = np.count_nonzero(np.diff(np.sort(numbers, axis=1), axis=1), axis=1)
    return [1 + n for n in n_changes.tolist()]


def _reason(treatment: Treatment, used: NDArray[np.intp]) -> str | None:
    n_used, n_left_out = len(used), len(treatment.wells) - len(used)
    left_out = f"{n_left_out} on plates without a negative control"
    if n_used >= 2:
        return f"left out: {left_out}" if n_left_out else None
    if n_used == 1:
        return f"one replicate: {NO_OTHER}" + (f"; left out: {left_out}" if n_left_out else "")
    return f"no negative control on the plates of its {n_left_out} replicates: nothing to compare with"
