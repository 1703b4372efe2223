from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.errors import InputRejectedError
from hcs.statistics.control_charts import Rule, ewma, ssmd, westgard, z_prime

numbers = st.floats(-100, 100).map(lambda x: round(x, 3))
wells = st.lists(numbers, min_size=2, max_size=20).map(np.array)


@given(wells, wells)
def test_separations_are_those_of_the_formulas(positives: np.ndarray, negatives: np.ndarray) -> None:
    apart = statistics.mean(positives) - statistics.mean(negatives)
    s_p, s_n = statistics.stdev(positives), statistics.stdev(negatives)

    if abs(apart) > 1e-6 and s_p + s_n > 1e-6:
        assert z_prime(positives, negatives) == pytest.approx(1 - 3 * (s_p + s_n) / abs(apart), rel=1e-6, abs=1e-6)
        assert ssmd(positives, negatives) == pytest.approx(apart / math.sqrt(s_p**2 + s_n**2), rel=1e-6, abs=1e-6)


@given(wells, wells, st.floats(0.1, 10), numbers, st.booleans())
def test_separations_do_not_depend_on_the_unit_nor_on_where_zero_is(
    positives: np.ndarray, negatives: np.ndarray, scale: float, shift: float, is_robust: bool
) -> None:
    for of in (z_prime, ssmd):
        plain = of(positives, negatives, is_robust=is_robust)
        if math.isfinite(plain) and abs(plain) < 1e4:
            moved = of(scale * positives + shift, scale * negatives + shift, is_robust=is_robust)
            assert moved == pytest.approx(plain, rel=1e-4, abs=1e-4)


def test_a_known_assay() -> None:
    positives, negatives = np.array([10.0, 11.0, 9.0]), np.array([0.0, 1.0, -1.0])

    assert z_prime(positives, negatives) == pytest.approx(0.4)
    assert ssmd(positives, negatives) == pytest.approx(10 / math.sqrt(2))
    assert ssmd(negatives, positives) == pytest.approx(-10 / math.sqrt(2))
    outlier = np.array([0.0, 1.0, -1.0, 0.5, -0.5, 0.2, 500.0])
    assert z_prime(positives, outlier) < -5
    assert z_prime(positives, outlier, is_robust=True) > 0
    assert z_prime(positives, positives) == -math.inf
    assert ssmd(np.ones(3), np.zeros(3)) == math.inf
    assert ssmd(np.ones(3), np.ones(3)) == 0


@pytest.mark.parametrize("wrong", [np.array([1.0]), np.array([1.0, math.nan]), np.ones((2, 2))])
def test_too_few_wells_or_none_that_count_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(InputRejectedError, match="at least 2 finite"):
        z_prime(wrong, np.array([1.0, 2.0]))
    with pytest.raises(InputRejectedError, match="at least 2 finite"):
        ssmd(np.array([1.0, 2.0]), wrong, is_robust=True)


def broken(values: list[float], rule: Rule) -> list[int]:
    return np.flatnonzero(westgard(np.array(values), target=0.0, spread=1.0)[rule]).tolist()


@pytest.mark.parametrize(
    ("rule", "values", "at"),
    [
        (Rule.ONE_2S, [0, 2.1, -2.1, 2.0], [1, 2]),
        (Rule.ONE_3S, [0, 2.9, 3.1, -3.1, 3.0], [2, 3]),
        (Rule.TWO_2S, [2.1, 2.2, 0, 2.1, -2.1, -2.5, -2.6], [1, 5, 6]),
        (Rule.RANGE_4S, [2.1, -2.1, 0, -2.5, 1.9, 2.5, -2.2], [1, 6]),
        (Rule.FOUR_1S, [1.1] * 5 + [0] + [-1.1] * 4, [3, 4, 9]),
        (Rule.FOUR_1S, [1.1, 1.1, math.nan, 1.1, 1.1], []),
        (Rule.TEN_X, [0.1] * 9 + [-0.1] * 10, [18]),
        (Rule.TEN_X, [0.0] * 20, []),
        (Rule.RANGE_4S, [5.0], []),
        (Rule.ONE_3S, [], []),
    ],
)
def test_rules_are_broken_where_their_last_value_stands(rule: Rule, values: list[float], at: list[int]) -> None:
    assert broken(values, rule) == at


@given(st.lists(st.floats(-4, 4), max_size=40))
def test_rules_are_those_of_a_plain_reading(values: list[float]) -> None:
    found = westgard(np.array(values), target=0.0, spread=1.0)

    for rule, n, limit in ((Rule.TWO_2S, 2, 2), (Rule.FOUR_1S, 4, 1), (Rule.TEN_X, 10, 0)):
        plain = [
            t >= n - 1
            and (
                all(v > limit for v in values[t - n + 1 : t + 1]) or all(v < -limit for v in values[t - n + 1 : t + 1])
            )
            for t in range(len(values))
        ]
        assert found[rule].tolist() == plain
    assert all(len(at) == len(values) for at in found.values())
    mirrored = westgard(-np.array(values), target=0.0, spread=1.0)
    assert all((mirrored[rule] == found[rule]).all() for rule in Rule)


def test_a_moving_average_is_the_weighted_sum_of_all_values() -> None:
    values = np.array([1.0, 3.0, -2.0, 0.5])
    chart = ewma(values, target=1.0, spread=1.0, weight=0.3)

    for t in range(4):
        weights = [0.3 * 0.7 ** (t - i) for i in range(t + 1)]
        assert chart.values[t] == pytest.approx(np.dot(weights, values[: t + 1]) + 0.7 ** (t + 1))
    single = ewma(values, target=0.0, spread=1.0, weight=1.0, width=3.0)
    assert single.values.tolist() == values.tolist()
    assert single.high.tolist() == [3.0] * 4


def test_a_missing_value_changes_nothing() -> None:
    chart = ewma(np.array([2.0, math.nan, 2.0]), target=0.0, spread=1.0)
    plain = ewma(np.array([2.0, 2.0]), target=0.0, spread=1.0)

    assert chart.values.tolist() == [plain.values[0], plain.values[0], plain.values[1]]
    assert chart.high.tolist() == [plain.high[0], plain.high[0], plain.high[1]]


def test_false_alarms_are_as_rare_as_promised_and_a_drift_is_noticed() -> None:
    rng = np.random.default_rng(901)

    def first_alarm(drift: float) -> float:
        lengths = []
        for _ in range(400):
            out = ewma(rng.normal(drift, 1.0, 4000), target=0.0, spread=1.0).is_out
            lengths.append(int(out.argmax()) + 1 if out.any() else 4000)
        return float(np.mean(lengths))

    assert 430 < first_alarm(0.0) < 570  # 500, with a standard error of 25
    assert 8 < first_alarm(1.0) < 12


@pytest.mark.parametrize("wrong", [{"spread": 0.0}, {"spread": math.nan}, {"target": math.inf}])
def test_charts_without_a_target_or_a_spread_are_refused(wrong: dict[str, float]) -> None:
    said = {"target": 0.0, "spread": 1.0} | wrong
    with pytest.raises(InputRejectedError):
        westgard(np.zeros(3), **said)
    with pytest.raises(InputRejectedError):
        ewma(np.zeros(3), **said)
    with pytest.raises(InputRejectedError):
        ewma(np.zeros(3), target=0.0, spread=1.0, weight=0.0)
