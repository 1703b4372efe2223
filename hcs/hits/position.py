"""What the place of a well does to p-values, by control wells that share a position over the plates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hcs.hits.hit_pool import HitPool
from hcs.hits.treatments import UNKNOWN
from hcs.statistics.average_precision import negatives_above, precisions_of_counts
from hcs.statistics.designs import layout_of
from hcs.statistics.draws import MAX_DRAWS
from hcs.statistics.permutation import DesignTest, permutation_test
from hcs.statistics.pool_scale import needs_one_scale
from hcs.statistics.position_inflation import Inflation, estimate_inflation
from hcs.statistics.similarity import cosines, unit_rows
from hcs.statistics.threads import on_threads

PositionVerdict = Literal["corrected", "not_shared", "not_testable"]


SHARED = 0.25
"""Of the pairs of a treatment's wells on two plates, the share in one position from which on places count. Dealing ten
wells over plates of 96 puts a hundredth of the pairs there."""


@dataclass(frozen=True)
class PositionSet:
    """The control wells of one position on plates that treatments share, tested as if they were a treatment."""

    position: str
    rows: NDArray[np.intp]
    """One a plate, in the caller's order of wells."""
    family: int
    is_rescaled: bool
    """Whether it was brought to one scale with the controls beside it, as some treatments are."""
    test: DesignTest


@dataclass(frozen=True)
class OtherPositions:
    """How well replicates find one another where they do not share a position."""

    n_replicates: int | None
    """Those that have another one in another position; None where positions are not known."""
    mean_average_precision: float | None
    """Over them; None where all replicates lie in one position."""


@dataclass(frozen=True)
class ScoredPositions:
    """The position sets of a screen, and the plates that each of them speaks for."""

    sets: tuple[PositionSet, ...]
    families: NDArray[np.intp]
    """(N,), a number for all plates that treatments connect, within one stratum."""
    plates: NDArray[np.integer]
    """(N,), a number a plate, another one in each stratum."""
    positions: NDArray[np.str_]
    """(N,), names of wells."""
    controls: NDArray[np.integer]
    """(C,), the plates of the negative controls."""
    is_mostly_rescaled: bool
    """Whether most treatments are tested on one scale with the controls beside them."""

    def are_rescaled(self, rows: NDArray[np.intp]) -> bool:
        """Return whether a treatment with these wells is tested on one scale with the controls beside them."""
        return needs_one_scale(layout_of(self.controls, self.plates[rows]))

    def are_elsewhere(self, rows: NDArray[np.intp]) -> bool:
        """Return whether these wells are known to lie on several plates, hardly any two of them in one position."""
        if (self.positions[rows] == UNKNOWN).any():
            return False
        n_pairs = len(rows) * (len(rows) - 1) // 2 - _pairs_within(self.plates[rows])
        return n_pairs > 0 and _pairs_within(self.positions[rows]) < SHARED * n_pairs

    def inflation(self, rows: NDArray[np.intp] | None = None) -> Inflation:
        """Return what positions do on the plates of a treatment's wells, and on those that treatments connect to them.

        Plates that share no treatment with them have no say, so that adding some leaves every p-value as it is. Sets
        are tested as the treatment is: on one scale with the controls beside them, or as profiles came.

        Args:
            rows: The treatment's wells; None for all plates, as a run prints it, and the test that most treatments get.
        """
        is_rescaled = self.is_mostly_rescaled if rows is None else self.are_rescaled(rows)
        own = None if rows is None else set(self.families[rows].tolist())
        sets = [item for item in self.sets if item.is_rescaled == is_rescaled and (own is None or item.family in own)]
        p_values = np.array([item.test.p_value for item in sets], dtype=np.float64)
        return estimate_inflation(p_values, steps=np.array([1 / item.test.n_scored for item in sets], dtype=np.float64))


@dataclass(frozen=True)
class PositionCorrection:
    """The p-values of T treatments, corrected by control positions; as they came where there are none."""

    p_position: NDArray[np.float64]
    """(T,)."""
    smallest_possible_p: NDArray[np.float64]
    """(T,), corrected likewise: what cannot reach the threshold any more is underpowered."""
    verdicts: tuple[PositionVerdict, ...]
    """(T,)."""


