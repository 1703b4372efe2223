from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from hcs.lab.separate import separate_controls
from hcs.pipeline.stored import read_profile


def test_a_runs_controls_are_told_apart_by_every_profile(small_run: Any) -> None:
    single, pairs = separate_controls(small_run.catalog, small_run.run)

    names = ["combined", "mobilenetv3_small_050.untrained", "named"]
    assert single["profile"].to_list() == names
    assert single.select("n_positive", "n_negative").unique().rows() == [(8, 20)]
    assert (single["low"] <= single["high"]).all()
    assert single.filter(pl.col("profile") == "named")["d_prime"].item() > 1, "these controls are strong"
    assert {(row["profile"], row["minus"]) for row in pairs.to_dicts()} == {
        (a, b) for a in names for b in names if a != b
    }


def test_figures_are_those_of_a_loop_over_the_profiles_that_were_published(small_run: Any) -> None:
    single, pairs = separate_controls(small_run.catalog, small_run.run)

    for row in single.to_dicts():
        wells, profiles = read_profile(small_run.catalog, small_run.run, row["profile"])
        kinds = np.array([str(kind) for kind in wells["control_type"]])
        positive, negative = profiles[kinds == "poscon"], profiles[kinds == "negcon"]
        assert row["d_prime"] == pytest.approx(naive(positive, negative)), row["profile"]
    values = dict(single.select("profile", "d_prime").iter_rows())
    for row in pairs.to_dicts():
        assert row["difference"] == pytest.approx(values[row["profile"]] - values[row["minus"]])


def naive(positive: np.ndarray, negative: np.ndarray) -> float:
    """Leave out one well of each group after the other, in plain numpy."""
    shape = (len(positive), len(negative))
    of_positive, of_negative = np.empty(shape), np.empty(shape)
    for row, column in np.ndindex(shape):
        start = np.delete(negative, column, axis=0).mean(axis=0)
        direction = np.delete(positive, row, axis=0).mean(axis=0) - start
        of_positive[row, column] = (positive[row] - start) @ direction / (direction @ direction)
        of_negative[row, column] = (negative[column] - start) @ direction / (direction @ direction)
    above, below = of_positive.mean(axis=1), of_negative.mean(axis=0)
    return float((above.mean() - below.mean()) / np.sqrt((above.var(ddof=1) + below.var(ddof=1)) / 2))


def test_a_seed_decides_the_intervals_and_nothing_else(small_run: Any) -> None:
    first, again, other = (separate_controls(small_run.catalog, small_run.run, seed=seed)[0] for seed in (0, 0, 1))

    assert first.equals(again)
    assert first["d_prime"].equals(other["d_prime"])
    assert not first["low"].equals(other["low"])
