"""The sentences about what else could explain a hit."""

from __future__ import annotations

from typing import get_args

import pytest

from hcs.hits.count import CountVerdict
from hcs.hits.explain import say_count, say_inflation, say_other_positions, say_what_is_left
from hcs.hits.position import OtherPositions
from hcs.statistics.position_inflation import Inflation


@pytest.mark.parametrize("verdict", get_args(CountVerdict))
def test_every_verdict_on_the_count_has_a_sentence_of_its_own(verdict: CountVerdict) -> None:
    said = {other: say_count(other, cell_count_ratio=0.48) for other in get_args(CountVerdict)}

    assert len(set(said.values())) == len(said)
    assert "its wells hold 48 % of the controls' cells" in said[verdict]
    assert "its cells were not counted" in say_count(verdict, cell_count_ratio=None)


def test_what_positions_show_is_said_with_its_numbers() -> None:
    said = say_inflation(Inflation(mean=0.61, deviation=1.02, n_sets=64, n_below=11))

    assert said == (
        "11 of 64 positions that hold controls on several plates have p < .05 (17 %, where 5 % are expected); p-values "
        "are corrected by m = 0.61, s = 1.02"
    )


def test_it_is_said_whether_replicates_ever_change_their_position() -> None:
    assert say_other_positions(OtherPositions(4, 0.5), n_replicates=6) == (
        "over replicates in other positions its mean average precision is 0.50 (4 of 6 replicates have such a partner)"
    )
    assert "all its replicates lie in one position" in say_other_positions(OtherPositions(0, None), n_replicates=6)


def test_what_positions_leave_is_nothing_or_many_together_or_as_before() -> None:
    nothing, together = (say_what_is_left(p, q_max=0.05, n_tested=60) for p in (0.21, 0.0022))

    assert nothing is not None
    assert nothing.startswith("nothing can be called: the smallest p-value that the positions leave is 0.21")
    assert together is not None
    assert "one of 60 needs 0.00083; several that reach it can" in together
    assert say_what_is_left(0.0008, q_max=0.05, n_tested=60) is None
