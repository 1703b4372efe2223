"""All verdicts on one hit together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits import explain_hit
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


def test_each_hit_has_its_own_batches_also_where_a_plate_holds_several(make_screen) -> None:
    profiles, wells = make_screen({"x": 3.0, "y": 3.0}, n_plates=6, n_controls=10)
    place = pl.int_range(pl.len()).over("plate")
    plate = pl.col("plate").str.tail(1).cast(pl.Int64)
    halves = pl.when(pl.col("perturbation") == "DMSO").then(place % 2)
    mixed = wells.with_columns(
        batch=halves.when(pl.col("perturbation") == "x").then(0).otherwise(plate // 3).cast(pl.String)
    )
    found = {}
    for names in ({"x": "x", "y": "y"}, {"x": "z", "y": "y"}):
        made = screen_wells(profiles, mixed.with_columns(pl.col("perturbation").replace(names)))
        ratios = count_ratios(made.cell_counts, made.plates, made.is_negcon)
        hits = [treatment.wells for treatment in made.treatments]
        explained = explain_hits(made, ratios, hits, facts=WellFacts().of(made), seed=0)
        for treatment, one in zip(made.treatments, explained, strict=True):
            found[treatment.perturbation, names["x"]] = (one.batches.n_batches, one.batches.verdict)

    assert found["x", "x"] == found["z", "z"] == (1, "one_batch")
    assert found["y", "x"] == found["y", "z"] == (2, "every_batch")


def test_hits_are_cut_by_the_widest_of_their_profiles(screen: ScreenWells, monkeypatch: pytest.MonkeyPatch) -> None:
    hits = [treatment.wells for treatment in screen.treatments]
    ratios = count_ratios(screen.cell_counts, screen.plates, screen.is_negcon)
    wide = np.tile(screen.profiles[np.argsort(screen.rows)], (1, 5))
    scaled = ScaledProfiles((wide,), {"DNA": range(30), "ER": range(30, 60)})
    facts = WellFacts(flags=np.zeros(len(wide)), scaled=scaled).of(screen)
    whole = explain_hits(screen, ratios, hits, facts=facts, seed=0)
    assert [len(group.numbers) for group in explain_hit._groups(screen, hits, facts=facts)] == [2]

    monkeypatch.setattr(explain_hit, "_VALUES_AT_ONCE", 8 * 60)

    assert [len(group.numbers) for group in explain_hit._groups(screen, hits, facts=facts)] == [1, 1]
    assert explain_hits(screen, ratios, hits, facts=facts, seed=0) == whole
