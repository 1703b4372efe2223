"""The sentences about what else could explain a hit."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.hits.count import CountVerdict
from hcs.hits.explain import (
    doubts_of_call,
    say_count,
    say_inflation,
    say_other_positions,
    say_what_is_left,
    sentences_of_call,
)
from hcs.statistics.position_inflation import Inflation
from schemas.tables import (
    BATCH_VERDICTS,
    CHANNEL_VERDICTS,
    COUNT_VERDICTS,
    POSITION_VERDICTS,
    QUALITY_VERDICTS,
    TreatmentCalls,
)

VERDICTS = {
    "position_verdict": POSITION_VERDICTS,
    "explained_by_count": COUNT_VERDICTS,
    "channel_verdict": CHANNEL_VERDICTS,
    "batch_verdict": BATCH_VERDICTS,
    "quality_verdict": QUALITY_VERDICTS,
}
HIT: dict[str, Any] = {
    "is_hit": True, "n_replicates": 6, "n_batches": 3, "p_value": 0.0002, "p_position": 0.0131,
    "position_verdict": "corrected", "cell_count_ratio": 0.48, "explained_by_count": "not_explained",
    "n_other_positions": 4, "other_positions_precision": 0.5, "channel_verdict": "several_channels", "channel": "ER",
    "batch_verdict": "some_batches", "n_batches_testable": 2, "n_batches_holding": 1, "quality_verdict": "as_controls",
    "n_judged": 5, "n_flagged": 1, "flagged_share_of_controls": 0.125,
}  # fmt: skip
"""The columns of a hit that sentences are made of."""

UNTESTED = dict.fromkeys(
    ("position_verdict", "p_position", "explained_by_count", "n_other_positions", "other_positions_precision",
     "channel_verdict", "channel", "batch_verdict", "n_batches_testable", "n_batches_holding", "quality_verdict",
     "n_judged", "n_flagged", "flagged_share_of_controls")
)  # fmt: skip
"""As they are of a run of an earlier version."""


@pytest.mark.parametrize("verdict", get_args(CountVerdict))
def test_every_verdict_on_the_count_has_a_sentence_of_its_own(verdict: CountVerdict) -> None:
    said = {other: say_count(other, cell_count_ratio=0.48) for other in get_args(CountVerdict)}

    assert len(set(said.values())) == len(said)
    assert "its wells hold 48 % of the controls' cells" in str(said[verdict])
    assert "its cells were not counted" in str(say_count(verdict, cell_count_ratio=None))


def test_what_positions_show_is_said_with_its_numbers() -> None:
    said = say_inflation(Inflation(mean=0.61, deviation=1.02, n_sets=64, n_below=11))

    assert said == (
        "11 of 64 positions that hold controls on several plates have p < .05 (17 %, where 5 % are expected); p-values "
        "are corrected by m = 0.61, s = 1.02"
    )


def test_it_is_said_whether_replicates_ever_change_their_position() -> None:
    assert say_other_positions(4, mean_average_precision=0.5, n_replicates=6) == (
        "over replicates in other positions its mean average precision is 0.50 (4 of 6 replicates have such a partner)"
    )
    assert "all its replicates lie in one position" in str(
        say_other_positions(0, mean_average_precision=None, n_replicates=6)
    )


def left(smallest_p: float, *, of_layout: float = 0.0001, n_tested: int = 60, n_corrected: int = 60) -> str | None:
    return say_what_is_left(
        smallest_p, smallest_of_layout=of_layout, q_max=0.05, n_tested=n_tested, n_corrected=n_corrected
    )


def test_what_positions_leave_is_nothing_or_many_together_or_as_before() -> None:
    nothing, together = left(0.21), left(0.0022)

    assert nothing is not None
    assert nothing.startswith("no treatment can be called: the smallest p-value that the positions leave is 0.21")
    assert together is not None
    assert "one of 60 needs 0.00083; several that reach it can" in together
    assert left(0.0008) is None


def test_what_positions_leave_is_said_of_those_alone_that_share_them() -> None:
    nothing, together = (left(p, n_tested=20, n_corrected=2) for p in (0.21, 0.01))

    assert nothing is not None
    assert nothing.startswith("none of the 2 of 20 perturbations whose wells share positions can be called: ")
    assert together is not None
    assert "one of 20 needs 0.0025" in together


def test_positions_are_not_blamed_for_what_the_layout_does_not_allow() -> None:
    said = left(0.12, of_layout=1 / 9, n_tested=2, n_corrected=2)

    assert said is not None
    assert said.startswith("no treatment can be called: the smallest p-value that the layout allows is 0.11, where at")
    assert "position" not in said


def test_the_columns_of_a_hit_are_said_a_question_after_the_other_with_their_numbers() -> None:
    assert sentences_of_call(HIT) == (
        "its p-value is 0.013 without what the places of wells give for nothing, and 0.0002 with it; q is of the first",
        "not explained by the number of cells: its wells hold 48 % of the controls' cells, and it looks different from "
        "wells with as many",
        "it shows in more channels than ER: not what a glowing compound does",
        "it holds in 1 of 2 batches by themselves; 1 more have too few wells to tell",
        "1 of its 5 wells are flagged, and 12 % of the controls: no more than by chance",
        "over replicates in other positions its mean average precision is 0.50 (4 of 6 replicates have such a partner)",
    )
    assert set(HIT) <= set(TreatmentCalls.column_names())
    unmoved = sentences_of_call({**HIT, "p_position": HIT["p_value"]})
    assert unmoved[0] == "the places of its wells explain nothing of it: its p-value stays 0.0002"
    assert unmoved[1:] == sentences_of_call(HIT)[1:]


@pytest.mark.parametrize(("column", "verdicts"), VERDICTS.items())
def test_every_verdict_of_a_column_changes_one_sentence_and_each_is_another(
    column: str, verdicts: tuple[str, ...]
) -> None:
    said = [sentences_of_call({**HIT, column: verdict}) for verdict in verdicts]

    places = {place for one in said for place, pair in enumerate(zip(one, said[0], strict=True)) if len(set(pair)) > 1}
    (place,) = places
    assert len({one[place] for one in said}) == len(verdicts)


def test_what_was_not_tested_of_a_hit_is_said_and_of_another_call_it_is_not() -> None:
    old = {**HIT, **UNTESTED}

    assert sentences_of_call(old) == (
        "not tested: the places of its wells, the number of cells, channels, batches, quality flags, replicates in "
        "other positions",
    )
    assert sentences_of_call({**old, "is_hit": False}) == ()
    inactive = {**old, "is_hit": False, "position_verdict": "corrected", "p_position": 0.3}
    assert [sentence[:19] for sentence in sentences_of_call(inactive)] == ["its p-value is 0.3 "]
    assert sentences_of_call({**inactive, "p_value": None, "p_position": None}) == ()
    assert sentences_of_call({**HIT, **{**UNTESTED, "explained_by_count": "explained"}})[-1].startswith(
        "not tested: the places of its wells, channels, batches"
    )


def test_a_channel_that_shows_the_most_is_named_though_others_cannot_be_told() -> None:
    told, nothing = (
        sentences_of_call({**HIT, "channel_verdict": "cannot_tell", "channel": channel})[2] for channel in ("ER", None)
    )

    assert "ER" in told
    assert "the profile does not say what is of which, or the effect is too weak" in nothing


calls = st.fixed_dictionaries(
    {
        **{column: st.sampled_from([*verdicts, None]) for column, verdicts in VERDICTS.items()},
        "is_hit": st.booleans(),
        "channel": st.sampled_from(["DNA", None]),
        "cell_count_ratio": st.none() | st.floats(0, 3),
        "p_value": st.none() | st.floats(1e-6, 1),
        "p_position": st.none() | st.floats(1e-6, 1),
        "n_other_positions": st.none() | st.integers(0, 4),
        "other_positions_precision": st.none() | st.floats(0, 1),
        "n_batches_testable": st.none() | st.integers(0, 3),
        "n_batches_holding": st.none() | st.integers(0, 3),
        "n_judged": st.none() | st.integers(0, 4),
        "n_flagged": st.none() | st.integers(0, 4),
        "flagged_share_of_controls": st.none() | st.floats(0, 1),
        "n_replicates": st.integers(0, 4),
        "n_batches": st.integers(0, 3),
    }
)


@given(call=calls)
def test_whatever_is_null_the_sentences_hold_no_trace_of_it(call: dict[str, Any]) -> None:
    said = sentences_of_call(
        {**call, "channel": "DNA" if call["channel_verdict"] != "cannot_tell" else call["channel"]}
    )

    assert not any("None" in sentence or "nan" in sentence for sentence in said)
    assert len(said) <= 7


@pytest.mark.parametrize(
    ("changes", "doubts"),
    [
        ({}, ()),
        (UNTESTED, ()),
        ({"explained_by_count": "explained"}, ("cell count",)),
        ({"explained_by_count": "cannot_tell"}, ("maybe cell count",)),
        ({"channel_verdict": "one_channel"}, ("ER alone",)),
        ({"channel_verdict": "cannot_tell", "batch_verdict": "cannot_tell", "quality_verdict": "cannot_tell"}, ()),
        ({"batch_verdict": "no_batch", "quality_verdict": "flagged_more"}, ("no batch by itself", "flagged images")),
        ({"batch_verdict": "one_batch"}, ()),
    ],
)
def test_what_speaks_against_a_hit_is_said_in_a_word_or_two(changes: dict[str, Any], doubts: tuple[str, ...]) -> None:
    assert doubts_of_call({**HIT, **changes}) == doubts
