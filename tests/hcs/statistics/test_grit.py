"""Grit, against its formula written out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.statistics.grit import grit


def of_its_formula(
    profiles: np.ndarray, perturbations: np.ndarray, groups: np.ndarray, is_control: np.ndarray, wanted: int
) -> float:
    """As cytominer-eval: correlations to the group in standard deviations of those to controls."""
    rows = np.flatnonzero(perturbations == wanted)
    correlation = np.corrcoef(profiles)
    to_controls = correlation[np.ix_(rows, np.flatnonzero(is_control))].ravel()
    others = np.flatnonzero((groups == groups[rows[0]]) & (perturbations != wanted) & ~is_control)
    to_group = correlation[np.ix_(rows, others)].ravel()
    return float(np.mean((to_group - to_controls.mean()) / to_controls.std())) if len(to_group) else float("nan")


def test_it_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 0, 0, 1, 1, 2, 3], 4)  # genes; the last are controls
    perturbations = np.repeat(np.arange(7), 4)  # guides
    profiles = rng.standard_normal((28, 15)) + rng.standard_normal((4, 15))[groups]
    is_control = groups == 3

    found = grit(profiles, perturbations=perturbations, groups=groups, is_control=is_control)

    for guide in range(6):
        expected = of_its_formula(profiles, perturbations, groups, is_control, guide)
        assert found[guide] == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert np.isnan(found[[5, 6]]).all()  # alone in its group, and a control


def test_a_constant_profile_has_none_and_spoils_no_other() -> None:
    rng = np.random.default_rng(1)
    profiles = rng.standard_normal((8, 6))
    names, is_control = np.arange(8), np.arange(8) >= 4
    groups = np.where(is_control, 1, 0)
    profiles[3] = 2.5
    without = grit(profiles[names != 3], perturbations=names[:7], groups=groups[:-1], is_control=is_control[1:])

    found = grit(profiles, perturbations=names, groups=groups, is_control=is_control)

    assert np.isnan(found[3])
    np.testing.assert_allclose(found[:3], without[:3])
