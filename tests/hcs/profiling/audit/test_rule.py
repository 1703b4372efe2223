"""The declared rule: what it picks, and when it picks nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcs.profiling.audit.rule import FEWEST_PERTURBATIONS, LARGEST_P, Choice, Evidence, choose, paired
from hcs.statistics.batch_effect import BatchTest

RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.1, 0.6, 60)


def _choice(
    gains: dict[str, float | NDArray[np.float64]],
    *,
    confounded: bool = False,
    p: float | None = 0.01,
    least: float = 0.01,
) -> Choice:
    noise = {name: RNG.normal(0, 0.02, len(BASE)) for name in gains}
    retrieval = {"none": BASE, **{name: BASE + gain + noise[name] for name, gain in gains.items()}}
    return choose(Evidence(retrieval, is_confounded=confounded, batch_test=None if p is None else BatchTest(p, least)))


def test_the_best_is_taken_where_it_is_clearly_better() -> None:
    assert _choice({"combat": 0.0, "harmony": 0.1}).method == "harmony"


def test_of_methods_as_good_as_the_best_the_simplest_is_taken() -> None:
    assert _choice({"combat": 0.1, "sphering": 0.1, "harmony": 0.1005}).method == "combat"


def test_none_is_kept_where_nothing_is_clearly_better() -> None:
    wide = RNG.normal(0.01, 0.3, len(BASE))

    assert _choice({"combat": -0.05, "harmony": wide - wide.mean() + 0.01}).method == "none"


def test_confounded_batches_pick_none_whatever_the_figures_say() -> None:
    made = _choice({"harmony": 0.3}, confounded=True)

    assert made.method == "none"
    assert "confounded" in made.because


@pytest.mark.parametrize(
    ("p", "least", "method"),
    [
        (LARGEST_P, 0.01, "harmony"),
        (LARGEST_P + 0.01, 0.01, "none"),
        (1 / 15, 1 / 15, "harmony"),
        (2 / 15, 1 / 15, "none"),
        (1.0, 0.2, "harmony"),
        (None, 1.0, "harmony"),
    ],
)
def test_batches_that_differ_no_more_than_plates_are_left_alone(p: float | None, least: float, method: str) -> None:
    assert _choice({"harmony": 0.3}, p=p, least=least).method == method


def test_few_perturbations_decide_nothing() -> None:
    few = {"none": np.append(BASE[: FEWEST_PERTURBATIONS - 1], np.nan), "harmony": np.append(BASE[:9] + 0.3, np.nan)}

    assert choose(Evidence(few, is_confounded=False, batch_test=None)).method == "none"


@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_perturbations_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    figures = {name: rng.normal(0.3, 0.1, 30) for name in ("none", "combat", "harmony")}
    order = rng.permutation(30)

    one, other = (
        choose(Evidence(found, is_confounded=False, batch_test=None))
        for found in (figures, {name: values[order] for name, values in figures.items()})
    )

    assert one == other


def test_a_paired_error_is_that_of_the_differences() -> None:
    assert paired(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0])) == (1.0, 0.0)
    assert paired(np.array([1.0]), np.array([0.0])) == (0.0, 0.0)
