"""All verdicts on one hit together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.batches import batch_supports
from hcs.hits.count import count_ratios, explained_by_count
from hcs.hits.explain import sentences_of_call
from hcs.hits.explain_hit import Explanation, ScaledProfiles, WellFacts, explain_hits
from hcs.hits.fluorescence import channels_of_effects
from hcs.hits.hit_pool import HitPool
from hcs.hits.treatments import ScreenWells, screen_wells
from tests.support.hit_pools import pool_of_one


@pytest.fixture
def screen(make_screen) -> ScreenWells:
    profiles, wells = make_screen({"hit": 3.0, "nothing": 0.0}, n_plates=4, n_replicates=2)
    counts = np.random.default_rng(1).poisson(100, wells.height)
    return screen_wells(profiles, wells.with_columns(cell_count=pl.Series(counts)))


def explained(screen: ScreenWells, **known) -> Explanation:
    ratios = count_ratios(screen.cell_counts, screen.plates, screen.is_negcon)
    hit = screen.treatments[0].wells
    return explain_hits(screen, ratios, [hit], facts=WellFacts(**known).of(screen), seed=0)[0]


def said_of(found: Explanation) -> tuple[str, ...]:
    """What is said of the hit from the columns of its call."""
    others = {"cell_count_ratio": found.cell_count_ratio, "n_replicates": found.n_replicates, "is_hit": True}
    place = {"position_verdict": "not_shared", "p_value": 0.001, "p_position": 0.001}
    return sentences_of_call({**found.columns, **others, **place, "n_batches": found.batches.n_batches})


def pool_of(screen: ScreenWells, hit: np.ndarray) -> HitPool:
    """Profiles and plates of a hit and its controls."""
    pool = np.sort(np.concatenate([hit, np.flatnonzero(screen.is_negcon)]))
    return pool_of_one(screen.profiles[pool], screen.plates[pool], np.isin(pool, hit))


def test_a_hit_has_a_verdict_and_a_sentence_on_each_question(screen: ScreenWells) -> None:
    hit = screen.treatments[0].wells
    in_table = np.empty_like(screen.profiles)
    in_table[screen.rows] = screen.profiles
    halves = {"DNA": list(range(6)), "ER": list(range(6, 12))}
    scaled = ScaledProfiles((in_table[:, :4], in_table[:, 4:]), halves)

    found = explained(screen, flags=np.zeros(len(screen.plates)), scaled=scaled)

    ratios = count_ratios(screen.cell_counts, screen.plates, screen.is_negcon)
    assert found.count == explained_by_count(screen, ratios, hit, seed=0)
    assert found.cell_count_ratio == np.median(ratios[hit])
    pool = pool_of(screen, hit)
    whole = channels_of_effects(pool, channels=halves, seed=0)[0]
    assert found.channels == whole
    assert found.channels.verdict == "several_channels"
    assert found.quality.verdict == "as_controls"
    assert found.other_positions.n_replicates == 8
    assert found.batches == batch_supports(pool, batches=screen.batches[np.sort(hit)], seed=0)[0]
    assert found.batches.verdict == "every_batch"
    assert len(set(said_of(found))) == 6


def test_what_was_not_measured_is_said_not_to_be_known(screen: ScreenWells) -> None:
    found = explained(screen)

    assert (found.channels.verdict, found.quality.verdict) == ("cannot_tell", "cannot_tell")
    said = said_of(found)
    assert "does not say" in said[2]
    assert "not judged" in said[4]


def test_a_hit_over_two_strata_is_refused(screen: ScreenWells) -> None:
    with pytest.raises(InputRejectedError, match="one stratum"):
        explained(screen, strata=np.arange(len(screen.plates)) % 2)


@pytest.mark.parametrize(
    "known",
    [
        {"flags": np.zeros(3)},
        {"flags": np.zeros(200), "strata": np.zeros(199, dtype=int)},
        {"scaled": ScaledProfiles((np.zeros((80, 2)), np.zeros((81, 2))), {"DNA": [0], "ER": [1]})},
    ],
)
def test_facts_about_other_wells_are_refused(screen: ScreenWells, known: dict) -> None:
    with pytest.raises(InputRejectedError, match="facts about the same wells"):
        explained(screen, **known)


def test_flags_are_those_of_the_wells_whatever_order_they_come_in(screen: ScreenWells) -> None:
    flags = np.zeros(len(screen.plates))
    flags[screen.rows[screen.treatments[0].wells]] = 1

    found = explained(screen, flags=flags)

    assert (found.quality.n_flagged, found.quality.n_wells) == (8, 8)
    assert found.columns["quality_verdict"] == "flagged_more"
    assert found.columns["flagged_share_of_controls"] == 0