def score_positions(
    profiles: NDArray[np.floating],
    plates: NDArray[np.integer],
    positions: NDArray[np.str_],
    *,
    is_negcon: NDArray[np.bool_],
    treatments: NDArray[np.integer],
    strata: NDArray[np.integer] | None = None,
    seed: int,
    max_draws: int = MAX_DRAWS,
) -> ScoredPositions:
    """Return every control position that plates share as a pseudo-compound, with the test that treatments get.

    Which plates belong together is what treatments say. Of the groups of plates that treatments lie on, that of most
    treatments is taken first, then others that have no plate in common with those before: a control well is in one set
    at most. Within a group every position that holds a negative control on at least two plates is a set. Its pool is
    all negative controls of these plates, and its own wells are no negatives of it, as those of a treatment are none.

    Args:
        profiles: (N, D), finite, as treatments are tested.
        plates: (N,).
        positions: (N,), names of wells.
        is_negcon: (N,).
        treatments: (N,), a number a treatment, negative for wells that are none: negative and positive controls.
        strata: (N,), a number a cell line and time point; wells of two are never in one set or pool.
        seed: Of the run.
        max_draws: Upper limit of random draws, that of the treatments.

    Returns:
        No set if the layout shares no control position.
    """
    cells = _numbered(plates, strata)
    owners = _numbered(treatments, strata)
    is_treated = (treatments >= 0) & np.isin(cells, cells[is_negcon])
    families = _families(cells, owners, is_treated)
    groups = _plate_groups(cells[is_treated], owners[is_treated])
    pools = [
        pool for group in groups for pool in _pools(cells, positions, np.flatnonzero(is_negcon & np.isin(cells, group)))
    ]
    controls = cells[is_negcon]
    scaled = _are_rescaled(cells[is_treated], owners[is_treated], controls)

    def score(of: tuple[tuple[str, NDArray[np.intp], NDArray[np.intp]], bool]) -> PositionSet:
        (position, members, pool), is_rescaled = of
        test = permutation_test(
            profiles[pool].astype(np.float64), cells[pool], np.isin(pool, members),
            seed=seed, max_draws=max_draws, is_rescaled=is_rescaled,
        )  # fmt: skip
        return PositionSet(position, members, int(families[members[0]]), is_rescaled, test)

    asked = [(pool, is_rescaled) for is_rescaled in sorted(set(scaled)) for pool in pools]
    sets = tuple(on_threads(score, asked, n_threads=None))
    return ScoredPositions(sets, families, cells, positions, controls, 2 * sum(scaled) > len(scaled))


def correct_by_position(
    scored: ScoredPositions,
    replicates: Sequence[NDArray[np.intp]],
    *,
    p_values: NDArray[np.float64],
    smallest_possible: NDArray[np.float64],
) -> PositionCorrection:
    """Return the p-values of treatments without what their positions give for nothing, each by its own plates.

    - `corrected`: replicates share positions, and so do controls on these plates. It is always done then.
    - `not_shared`: replicates lie on several plates, and of their pairs less than a quarter in one position, so that no
      place by itself makes them alike; p-values are as they came.
    - `not_testable`: replicates share a position, all lie on one plate or nobody knows where, and no control position
      is shared, or there is one well alone: what places do is not known, and p-values are as they came.

    Args:
        scored: The control positions.
        replicates: (T,), rows of each treatment's wells.
        p_values: (T,), NaN where not tested.
        smallest_possible: (T,), what the best conceivable treatment would get.
    """
    by_families: dict[tuple[int, ...], Inflation] = {}
    inflations: list[Inflation] = []
    verdicts: list[PositionVerdict] = []
    for rows in replicates:
        is_single = len(rows) < 2  # what control positions show is what makes replicates alike
        if is_single or scored.are_elsewhere(rows):
            inflations.append(Inflation())
            verdicts.append("not_testable" if is_single else "not_shared")
            continue
        key = (scored.are_rescaled(rows), *np.unique(scored.families[rows]).tolist())
        if key not in by_families:
            by_families[key] = scored.inflation(rows)
        inflations.append(by_families[key])
        verdicts.append("corrected" if by_families[key].n_sets else "not_testable")
    together = np.stack([p_values, smallest_possible], axis=1)
    corrected = np.array([one.corrected(both) for one, both in zip(inflations, together, strict=True)]).reshape(-1, 2)
    return PositionCorrection(corrected[:, 0], corrected[:, 1], tuple(verdicts))


