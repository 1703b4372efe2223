"""Bootstrap intervals cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.statistics.bootstrap import bootstrap_interval


def test_an_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap_interval(rng.exponential(size=60), rng, n_draws=300) for _ in range(300)]

    covered = np.mean([one.low is not None and one.high is not None and one.low <= 1 <= one.high for one in found])

    assert 0.90 <= covered <= 0.97


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(10.0)

    assert bootstrap_interval(values, np.random.default_rng(1)) == bootstrap_interval(values, np.random.default_rng(1))


def test_one_item_has_no_interval_and_none_is_refused() -> None:
    assert bootstrap_interval(np.array([2.0]), np.random.default_rng(0)).low is None
    with pytest.raises(InputRejectedError, match="at least one"):
        bootstrap_interval(np.array([]), np.random.default_rng(0))
    with pytest.raises(InputRejectedError, match="finite"):
        bootstrap_interval(np.array([1.0, np.nan]), np.random.default_rng(0))
