"""Conformal p-values."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hcs.statistics.conformal import conformal_p_values

numbers = st.lists(st.integers(-3, 3).map(float), max_size=12)


@given(scores=numbers, references=numbers)
def test_the_well_counts_among_those_that_score_as_high(scores: list[float], references: list[float]) -> None:
    expected = [(1 + sum(other >= score for other in references)) / (1 + len(references)) for score in scores]

    assert conformal_p_values(np.array(scores), np.array(references)).tolist() == expected
