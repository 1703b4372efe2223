"""Control positions as pseudo-compounds: which there are, what they show, and what is left of p-values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hcs.hits.activity import evaluate
from hcs.hits.explain import say_inflation, say_what_is_left
from hcs.hits.position import (
    OtherPositions,
    ScoredPositions,
    correct_by_position,
    precisions_in_other_positions,
    score_positions,
)
from hcs.hits.treatments import screen_wells
from hcs.statistics.permutation import permutation_test
from tests.support.hit_pools import pool_of_one

N_FEATURES = 24


class Layout:
    """Wells of plates with one layout: controls first, then treatments 0, 1, ... once a plate."""

    def __init__(self, *, n_plates: int, n_controls: int, n_treatments: int, place: float = 0.0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        n = n_controls + n_treatments
        self.plates = np.repeat(np.arange(n_plates), n)
        self.positions = np.tile(np.array([f"w{well:02d}" for well in range(n)]), n_plates)
        self.treatments = np.tile(np.concatenate([np.full(n_controls, -1), np.arange(n_treatments)]), n_plates)
        self.is_negcon = self.treatments < 0
        places = place * rng.standard_normal((n, N_FEATURES))
        self.profiles = rng.standard_normal((n * n_plates, N_FEATURES)) + np.tile(places, (n_plates, 1))

    def score(self, rows: np.ndarray | None = None, *, max_draws: int = 999, **changes: np.ndarray) -> ScoredPositions:
        own = {name: getattr(self, name) for name in ("profiles", "plates", "positions", "is_negcon", "treatments")}
        values = {**own, **changes}
        if rows is not None:
            values = {name: array[rows] for name, array in values.items()}
        profiles, plates, positions = (values.pop(name) for name in ("profiles", "plates", "positions"))
        return score_positions(profiles, plates, positions, seed=0, max_draws=max_draws, **values)

    def p_values(self) -> np.ndarray:
        return np.array(
            [
                permutation_test(
                    self.profiles[pool], self.plates[pool], ~self.is_negcon[pool], seed=0, max_draws=999
                ).p_value
                for treatment in range(self.treatments.max() + 1)
                for pool in [self.is_negcon | (self.treatments == treatment)]
            ]
        )


def in_other_positions(
    profiles: np.ndarray, plates: np.ndarray, positions: np.ndarray, is_replicate: np.ndarray
) -> OtherPositions:
    pool = pool_of_one(profiles, plates, is_replicate)
    return precisions_in_other_positions(pool, positions[is_replicate][None])[0]


def summary(found: ScoredPositions) -> dict[str, tuple[int, float]]:
    return {item.position: (len(item.rows), item.test.p_value) for item in found.sets}


def test_a_position_set_is_tested_as_a_treatment_of_its_wells_would_be() -> None:
    screen = Layout(n_plates=3, n_controls=6, n_treatments=2)

    found = screen.score()

    assert [item.position for item in found.sets] == [f"w{well:02d}" for well in range(6)]
    for item in found.sets:
        controls = np.flatnonzero(screen.is_negcon)
        is_own = screen.positions[controls] == item.position
        expected = permutation_test(screen.profiles[controls], screen.plates[controls], is_own, seed=0, max_draws=999)
        assert item.test == expected
        assert set(item.rows) == set(controls[is_own])


def test_rows_and_names_of_plates_and_positions_change_nothing() -> None:
    screen = Layout(n_plates=3, n_controls=6, n_treatments=2, place=0.4)
    order = np.random.default_rng(1).permutation(len(screen.plates))

    renamed = screen.score(
        order, plates=7 - screen.plates, treatments=np.where(screen.is_negcon, -1, 9 - screen.treatments)
    )

    assert summary(renamed) == summary(screen.score())
    assert renamed.inflation() == screen.score().inflation()


def test_plates_that_share_no_treatment_have_no_say() -> None:
    screen = Layout(n_plates=2, n_controls=6, n_treatments=2, place=0.4)
    other = Layout(n_plates=2, n_controls=6, n_treatments=2, place=2.0, seed=1)
    both = score_positions(
        np.concatenate([screen.profiles, other.profiles]),
        np.concatenate([screen.plates, 2 + other.plates]),
        np.concatenate([screen.positions, other.positions]),
        is_negcon=np.concatenate([screen.is_negcon, other.is_negcon]),
        treatments=np.concatenate([screen.treatments, np.where(other.is_negcon, -1, 2 + other.treatments)]),
        seed=0,
        max_draws=999,
    )

    wells = np.flatnonzero(screen.treatments == 0)
    assert both.inflation(wells) == screen.score().inflation()
    assert both.inflation().n_sets == 12


def test_each_treatment_is_corrected_by_its_own_plates_and_so_is_what_it_could_reach() -> None:
    screen = Layout(n_plates=4, n_controls=10, n_treatments=3, place=0.5)
    # Treatment 0 lies on the first two plates, 1 on the last two, 2 is a positive control on all of them.
    lies = np.array([screen.plates < 2, screen.plates >= 2, screen.plates >= 0])
    kept = screen.is_negcon | lies[screen.treatments, np.arange(len(screen.plates))]
    scored = screen.score(np.flatnonzero(kept), treatments=np.where(screen.treatments == 2, -1, screen.treatments))
    wells = [np.flatnonzero(screen.treatments[kept] == treatment) for treatment in range(3)]
    p, smallest = np.array([0.01, 0.02, np.nan]), np.full(3, 1e-4)

    found = correct_by_position(scored, wells, p_values=p, smallest_possible=smallest)

    inflations = [scored.inflation(rows) for rows in wells]
    assert [one.n_sets for one in inflations] == [10, 10, 20]
    assert inflations[0] != inflations[1]
    for row, inflation in enumerate(inflations):
        np.testing.assert_array_equal(found.p_position[row], inflation.corrected(p)[row])
        assert found.smallest_possible_p[row] == inflation.corrected(smallest)[row] > 1e-4
    assert np.isnan(found.p_position[2])
    assert found.verdicts == ("corrected",) * 3


def test_strata_are_never_in_one_set_or_pool() -> None:
    screen = Layout(n_plates=4, n_controls=6, n_treatments=2)
    strata = screen.plates // 2

    found = screen.score(strata=strata)

    assert len(found.sets) == 12
    for item in found.sets:
        assert len(set(strata[item.rows])) == 1
    alone = screen.score(np.flatnonzero(strata == 1))
    assert sorted(item.test.p_value for item in found.sets if strata[item.rows[0]] == 1) == sorted(
        item.test.p_value for item in alone.sets
    )


def test_a_control_well_is_in_one_set_at_most_where_treatments_lie_on_odd_plates() -> None:
    screen = Layout(n_plates=5, n_controls=6, n_treatments=4)
    # Treatments 0 to 2 miss the last plate, treatment 3 lies on the last two.
    is_missing = ((screen.treatments >= 0) & (screen.treatments < 3) & (screen.plates == 4)) | (
        (screen.treatments == 3) & (screen.plates < 3)
    )

    found = screen.score(np.flatnonzero(~is_missing))

    rows = np.concatenate([item.rows for item in found.sets])
    assert len(np.unique(rows)) == len(rows)
    assert {len(item.rows) for item in found.sets} == {4}


def test_a_treatment_whose_wells_were_dealt_over_positions_keeps_its_p_value_though_two_meet_by_chance() -> None:
    screen = Layout(n_plates=10, n_controls=8, n_treatments=1, place=0.5)
    own = np.array([f"{name}-{plate}" for name, plate in zip(screen.positions, screen.plates, strict=True)])
    met = {}
    for n_together in (2, 5, 6):
        # 1, 10 and 15 of the 45 pairs.
        is_alone = (screen.treatments == 0) & (screen.plates >= n_together)
        scored = screen.score(positions=np.where(is_alone, own, screen.positions))
        met[n_together] = scored.are_elsewhere(np.flatnonzero(screen.treatments == 0))

    assert met == {2: True, 5: True, 6: False}
    assert not scored.are_elsewhere(np.flatnonzero((screen.treatments == 0) & (screen.plates == 0)))


def test_a_treatment_with_two_wells_in_one_position_is_corrected_and_one_with_none_is_not() -> None:
    screen = Layout(n_plates=3, n_controls=10, n_treatments=3, place=0.5)
    own = np.array([f"{name}-{plate}" for name, plate in zip(screen.positions, screen.plates, strict=True)])
    # Treatment 0 shares its position on all plates, 1 on two of three, 2 on none.
    is_alone = (screen.treatments == 2) | ((screen.treatments == 1) & (screen.plates == 2))
    scored = screen.score(positions=np.where(is_alone, own, screen.positions))
    wells = [np.flatnonzero(screen.treatments == treatment) for treatment in range(3)]
    p = np.full(3, 0.01)

    found = correct_by_position(scored, wells, p_values=p, smallest_possible=p / 2)

    assert found.verdicts == ("corrected", "corrected", "not_shared")
    assert found.p_position[0] == found.p_position[1] > 0.01
    assert (found.p_position[2], found.smallest_possible_p[2]) == (0.01, 0.005)


@pytest.mark.parametrize("why", ["one plate", "other positions", "no treatment", "single controls", "no well"])
def test_without_shared_control_positions_position_is_not_testable(why: str) -> None:
    screen = Layout(
        n_plates=1 if why == "one plate" else 2, n_controls=1 if why == "single controls" else 4, n_treatments=2
    )
    found = {
        "one plate": screen.score,
        "single controls": screen.score,
        "other positions": lambda: screen.score(positions=np.array([f"p{i}" for i in range(len(screen.plates))])),
        "no treatment": lambda: screen.score(treatments=np.full(len(screen.plates), -1)),
        "no well": lambda: screen.score(np.empty(0, dtype=np.intp)),
    }[why]()

    assert found.sets == ()
    p = np.array([0.01, 0.5])
    wells = [np.flatnonzero(screen.treatments == treatment) for treatment in (0, 1)]
    left = correct_by_position(
        found, wells if len(found.families) else [wells[0][:0]] * 2, p_values=p, smallest_possible=p / 2
    )
    np.testing.assert_array_equal(left.p_position, p)
    np.testing.assert_array_equal(left.smallest_possible_p, p / 2)
    verdict = "not_shared" if why == "other positions" else "not_testable"
    assert left.verdicts == (verdict, verdict)
    assert say_inflation(found.inflation()).startswith("position not testable")


def test_a_plate_whose_controls_are_elsewhere_is_left_out_of_a_set() -> None:
    screen = Layout(n_plates=3, n_controls=4, n_treatments=1)
    moved = (screen.plates == 2) & (screen.positions == "w00")

    found = screen.score(positions=np.where(moved, "w99", screen.positions))

    assert {item.position: len(item.rows) for item in found.sets} == {"w00": 2, "w01": 3, "w02": 3, "w03": 3}


def test_a_weak_effect_of_places_is_taken_out_and_a_strong_one_lets_nothing_be_called() -> None:
    raw, corrected = [], []
    for seed in range(5):
        screen = Layout(n_plates=4, n_controls=16, n_treatments=20, place=0.3, seed=seed)
        p = screen.p_values()
        raw.append((p < 0.05).mean())
        corrected.append((screen.score().inflation().corrected(p) < 0.05).mean())
    strong = Layout(n_plates=4, n_controls=16, n_treatments=1, place=1.0).score().inflation()

    assert np.mean(raw) > 0.15
    assert np.mean(corrected) <= 0.09
    smallest = float(strong.corrected(np.array([0.001]))[0])
    assert smallest > 0.1
    said = say_what_is_left(smallest, smallest_of_layout=0.001, q_max=0.05, n_tested=1, n_corrected=1)
    assert said is not None
    assert said.startswith("no treatment can be called")


def test_precision_in_other_positions_is_that_of_copairs_with_pos_diffby() -> None:
    pd = pytest.importorskip("pandas")
    copairs = pytest.importorskip("copairs.map")
    rng = np.random.default_rng(3)
    plates = np.repeat(np.arange(3), 7)
    is_replicate = np.tile(np.arange(7) < 2, 3)
    # Two replicates a plate: one always in `a`, the other in `b`, `c`, `b`.
    positions = np.tile(np.array(["a", "b", "c1", "c2", "c3", "c4", "c5"]), 3)
    positions[8] = "c"
    profiles = rng.standard_normal((21, 6)) + 0.8 * is_replicate[:, None]

    meta = pd.DataFrame(
        {"plate": plates, "well": positions, "role": np.where(is_replicate, "x", "DMSO"), "is_control": ~is_replicate}
    )
    theirs = copairs.average_precision(
        meta, profiles.astype(np.float32), pos_sameby=["role"], pos_diffby=["well"], neg_sameby=["plate"],
        neg_diffby=["is_control"], progress_bar=False,
    )  # fmt: skip
    found = in_other_positions(profiles, plates, positions, is_replicate)

    expected = theirs["average_precision"].to_numpy()[is_replicate]
    assert found.n_replicates == 6
    assert found.mean_average_precision == pytest.approx(expected.mean(), abs=1e-6)


def test_replicates_of_one_position_have_no_score_in_others() -> None:
    screen = Layout(n_plates=3, n_controls=4, n_treatments=1)

    found = in_other_positions(screen.profiles, screen.plates, screen.positions, ~screen.is_negcon)

    assert (found.n_replicates, found.mean_average_precision) == (0, None)


def test_a_replicate_alone_in_its_position_is_the_partner_of_all_others() -> None:
    screen = Layout(n_plates=3, n_controls=4, n_treatments=1)
    positions = np.where((screen.plates == 2) & ~screen.is_negcon, "w77", screen.positions)
    far = screen.profiles + 30.0 * ~screen.is_negcon[:, None]

    found = in_other_positions(far, screen.plates, positions, ~screen.is_negcon)

    assert (found.n_replicates, found.mean_average_precision) == (3, 1.0)


def test_hits_that_share_other_positions_are_scored_as_each_by_itself() -> None:
    rng = np.random.default_rng(4)
    plates, is_replicate = np.tile(np.arange(3), 9), np.arange(27) < 6
    profiles = rng.standard_normal((27, 5))
    pool = pool_of_one(profiles, plates, is_replicate)
    hits = np.stack([pool.replicates[0] + shift for shift in (0.0, 0.5, 1.0, 9.0)])
    positions = np.array([list("abcdef"), list("aabbcc"), list("abcdef"), list("aaaaaa")])

    found = precisions_in_other_positions(replace(pool, replicates=hits), positions)

    apart = [
        precisions_in_other_positions(replace(pool, replicates=hit[None]), where[None])[0]
        for hit, where in zip(hits, positions, strict=True)
    ]
    assert [one.n_replicates for one in found] == [6, 6, 6, 0]
    assert found == apart
    assert len({one.mean_average_precision for one in found}) == 4


def test_a_replicate_on_a_plate_without_controls_is_no_query() -> None:
    screen = Layout(n_plates=3, n_controls=4, n_treatments=1)
    kept = ~screen.is_negcon | (screen.plates < 2)
    positions = np.array([f"p{well}" for well in range(len(screen.plates))])

    found = in_other_positions(screen.profiles[kept], screen.plates[kept], positions[kept], ~screen.is_negcon[kept])

    assert found.n_replicates == 2
    assert found.mean_average_precision is not None


def screen_with_places(seed: int, *, n_replicates: int, n_controls: int = 12) -> tuple[np.ndarray, pl.DataFrame]:
    """Return inactive treatments in the same places of five plates; places tell in features of small spread.

    Eight features have a spread of 1, and 32 one of .1.
    """
    rng = np.random.default_rng(seed)
    names = [f"c{number}" for number in range(12) for _ in range(n_replicates)] + ["DMSO"] * n_controls
    spread = np.r_[np.ones(8), np.full(32, 0.1)]
    of_places = np.where(spread < 1, 0.7 * spread, 0) * rng.standard_normal((len(names), 40))
    values = spread * rng.standard_normal((5, len(names), 40)) + of_places
    wells = pl.DataFrame(
        {
            "plate": np.repeat([f"P{plate}" for plate in range(5)], len(names)),
            "well": [f"A{place:02d}" for place in range(len(names))] * 5,
            "batch": "b",
            "perturbation": names * 5,
            "concentration_micromolar": pl.Series([None] * 5 * len(names), dtype=pl.Float64),
            "dose_step": pl.Series([None] * 5 * len(names), dtype=pl.Float64),
            "control_type": ["negcon" if name == "DMSO" else "treatment" for name in names] * 5,
            "cell_count": 100.0,
        }
    )
    return values.reshape(-1, 40), wells


@pytest.mark.parametrize(("n_replicates", "n_controls"), [(2, 12), (1, 18)], ids=["on one scale", "as they came"])
def test_control_positions_are_tested_as_the_treatments_are_that_they_correct(
    n_replicates: int, n_controls: int
) -> None:
    p_values, hits = [], 0
    for seed in range(4):
        profiles, wells = screen_with_places(seed, n_replicates=n_replicates, n_controls=n_controls)
        calls = evaluate(screen_wells(profiles, wells), q_max=0.05, seed=0).calls
        p_values += calls["p_position"].to_list()
        hits += int(calls["is_hit"].sum())

    # 48 treatments, and the spread of positions is known from few of them.
    assert np.mean(np.array(p_values) <= 0.05) <= 0.15
    assert hits == 0


def test_treatments_of_both_kinds_meet_the_positions_of_their_own() -> None:
    profiles, wells = screen_with_places(0, n_replicates=2, n_controls=18)
    one_a_plate = ~pl.col("well").is_in([f"A{place:02d}" for place in range(1, 12, 2)])
    kept = wells.with_row_index().filter(one_a_plate)
    screen = screen_wells(profiles[kept["index"].to_numpy()], kept.drop("index"))

    scored = score_positions(
        screen.profiles, screen.plates, screen.positions, is_negcon=screen.is_negcon, treatments=screen.numbers, seed=0,
        max_draws=999,
    )  # fmt: skip

    kinds = {item.is_rescaled for item in scored.sets}
    assert kinds == {False, True}
    assert len(scored.sets) == 2 * 18
    several, single = (np.flatnonzero(screen.numbers == number) for number in (11, 0))
    assert scored.are_rescaled(several) != scored.are_rescaled(single)
    of_kind = [
        sum(item.test.p_value < 0.05 for item in scored.sets if item.is_rescaled == kind) for kind in (True, False)
    ]
    found = [scored.inflation(rows).n_below for rows in (several, single)]
    assert found == (of_kind if scored.are_rescaled(several) else of_kind[::-1])
    assert found[0] != found[1]
