"""What a layout can find, against whole screens that are simulated and called."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.errors import InputRejectedError, UsageError
from hcs.hits.power import Screen, estimate_power, layouts_of, planned_layout
from hcs.statistics.designs import Layout
from hcs.statistics.multiple_testing import benjamini_hochberg
from hcs.statistics.permutation import permutation_test


def whole_screen(screen: Screen, *, n_replicates: int, n_controls: int, seed: int) -> tuple[int, int]:
    """Simulate all wells of a screen, where treatments share their controls, and count true and false calls."""
    rng = np.random.default_rng(seed)
    controls = rng.standard_normal((n_replicates, n_controls, screen.n_features))
    plates = np.repeat(np.arange(n_replicates), n_controls + 1)
    is_replicate = np.tile(np.arange(n_controls + 1) == 0, n_replicates)
    p_values = []
    for treatment in range(screen.n_treatments):
        direction = rng.standard_normal(screen.n_features)
        direction *= screen.effect * np.sqrt(screen.n_features) / np.linalg.norm(direction)
        wells = rng.standard_normal((n_replicates, 1, screen.n_features))
        wells += direction if treatment < screen.n_active else 0.0
        pool = np.concatenate([wells, controls], axis=1).reshape(len(plates), -1)
        p_values.append(permutation_test(pool, plates, is_replicate, seed=seed, max_draws=4_999).p_value)
    called = benjamini_hochberg(np.array(p_values)) <= screen.q_max
    return int(called[: screen.n_active].sum()), int(called[screen.n_active :].sum())


def test_the_estimate_is_what_whole_screens_give() -> None:
    screen = Screen(n_treatments=20, active_share=0.4, effect=0.85, n_features=16)
    counted = np.array([whole_screen(screen, n_replicates=3, n_controls=12, seed=seed) for seed in range(8)])
    recall = counted[:, 0].mean() / screen.n_active

    found = estimate_power(planned_layout(n_replicates=3, n_controls=12), screen, n_simulated=150)

    assert 0.2 < recall < 0.95  # a power where an estimate could be wrong
    # Eight screens of eight actives and 150 simulated ones: a standard error of about .07.
    assert found.recall == pytest.approx(recall, abs=0.2)
    assert found.expected_false / found.expected_discoveries <= 0.08
    assert found.expected_discoveries == pytest.approx(found.recall * screen.n_active + found.expected_false)


def test_more_controls_and_more_effect_find_more() -> None:
    weak, strong = (Screen(n_treatments=40, active_share=0.25, effect=effect, n_features=16) for effect in (0.4, 1.5))
    layout = planned_layout(n_replicates=3, n_controls=12)

    assert (
        estimate_power(layout, strong, n_simulated=30).recall
        > estimate_power(layout, weak, n_simulated=30).recall + 0.3
    )


def test_a_layout_that_cannot_reach_significance_says_so() -> None:
    screen = Screen(n_treatments=300, active_share=0.1, effect=3.0)
    hopeless = estimate_power(planned_layout(n_replicates=2, n_controls=3), screen, n_simulated=10)
    together = estimate_power(planned_layout(n_replicates=2, n_controls=16), screen, n_simulated=10)
    enough = Screen(n_treatments=10, active_share=0.1, effect=3.0)

    assert hopeless.smallest_possible_p == 1 / 16
    assert hopeless.expected_discoveries == 0
    assert "cannot call anything" in hopeless.verdict(screen)
    assert together.at_floor == 21  # 300 / (17 * 17 * .05)
    assert "21 treatments would have to reach it together" in together.verdict(screen)
    assert "can call a single treatment" in estimate_power(
        planned_layout(n_replicates=2, n_controls=16), enough, n_simulated=10
    ).verdict(enough)


def test_layouts_are_read_off_a_platemap() -> None:
    plates = ["A"] * 5 + ["B"] * 4 + ["C"] * 2
    names = ["DMSO", "DMSO", "x", "x", "y", "DMSO", "x", "y", "z", "x", "y"]
    is_control = np.array([name == "DMSO" for name in names])

    assert layouts_of(plates, names, is_control) == {
        Layout((2, 3), (1, 1)): 1,  # y on A and B
        Layout((2, 4), (1, 2)): 1,  # x, twice on A; its well on C has no control
    }
    with pytest.raises(InputRejectedError, match="the layout has none"):
        layouts_of(["A", "A"], ["DMSO", "x"], np.array([True, False]))


@pytest.mark.parametrize(
    "wrong", [{"n_treatments": 0}, {"active_share": 1.5}, {"effect": float("nan")}, {"n_features": 1}, {"q_max": 0.0}]
)
def test_plans_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        Screen(**{"n_treatments": 10, "active_share": 0.1, "effect": 1.0} | wrong)
    with pytest.raises(UsageError, match="at least 2 replicates and 1 control"):
        planned_layout(n_replicates=1, n_controls=16)
