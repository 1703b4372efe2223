"""What the wells of one treatment say, before other treatments are looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.hits.effect import deviation
from hcs.hits.treatments import ScreenWells, Treatment
from hcs.statistics.average_precision import average_precisions
from hcs.statistics.permutation import DesignTest, permutation_test
from hcs.statistics.similarity import unit_rows


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

    @property
    def is_callable(self) -> bool:
        """Whether there are two replicates to agree with each other."""
        return self.test is not None


def gather_evidence(screen: ScreenWells, treatment: Treatment, *, seed: int) -> Evidence:
    """Return what the wells of a treatment say.

    A replicate on a plate without a negative control has nothing to be compared with and is left out; `reason` tells of
    it. Fewer than two others cannot agree: there is no precision and no p-value, and `reason` says which it was.
    """
    with_controls = np.unique(screen.plates[screen.is_negcon])
    replicates = treatment.wells[np.isin(screen.plates[treatment.wells], with_controls)]
    controls = screen.negcons_of(screen.plates[replicates])
    # Rows stand in an order of their content; sorting keeps sums independent of names and of the order of a table.
    pool = np.sort(np.concatenate([replicates, controls]))
    profiles, plates, is_replicate = screen.profiles[pool], screen.plates[pool], np.isin(pool, replicates)
    is_callable = len(replicates) >= 2
    return Evidence(
        treatment=treatment,
        replicates=replicates,
        n_plates=len(np.unique(screen.plates[replicates])),
        n_batches=len(np.unique(screen.batches[replicates])),
        n_controls=len(controls),
        reason=_reason(n_used=len(replicates), n_left_out=len(treatment.wells) - len(replicates)),
        mean_average_precision=plain_mean_average_precision(profiles, plates, is_replicate) if is_callable else None,
        test=permutation_test(profiles, plates, is_replicate, seed=seed) if is_callable else None,
        effect=_none_if_nan(deviation(profiles, plates, is_replicate).effect) if len(replicates) else None,
    )


def plain_mean_average_precision(
    profiles: NDArray[np.float64], plates: NDArray[np.integer], is_replicate: NDArray[np.bool_]
) -> float:
    """Return the mean average precision of the replicates, as copairs computes it.

    Every replicate is a query, all other replicates on any plate are its positives, the controls of its own plate its
    negatives; similarity is the cosine of the profiles as they are.

    Args:
        profiles: (P, D), at least two replicates, and on every replicate's plate a control.
        plates: (P,).
        is_replicate: (P,).
    """
    units, _ = unit_rows(profiles)
    queries = np.flatnonzero(is_replicate)
    is_positive = is_replicate[None, :] & (queries[:, None] != np.arange(len(plates))[None, :])
    is_negative = ~is_replicate[None, :] & (plates[queries][:, None] == plates[None, :])
    similarities = np.clip(units[queries] @ units.T, -1.0, 1.0)
    return float(average_precisions(similarities, is_positive, is_negative).mean())


def _reason(*, n_used: int, n_left_out: int) -> str | None:
    left_out = f"{n_left_out} on plates without a negative control"
    if n_used >= 2:
        return f"left out: {left_out}" if n_left_out else None
    if n_used == 1:
        return "one replicate: no other to agree with" + (f"; left out: {left_out}" if n_left_out else "")
    return f"no negative control on the plates of its {n_left_out} replicates: nothing to compare with"


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else value
