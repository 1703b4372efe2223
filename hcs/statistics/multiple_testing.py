"""Control of the false discovery rate over a family of tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def benjamini_hochberg(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the q-value of every test: the smallest false discovery rate at which it is called.

    Benjamini and Hochberg 1995, J R Stat Soc B 57:289, step-up with enforced monotonicity.

    Args:
        p_values: (N,) in (0, 1]; NaN for a test that was not made, which does not count towards the family.

    Returns:
        (N,) float64, NaN where the p-value is.

    Raises:
        ValueError: If a p-value lies outside [0, 1].
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    is_tested = ~np.isnan(p_values)
    tested = p_values[is_tested]
    if ((tested < 0) | (tested > 1)).any():
        raise ValueError("p-values lie between 0 and 1; at least one of these does not")
    order = np.argsort(tested, kind="stable")
    scaled = tested[order] * (tested.size / np.arange(1, tested.size + 1))
    in_order = np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(in_order, 1.0)
    q_values = np.full(p_values.shape, np.nan)
    q_values[is_tested] = adjusted
    return q_values


def combined_p_values(p_values: NDArray[np.float64], families: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return one p-value a family, (F,) in the order of their numbers: that of its smallest, by Sidak's rule.

    Sidak 1967, J Am Stat Assoc 62:626: 1 - (1 - min p)^k for k tests. It holds for independent tests, and for doses of
    a compound, which depend on each other positively through the controls that they share.

    Args:
        p_values: (N,) in (0, 1]; NaN for a test that was not made.
        families: (N,), any integers.

    Returns:
        (F,) float64, NaN for a family without a test.
    """
    names, members = np.unique(families, return_inverse=True)
    is_tested = ~np.isnan(p_values)
    smallest = np.full(len(names), np.inf)
    np.minimum.at(smallest, members[is_tested], p_values[is_tested])
    sizes = np.bincount(members[is_tested], minlength=len(names))
    return np.where(sizes > 0, sidak(np.minimum(smallest, 1.0), np.maximum(sizes, 1)), np.nan)


def sidak(p_values: NDArray[np.float64], n_tests: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the chance that the smallest of `n_tests` independent p-values is as small."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(n_tests * np.log1p(-p_values)))


def family_q_values(p_values: NDArray[np.float64], families: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the q-value of every test where tests come in families, such as the doses of a compound.

    Families are found first: Benjamini-Hochberg over the p-values of their smallest members (`combined_p_values`). In a
    family that is found, a member counts as found if Holm's procedure with Sidak's bounds finds it at the level at
    which the family was (Benjamini and Bogomolov 2014, J R Stat Soc B 76:297). The first member of a family is found
    exactly where the family is. With one test a family this is `benjamini_hochberg`.

    Args:
        p_values: (N,) in (0, 1]; NaN for a test that was not made.
        families: (N,), any integers.

    Returns:
        (N,) float64, NaN where the p-value is.
    """
    combined = combined_p_values(p_values, families)
    ranked = np.sort(combined[~np.isnan(combined)])
    # q of a family at each rank; a member with an adjusted p between two ranks needs the level of the next one up.
    n = len(ranked)
    adjusted = holm_sidak(p_values, families)
    is_tested = ~np.isnan(adjusted)
    n_found = np.searchsorted(ranked, adjusted[is_tested] * (1 + 1e-12), side="right")
    alone = adjusted[is_tested] * n / np.maximum(n_found, 1)
    later = np.minimum.accumulate((ranked * n / np.arange(1, n + 1))[::-1])[::-1]
    best_later = np.append(later, np.inf)[n_found]
    q_values = np.full(p_values.shape, np.nan)
    q_values[is_tested] = np.minimum(np.minimum(alone, best_later), 1.0)
    return q_values


def holm_sidak(p_values: NDArray[np.float64], families: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return p-values that hold for all tests of their family at once, (N,): Holm's procedure, Sidak's bounds."""
    adjusted = np.full(p_values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.lexsort((p_values[tested], families[tested]))]
    starts = np.flatnonzero(np.diff(families[order])) + 1
    adjusted[order] = p_values[order]
    for rows in np.split(order, starts) if len(starts) + 1 < len(order) else ():
        adjusted[rows] = np.maximum.accumulate(sidak(p_values[rows], np.arange(len(rows), 0, -1)))
    return adjusted
