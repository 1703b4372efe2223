from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.pipeline.scoring import ProfileScore, mean_scores, retrieve_mechanisms, score_profile
from hcs.simulation.design import ScreenDesign
from hcs.simulation.plan import lay_out_screen
from hcs.simulation.truth import score_calls, treatment_truth
from hcs.statistics.intervals import MeanInterval, mean_interval

DESIGN = ScreenDesign(
    n_plates=2,
    n_wells=24,
    mechanisms=("HDAC inhibitor", "actin disruptor", "ER stress inducer"),
    compounds_per_mechanism=2,
    n_inactive=3,
    n_doses=2,
    n_negcon=2,
    n_poscon=1,
    n_poscon_perturbations=1,
)
PLAN = lay_out_screen(DESIGN, 5)
TRUTH = treatment_truth(PLAN)
ACTIVE = TRUTH.filter((pl.col("control_type") == "treatment") & pl.col("is_active"))
WELLS = pl.DataFrame(
    [
        {
            "plate": plate.barcode,
            "batch": plate.batch,
            "well": well.well,
            "perturbation": well.treatment.compound.perturbation,
            # As a platemap in millimoles gives it back.
            "concentration_micromolar": 1000 * (well.treatment.concentration_micromolar / 1000)
            if well.treatment.concentration_micromolar
            else None,
            "dose_step": 1.0,
            "control_type": well.treatment.compound.control_type,
        }
        for plate in PLAN.plates
        for well in plate.wells
    ],
    schema_overrides={"concentration_micromolar": pl.Float64},
    infer_schema_length=None,
)
IS_ACTIVE = np.isin(WELLS["perturbation"].to_numpy(), ACTIVE["perturbation"].to_list())
LABELS = dict(ACTIVE.select("perturbation", "mechanism").unique().iter_rows())


def mechanism_profiles(rng: np.random.Generator) -> np.ndarray:
    """Wells of one mechanism point one way; all others point anywhere."""
    ways = {label: np.eye(3)[index] for index, label in enumerate(sorted(set(LABELS.values())))}
    anywhere = rng.normal(size=(WELLS.height, 3))
    pointed = anywhere.copy()
    pointed[IS_ACTIVE] = [ways[LABELS[name]] for name in WELLS["perturbation"].to_numpy()[IS_ACTIVE]]
    return pointed + 0.01 * anywhere


def naive(profiles: np.ndarray, *, knows_batches: bool) -> float:
    """Look at every pair of treatments, in plain Python."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for row, (name, dose, batch) in enumerate(
        WELLS.select("perturbation", "concentration_micromolar", "batch").iter_rows()
    ):
        if name in LABELS:
            groups.setdefault((name, f"{dose:.4g}", batch if knows_batches else ""), []).append(row)
    medians = {key: np.median(profiles[rows], axis=0) for key, rows in groups.items()}
    right = []
    for key, own in medians.items():
        others = {
            other: own @ profile / np.linalg.norm(own) / np.linalg.norm(profile)
            for other, profile in medians.items()
            if other[0] != key[0] and (not knows_batches or other[2] != key[2])
        }
        right.append(LABELS[max(others, key=others.__getitem__)[0]] == LABELS[key[0]])
    return float(np.mean(right))


def test_the_screen_of_these_tests_has_what_they_compare() -> None:
    assert ACTIVE.height == 12
    assert WELLS["batch"].n_unique() == 2
    assert IS_ACTIVE.sum() == 4 * 12
    assert set(WELLS["control_type"]) == {"treatment", "negcon", "poscon"}


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_retrieval_agrees_with_looking_at_every_pair(seed: int) -> None:
    profiles = np.random.default_rng(seed).normal(size=(WELLS.height, 4))

    by_compound, by_batch = retrieve_mechanisms(WELLS, profiles, TRUTH)

    assert (by_compound.n_queries, by_batch.n_queries) == (12, 24)
    assert by_compound.accuracy == pytest.approx(naive(profiles, knows_batches=False))
    assert by_batch.accuracy == pytest.approx(naive(profiles, knows_batches=True))


def test_profiles_that_tell_the_mechanism_are_right_in_and_across_batches() -> None:
    profiles = mechanism_profiles(np.random.default_rng(0))

    assert [found.accuracy for found in retrieve_mechanisms(WELLS, profiles, TRUTH)] == [1.0, 1.0]


def test_what_tells_the_mechanism_in_each_batch_another_way_is_wrong_across_batches() -> None:
    profiles = mechanism_profiles(np.random.default_rng(0))
    is_second = (WELLS["batch"] == WELLS["batch"].max()).to_numpy()
    profiles[is_second] = np.roll(profiles[is_second], 1, axis=1)

    assert retrieve_mechanisms(WELLS, profiles, TRUTH)[1].accuracy == 0.0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_neither_the_order_of_wells_nor_what_is_not_active_has_a_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    profiles, order = rng.normal(size=(WELLS.height, 4)), rng.permutation(WELLS.height)
    changed = np.where(IS_ACTIVE[:, None], profiles, 7 * rng.normal(size=profiles.shape))

    before = retrieve_mechanisms(WELLS, profiles, TRUTH)
    after = retrieve_mechanisms(WELLS[order], changed[order], TRUTH)

    assert [found.accuracy for found in after] == [found.accuracy for found in before]


def test_one_batch_has_no_other_and_a_screen_without_activity_nothing_to_compare() -> None:
    profiles = mechanism_profiles(np.random.default_rng(0))
    one_batch = WELLS.with_columns(batch=pl.lit("b"))
    inactive = TRUTH.with_columns(is_active=pl.lit(value=False))

    assert [found.accuracy for found in retrieve_mechanisms(one_batch, profiles, TRUTH)] == [1.0, None]
    assert [found.accuracy for found in retrieve_mechanisms(WELLS, profiles, inactive)] == [None, None]


def test_a_score_is_that_of_the_calls_with_both_accuracies_beside_it() -> None:
    profiles = mechanism_profiles(np.random.default_rng(0))
    calls = ACTIVE.select(
        "perturbation", "concentration_micromolar", "control_type", predicted_mechanism="mechanism"
    ).with_columns(is_hit=pl.lit(value=True))

    score = score_profile(calls, WELLS, profiles, TRUTH)

    assert asdict(score) == {**asdict(score_calls(calls, TRUTH)), "nsc": 1.0, "nscb": 1.0}
    assert score.recall == 1.0


SCORE = ProfileScore(
    treatments=76,
    active=32,
    hits=20,
    recall=0.5,
    false_discovery_proportion=0.0,
    mechanism_accuracy=None,
    nsc=0.25,
    nscb=None,
)


def test_means_are_taken_figure_by_figure_over_the_screens_that_have_one() -> None:
    other = replace(SCORE, hits=24, recall=0.6, mechanism_accuracy=0.9)

    means = mean_scores([{"combined": SCORE, "named": SCORE}, {"combined": other, "named": SCORE}])

    assert list(means) == ["combined", "named"]
    assert list(means["combined"]) == list(asdict(SCORE))
    assert means["combined"]["hits"] == mean_interval([20, 24])
    assert means["combined"]["recall"] == mean_interval([0.5, 0.6])
    assert means["combined"]["mechanism_accuracy"] == MeanInterval(0.9, None, None)
    assert means["combined"]["nscb"] is None
    assert means["named"]["recall"] == MeanInterval(0.5, 0.5, 0.5)