def precisions_in_other_positions(pool: HitPool, positions: NDArray[np.str_]) -> list[OtherPositions]:
    """Return each hit's mean average precision over pairs of replicates in different positions.

    As copairs computes it with `pos_diffby` the well: a replicate's positives are the others in other positions, those
    in its own are neither positives nor negatives, its negatives are the controls of its plate. A replicate without
    such a positive, or without a control on its plate, is no query.

    Args:
        pool: The hits' wells and the negative controls of their plates.
        positions: (T, R), names of the replicates' wells; nothing is said of a hit of which one is `UNKNOWN`.
    """
    n_hits, n_replicates = positions.shape
    precisions = np.full((n_hits, n_replicates), np.nan)
    is_positive = positions[:, :, None] != positions[:, None, :]
    among = _cosines_among(pool.replicates)
    for query in np.flatnonzero(pool.has_controls):
        negatives = cosines(pool.replicates[:, query], pool.controls[pool.control_plates == pool.plates[query]])
        patterns, pattern_of = np.unique(is_positive[:, query], axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            if pattern.any():
                alike = np.flatnonzero(pattern_of.reshape(-1) == number)
                above = negatives_above(among[alike, query][:, pattern], negatives[alike])
                precisions[alike, query] = precisions_of_counts(above)
    is_known = (positions != UNKNOWN).all(axis=1)
    return [
        _other_positions(row[np.isfinite(row)]) if known else OtherPositions(None, None)
        for row, known in zip(precisions, is_known.tolist(), strict=True)
    ]


def _cosines_among(replicates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosines of each hit's replicates with one another, (T, R, R)."""
    units = unit_rows(replicates.reshape(-1, replicates.shape[2]))[0].reshape(replicates.shape)
    return np.asarray(units @ units.transpose(0, 2, 1))


def _other_positions(precisions: NDArray[np.float64]) -> OtherPositions:
    n_queries = len(precisions)
    return OtherPositions(n_queries, float(precisions.mean()) if n_queries else None)


def _pairs_within(names: NDArray[np.generic]) -> int:
    """Return how many pairs have the same name."""
    return sum(count * (count - 1) // 2 for count in Counter(names.tolist()).values())


def _numbered(names: NDArray[np.integer], strata: NDArray[np.integer] | None) -> NDArray[np.intp]:
    """Return (N,), a number for each plate or treatment, another one in each stratum."""
    keys = np.stack([names, np.zeros_like(names) if strata is None else strata])
    return np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1)


def _families(cells: NDArray[np.intp], owners: NDArray[np.intp], is_treated: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return (N,), one number for all plates that treatments connect, directly or over other plates."""
    n_cells, n_owners = int(cells.max(initial=-1)) + 1, int(owners.max(initial=-1)) + 1
    links = (np.ones(int(is_treated.sum())), (cells[is_treated], n_cells + owners[is_treated]))
    graph = coo_array(links, shape=(n_cells + n_owners, n_cells + n_owners))
    return np.asarray(connected_components(graph, directed=False)[1][cells], dtype=np.intp)


def _are_rescaled(cells: NDArray[np.intp], owners: NDArray[np.intp], controls: NDArray[np.intp]) -> list[bool]:
    """Return of each treatment of two wells or more whether it is tested on one scale with the controls beside it."""
    order = np.lexsort((cells, owners))
    ends = np.flatnonzero(np.diff(owners[order])) + 1
    counts = Counter(tuple(part.tolist()) for part in np.split(cells[order], ends) if len(part) > 1)
    return [needs_one_scale(layout_of(controls, np.array(plates))) for plates, n in counts.items() for _ in range(n)]


def _plate_groups(cells: NDArray[np.intp], owners: NDArray[np.intp]) -> list[tuple[int, ...]]:
    """Return groups of plates that treatments lie on, at least two each and no plate twice, the commonest first."""
    order = np.argsort(owners, kind="stable")
    ends = np.flatnonzero(np.diff(owners[order])) + 1
    counts = Counter(tuple(np.unique(part).tolist()) for part in np.split(cells[order], ends))
    chosen: list[tuple[int, ...]] = []
    taken: set[int] = set()
    for group in sorted(counts, key=lambda group: (-counts[group], -len(group), group)):
        if len(group) > 1 and not taken.intersection(group):
            chosen.append(group)
            taken.update(group)
    return chosen


def _pools(
    cells: NDArray[np.intp], positions: NDArray[np.str_], controls: NDArray[np.intp]
) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield each shared position of some plates' controls, its wells, and these with the other controls beside them.

    A plate with a single control has nothing to compare it with and takes no part.
    """
    has_others = np.isin(cells[controls], np.flatnonzero(np.bincount(cells[controls]) > 1))
    controls = controls[has_others]
    for position in np.unique(positions[controls][positions[controls] != UNKNOWN]):
        members = controls[positions[controls] == position]
        if len(members) > 1:
            yield str(position), members, controls[np.isin(cells[controls], cells[members])]
