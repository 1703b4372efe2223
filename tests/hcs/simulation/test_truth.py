from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import UsageError
from hcs.simulation.design import TechnicalEffects, demo_design, small_design
from hcs.simulation.plan import lay_out_screen
from hcs.simulation.sites import render_site
from hcs.simulation.truth import DemoScore, score_calls, site_truth, treatment_truth, truth_files

PLAN = lay_out_screen(demo_design(), 3)
TRUTH = treatment_truth(PLAN)
TESTED = TRUTH.filter(pl.col("control_type") == "treatment")


def _calls(is_hit: list[bool] | pl.Series, predicted: list[str | None] | pl.Series) -> pl.DataFrame:
    return TESTED.select("perturbation", "concentration_micromolar", "control_type").with_columns(
        pl.Series("is_hit", is_hit, dtype=pl.Boolean), pl.Series("predicted_mechanism", predicted, dtype=pl.String)
    )


def test_the_truth_counts_what_the_design_says():
    assert TESTED.height == 76
    assert TESTED["is_active"].sum() == 32
    assert TESTED["is_null"].sum() == 44
    assert TESTED.filter("is_active")["mechanism"].value_counts()["count"].to_list() == [4] * 8
    assert TRUTH.filter(pl.col("control_type") == "negcon")["perturbation"].to_list() == ["DMSO"]


def test_the_effect_is_the_length_of_the_push():
    np.testing.assert_allclose(
        np.linalg.norm(TRUTH["push"].to_numpy(), axis=1), TRUTH["effect_size"].to_numpy(), rtol=1e-5
    )


def test_perfect_calls_score_perfectly():
    score = score_calls(_calls(TESTED["is_active"], TESTED["mechanism"]), TRUTH)

    assert score == DemoScore(
        treatments=76, active=32, hits=32, recall=1.0, false_discovery_proportion=0.0, mechanism_accuracy=1.0
    )


def test_no_hits_are_no_false_discoveries_and_say_nothing_about_mechanisms():
    score = score_calls(_calls([False] * 76, [None] * 76), TRUTH)

    assert score == DemoScore(
        treatments=76, active=32, hits=0, recall=0.0, false_discovery_proportion=0.0, mechanism_accuracy=None
    )


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_scores_agree_with_counting_by_hand(data: st.DataObject):
    names = [*sorted(set(TESTED["mechanism"].drop_nulls())), None]
    is_hit = data.draw(st.lists(st.booleans(), min_size=76, max_size=76))
    predicted = data.draw(st.lists(st.sampled_from(names), min_size=76, max_size=76))
    order = data.draw(st.permutations(range(76)))

    score = score_calls(_calls(is_hit, predicted)[list(order)], TRUTH)

    true_hits = false_hits = right = 0
    for row, hit, name in zip(TESTED.iter_rows(named=True), is_hit, predicted, strict=True):
        true_hits += hit and row["is_active"]
        false_hits += hit and row["is_null"]
        right += hit and row["is_active"] and name == row["mechanism"]
    assert score.hits == sum(is_hit)
    assert score.recall == true_hits / 32
    assert score.false_discovery_proportion == (false_hits / sum(is_hit) if any(is_hit) else 0)
    assert score.mechanism_accuracy == (right / true_hits if true_hits else None)


def test_a_treatment_without_a_call_is_no_hit():
    calls = _calls(TESTED["is_active"], TESTED["mechanism"]).filter(
        TESTED["mechanism"].fill_null("") != "HDAC inhibitor"
    )

    score = score_calls(calls, TRUTH)

    assert (score.treatments, score.hits, score.recall) == (76, 28, 28 / 32)


def test_positive_controls_do_not_count():
    controls = TRUTH.filter(pl.col("control_type") == "poscon").select(
        "perturbation", "concentration_micromolar", "control_type", is_hit=pl.lit(True), predicted_mechanism=pl.lit("x")
    )
    calls = _calls(TESTED["is_active"], TESTED["mechanism"])

    assert score_calls(pl.concat([calls, controls]), TRUTH) == score_calls(calls, TRUTH)


def test_concentrations_may_have_been_converted_on_the_way():
    calls = _calls(TESTED["is_active"], TESTED["mechanism"])
    converted = calls.with_columns((pl.col("concentration_micromolar") / 1000 * 1.0000000001) * 1000)

    assert score_calls(converted, TRUTH).recall == 1


def test_doses_are_treatments_of_their_own_and_a_weak_one_is_neither_right_nor_wrong():
    truth = treatment_truth(lay_out_screen(small_design(doses=4), 3)).filter(pl.col("control_type") == "treatment")
    is_weak = ~truth["is_active"] & ~truth["is_null"]
    calls = truth.select(
        "perturbation", "concentration_micromolar", "control_type", is_hit=is_weak, predicted_mechanism=pl.lit("x")
    )

    score = score_calls(calls, truth)

    assert is_weak.sum() > 0
    assert (score.hits, score.recall, score.false_discovery_proportion) == (is_weak.sum(), 0, 0)


def test_calls_on_another_screen_are_refused():
    calls = _calls([False] * 76, [None] * 76).with_columns(pl.lit("X").alias("perturbation"))

    with pytest.raises(UsageError, match=r"76 are about others, such as X@10.0; is this the truth of another screen"):
        score_calls(calls, TRUTH)


def test_two_calls_on_one_treatment_are_refused():
    calls = _calls([False] * 76, [None] * 76)

    with pytest.raises(UsageError, match="has several; take one profile at a time"):
        score_calls(pl.concat([calls, calls[:1]]), TRUTH)


def test_calls_without_a_prediction_are_refused():
    with pytest.raises(UsageError, match=r"\['predicted_mechanism'\] missing"):
        score_calls(_calls([False] * 76, [None] * 76).drop("predicted_mechanism"), TRUTH)


def test_every_site_and_cell_is_in_the_truth():
    design = replace(small_design(wells=24, plates=1, sites=2), site_px=128)
    plan = lay_out_screen(design, 0)
    plate = plan.plates[0]
    rendered = [(well, site, render_site(plan, plate, well, site)) for well in reversed(plate.wells) for site in (2, 1)]

    files = truth_files(plan, [site_truth(plate, well, site, picture) for well, site, picture in rendered])

    tables = {name.removeprefix("truth/").removesuffix(".parquet"): table for name, table in files.items()}
    assert set(tables) == {"treatments", "plates", "wells", "sites", "latents", "cells"}
    assert tables["sites"].height == tables["latents"].height == 48
    assert tables["sites"].select("well", "site").rows() == sorted(tables["sites"].select("well", "site").rows())
    assert tables["cells"].height == tables["sites"]["cell_count"].sum() == tables["wells"]["cell_count"].sum()
    well, site, picture = rendered[10]
    mean = tables["latents"].filter((pl.col("well") == well.well) & (pl.col("site") == site))["mean_phenotype"]
    np.testing.assert_allclose(mean.to_numpy()[0], picture.cells.phenotypes.mean(axis=0), rtol=1e-5)


def test_a_site_without_cells_has_no_mean_phenotype():
    plan = lay_out_screen(replace(demo_design(), site_px=64, cells_per_site=0.0, effects=TechnicalEffects.none()), 0)
    plate = plan.plates[0]

    truth = site_truth(plate, plate.wells[0], 1, render_site(plan, plate, plate.wells[0], 1))

    assert truth.sites["mean_phenotype"].to_list() == [None]
    assert truth.cells.height == 0
