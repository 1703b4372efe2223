"""Whether the wells of a hit were flagged more often than controls."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from hcs.hits.explain import say_quality
from hcs.hits.quality import WellQuality, quality_of_hits


def said_of(found: WellQuality) -> str | None:
    return say_quality(
        found.verdict,
        n_flagged=found.n_flagged,
        n_judged=found.n_wells,
        share_of_controls=found.share_of_controls,
    )


def judge(flags: list[float], plates: list[int], is_replicate: list[bool]) -> WellQuality:
    raised, where, own = np.array(flags, dtype=float), np.array(plates, dtype=int), np.array(is_replicate, dtype=bool)
    found = quality_of_hits(raised[own][None], where[own], control_flags=raised[~own], control_plates=where[~own])
    return found[0]


@settings(deadline=None)
@given(flags=st.lists(st.booleans(), min_size=5, max_size=20), n=st.integers(1, 4))
def test_on_one_plate_p_is_that_of_fishers_exact_test(flags: list[bool], n: int) -> None:
    own, controls = flags[:n], flags[n:]
    table = [[sum(own), n - sum(own)], [sum(controls), len(controls) - sum(controls)]]

    found = judge([float(flag) for flag in flags], [0] * len(flags), [i < n for i in range(len(flags))])

    assert found.p_value == pytest.approx(fisher_exact(table, alternative="greater").pvalue)
    assert (found.n_flagged, found.n_wells) == (sum(own), n)
    assert found.share_of_controls == pytest.approx(np.mean(controls))


def test_over_plates_p_is_the_share_of_all_deals_with_as_many_flags() -> None:
    flags = [[1, 0, 0, 0], [1, 1, 0, 1, 0]]
    drawn = [1, 2]
    deals = [
        sum(sum(plate[i] for i in chosen) for plate, chosen in zip(flags, deal, strict=True))
        for deal in product(*(combinations(range(len(plate)), n) for plate, n in zip(flags, drawn, strict=True)))
    ]

    found = judge(
        [*flags[0], *flags[1]], [0] * 4 + [1] * 5, [True, False, False, False, True, True, False, False, False]
    )

    assert found.n_flagged == 3
    assert found.p_value == pytest.approx(np.mean([count >= 3 for count in deals]))


def test_wells_flagged_beside_clean_controls_are_flagged_more() -> None:
    found = judge([1, 1, *[0] * 20], [0] * 22, [True, True, *[False] * 20])

    assert found.verdict == "flagged_more"
    assert said_of(found) == "2 of its 2 wells are flagged, and 0 % of the controls: look at its images first"


def test_half_of_few_wells_counts_though_no_test_could_tell() -> None:
    found = judge([1, 0, 0, 0, 0], [0] * 5, [True, True, False, False, False])

    assert found.p_value is not None
    assert found.p_value > 0.05
    assert found.verdict == "flagged_more"


def test_wells_of_a_plate_that_is_flagged_as_a_whole_are_as_its_controls() -> None:
    found = judge([1] * 10 + [0] * 10, [0] * 10 + [1] * 10, ([True] * 2 + [False] * 8) * 2)

    assert (found.verdict, found.n_flagged, found.share_of_controls) == ("as_controls", 2, 0.5)
    assert "no more than by chance" in said_of(found)


def test_unknown_quality_is_left_out_and_none_at_all_cannot_tell() -> None:
    nan = float("nan")
    some = judge([1, nan, 0, nan, 0], [0] * 5, [True, True, False, False, False])

    assert (some.n_flagged, some.n_wells) == (1, 1)
    for flags, plates in ([[nan] * 4, [0] * 4], [[1, 0, nan, nan], [0] * 4], [[1, 0, 0, 0], [0, 0, 1, 1]], [[], []]):
        found = judge(flags, plates, [True, True, False, False][: len(flags)])
        assert (found.verdict, found.p_value) == ("cannot_tell", None)
        assert "not judged" in said_of(found)
