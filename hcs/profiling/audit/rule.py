"""The rule by which the audit picks a correction: one function, its thresholds above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.batch_effect import BatchTest

BASELINE: Final = "none"
LARGEST_P: Final = 0.05
"""Of the test for a difference between batches beyond that between plates; above it, nothing is corrected."""
LARGEST_SMALLEST_P: Final = 0.07
"""Where the plates allow no p of a twentieth, the smallest possible one does if it is not above this: three batches of
two plates reach 1/15 at best."""
LEAST_GAIN: Final = 2.0
"""Standard errors of the paired difference over perturbations by which the best must be above `none`."""
AS_GOOD: Final = 1.0
"""Standard errors of the paired difference to the best within which a method is as good: the simplest of these is taken
(the one-standard-error rule of Breiman et al. 1984)."""
FEWEST_PERTURBATIONS: Final = 10
"""A standard error of fewer is not worth much."""


@dataclass(frozen=True)
class Evidence:
    """What the rule looks at."""

    retrieval: Mapping[str, NDArray[np.float64]]
    """Method -> (C,), mean average precision of the perturbations chosen on; methods from simple to intricate, `none`
    among them; NaN where a perturbation has no replicate in another batch."""
    is_confounded: bool
    """Whether batch and perturbation are."""
    batch_test: BatchTest | None
    """For a batch effect beyond that of plates; None where it was not made."""


@dataclass(frozen=True)
class Choice:
    """What was picked, and why, as the end of a sentence."""

    method: str
    because: str


def choose(evidence: Evidence) -> Choice:
    """Return the correction to take: `none` unless another is clearly better, and then the simplest that is as good.

    Nothing is picked where batch and perturbation are confounded, where there are fewer than 10 perturbations with
    replicates in two batches, or where batches differ no more than plates do.
    """
    told = {name: values[np.isfinite(values)] for name, values in evidence.retrieval.items()}
    base = told[BASELINE]
    if evidence.is_confounded:
        return Choice(BASELINE, "batch and perturbation are confounded, so nothing shows whether a correction is right")
    if len(base) < FEWEST_PERTURBATIONS:
        return Choice(BASELINE, f"only {len(base)} perturbations to choose on have replicates in two batches")
    test = evidence.batch_test
    if test is not None and is_testable(test) and test.p_value > max(LARGEST_P, test.smallest_possible_p):
        return Choice(BASELINE, f"batches differ no more than plates do (p = {test.p_value:.2g})")
    best = max(told, key=lambda name: float(told[name].mean()))
    gain, error = paired(told[best], base)
    if best == BASELINE or gain <= LEAST_GAIN * error:
        return Choice(BASELINE, f"no method is better by more than {LEAST_GAIN:g} standard errors")
    for name, values in told.items():
        behind, its_error = paired(told[best], values)
        if name != BASELINE and behind <= AS_GOOD * its_error:
            return Choice(name, f"it is the simplest within {AS_GOOD:g} standard error of the best, {best}")
    raise AssertionError("the best method is as good as itself")


def is_testable(test: BatchTest) -> bool:
    """Return whether the plates are enough for the test to say something."""
    return test.smallest_possible_p <= LARGEST_SMALLEST_P


def paired(left: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean difference of the same perturbations, and its standard error; (0, 0) of fewer than two."""
    difference = left - right
    if len(difference) < 2:
        return 0.0, 0.0
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))
