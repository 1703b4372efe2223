from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.leak import held_out_ratio, leak
from hcs.profiling.corrections.registry import CORRECTIONS, uncorrected


def screen(n: int = 320, d: int = 40) -> tuple[np.ndarray, Design]:
    rng = np.random.default_rng(0)
    is_negcon = np.arange(n) % 2 == 0
    batches = np.arange(n) // (n // 2)
    return rng.normal(size=(n, d)), Design(
        batches, batches, np.where(is_negcon, 0, 1), is_negcon, is_negcon & (np.arange(n) % 4 == 0)
    )


def test_the_ratio_is_of_root_mean_square_lengths():
    values, design = screen(8, 3)
    values[design.held_out], values[design.is_fitted] = 2.0, -0.5

    assert held_out_ratio(values, design) == pytest.approx(4.0)


def test_a_fit_on_controls_draws_them_nearer_and_one_on_all_wells_does_not():
    values, design = screen()

    names = ("none", "sphering", "tvn", "combat", "harmony")
    found = {name: leak(CORRECTIONS[name], values, design) for name in names}

    assert found["none"] == 1.0
    assert min(found["sphering"], found["tvn"]) > 1.02
    assert max(abs(found[name] - 1) for name in ("combat", "harmony")) < 0.03


def test_fitted_controls_at_the_origin_make_the_ratio_infinite():
    values, design = screen()
    values[design.is_fitted] = 0.0

    assert held_out_ratio(values, design) == math.inf
    assert held_out_ratio(np.zeros_like(values), design) == 1.0


def test_without_a_held_out_control_there_is_no_ratio():
    values, design = screen()

    with pytest.raises(InputRejectedError, match="160 and 0"):
        leak(uncorrected, values, dataclasses.replace(design, is_fitted=design.is_negcon))
