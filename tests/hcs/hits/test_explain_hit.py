"""All verdicts on one hit together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.batches import batch_support
from hcs.hits.count import count_ratios, explained_by_count
from hcs.hits.explain_hit import WellFacts, explain_hit
from hcs.hits.treatments import ScreenWells, screen_wells


@pytest.fixture
def screen(make_screen) -> ScreenWells:
    profiles, wells = make_screen({"hit": 3.0, "nothing": 0.0}, n_plates=4, n_replicates=2)
    counts = np.random.default_rng(1).poisson(100, wells.height)
    return screen_wells(profiles, wells.with_columns(cell_count=pl.Series(counts)))


def facts_of(screen: ScreenWells, **known) -> WellFacts:
    positions = np.array([f"w{row}" for row in range(len(screen.plates))])
    ratios = count_ratios(screen.cell_counts, screen.plates, screen.is_negcon)
    return WellFacts(positions=positions, count_ratios=ratios, **known)


def test_a_hit_has_a_verdict_and_a_sentence_on_each_question(screen: ScreenWells) -> None:
    hit = screen.treatments[0].wells
    halves = {"DNA": range(6), "ER": range(6, 12)}
    facts = facts_of(
        screen,
        flags=np.zeros(len(screen.plates)),
        scaled=screen.profiles,
        channels={k: list(v) for k, v in halves.items()},
    )

    found = explain_hit(screen, hit, facts=facts, seed=0)

    assert found.count == explained_by_count(screen, facts.count_ratios, hit, seed=0)
    assert found.cell_count_ratio == np.median(facts.count_ratios[hit])
    assert found.channels.verdict == "several_channels"
    assert found.quality.verdict == "as_controls"
    assert found.other_positions.n_replicates == 8
    pool = np.sort(np.concatenate([hit, np.flatnonzero(screen.is_negcon)]))
    expected = batch_support(
        screen.profiles[pool], screen.plates[pool], np.isin(pool, hit), batches=screen.batches[pool], seed=0
    )
    assert found.batches == expected
    assert found.batches.verdict == "every_batch"
    assert len(set(found.sentences)) == 5


def test_what_was_not_measured_is_said_not_to_be_known(screen: ScreenWells) -> None:
    found = explain_hit(screen, screen.treatments[0].wells, facts=facts_of(screen), seed=0)

    assert (found.channels.verdict, found.quality.verdict) == ("cannot_tell", "cannot_tell")
    assert "does not say" in found.sentences[1]
    assert "not judged" in found.sentences[3]


def test_a_hit_over_two_strata_is_refused(screen: ScreenWells) -> None:
    with pytest.raises(InputRejectedError, match="one stratum"):
        explain_hit(screen, screen.treatments[0].wells, facts=facts_of(screen, strata=screen.plates % 2), seed=0)


@pytest.mark.parametrize("known", [{"flags": np.zeros(3)}, {"channels": {"DNA": [0]}}, {"scaled": np.zeros((80, 2))}])
def test_facts_about_other_wells_are_refused(screen: ScreenWells, known: dict) -> None:
    with pytest.raises(InputRejectedError, match="facts about the same wells"):
        facts_of(screen, **known)
