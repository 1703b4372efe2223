from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.batches import correct_batches, said_once
from hcs.profiling.profiles import build_profiles
from schemas.screen import ProfileConfig

WELLS = [f"{row}{column:02}" for row in "ABCDEFGH" for column in range(1, 13)]
COMPOUNDS, CONTROLS, FEATURES, FACTORS = 72, 24, 40, 4


def screen(
    seed: int, *, varies: float, n_batches: int = 3, n_plates: int = 3, active: float = 0.5
) -> tuple[pl.DataFrame, np.ndarray]:
    """Plates of 96 wells whose batches differ by what wells vary along, which no scaling of a plate removes."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=(COMPOUNDS, FEATURES)) * (rng.random(COMPOUNDS) < active)[:, None] * 0.9
    rows, blocks = [], []
    for batch in range(n_batches):
        own = rng.normal(size=(FACTORS, FEATURES))
        for plate in range(n_plates):
            places = rng.permutation(96)
            noise = rng.normal(size=(96, FEATURES)) + varies * rng.normal(size=(96, FACTORS)) @ own
            noise[CONTROLS:] += effects
            blocks.append(noise)
            rows += [
                {
                    "plate": f"b{batch}p{plate}",
                    "well": WELLS[place],
                    "batch": f"b{batch}",
                    "control_type": "negcon" if well < CONTROLS else "treatment",
                    "perturbation": "DMSO" if well < CONTROLS else f"c{well - CONTROLS:02}",
                }
                for well, place in enumerate(places)
            ]
    return pl.DataFrame(rows), np.concatenate(blocks)


def built(wells: pl.DataFrame, values: np.ndarray, correct: str = "auto") -> tuple[np.ndarray, str]:
    made = build_profiles(wells, {"one": values, "two": values[:, ::2] ** 3}, config=ProfileConfig(correct=correct))
    return made.blocks["combined"], "\n".join(made.notes)


@pytest.fixture(scope="module")
def strong() -> tuple[pl.DataFrame, np.ndarray]:
    return screen(901, varies=1.5)


def test_batches_of_their_own_are_corrected_and_the_notes_say_by_how_much(strong):
    profiles, notes = built(*strong)

    uncorrected, _ = built(*strong, "whiten")
    assert "batches are corrected by harmony: it is the simplest within 1 standard error of the best" in notes
    assert "36 perturbations that the choice did not look at" in notes
    assert "fitted on all 864 wells without their labels" in notes
    assert "made of blocks that are corrected for batches each by itself: one (harmony), two (" in notes
    assert profiles.shape == uncorrected.shape
    assert np.isfinite(profiles).all()
    assert not np.allclose(profiles, uncorrected)


def test_plates_that_differ_no_more_within_batches_than_between_them_are_left_alone():
    wells, values = screen(902, varies=0.0)

    profiles, notes = built(wells, values)

    assert "batches are not corrected: batches differ no more than plates do" in notes
    assert profiles.tobytes() == built(wells, values, "whiten")[0].tobytes()


def test_one_batch_is_not_looked_at():
    wells, values = screen(903, varies=1.0, n_batches=1)

    profiles, notes = built(wells, values)

    assert "batch" not in notes
    assert profiles.tobytes() == built(wells.drop("batch", "perturbation"), values)[0].tobytes()


def test_batches_with_compounds_of_their_own_are_not_corrected():
    wells, values = screen(904, varies=1.5)
    own = wells.with_columns(
        perturbation=pl.when(pl.col("control_type") == "negcon")
        .then("perturbation")
        .otherwise(pl.concat_str("batch", "perturbation"))
    )

    _, notes = built(own, values)

    assert "batches are not corrected: batch and perturbation are confounded" in notes


def test_one_perturbation_in_all_batches_has_a_figure_without_an_interval():
    """As a positive control has, where every batch brings compounds of its own."""
    wells, values = screen(905, varies=1.5)
    shared = pl.col("perturbation").is_in(["DMSO", "c01"])
    own = wells.with_columns(
        perturbation=pl.when(shared).then("perturbation").otherwise(pl.concat_str("batch", "perturbation")),
        control_type=pl.when(pl.col("perturbation") == "c01").then(pl.lit("poscon")).otherwise("control_type"),
    )

    profiles, notes = built(own, values)

    assert re.search(r"retrieval none 0\.\d{3}, combat 0\.\d{3} \(gain [+-]0\.\d{3}\), harmony", notes)
    assert profiles.tobytes() == built(own, values, "whiten")[0].tobytes()


def test_neither_the_order_of_wells_nor_names_of_plates_change_a_bit(strong):
    wells, values = strong
    order = np.random.default_rng(3).permutation(len(values))
    renamed = wells.with_columns(plate=pl.concat_str(pl.lit("z"), pl.col("plate").str.reverse()))

    expected, _ = built(wells, values)

    assert built(wells[order], values[order])[0].tobytes() == expected[order].tobytes()
    assert built(renamed, values)[0].tobytes() == expected.tobytes()


def test_labels_decide_what_is_picked_and_nothing_else(strong):
    wells, values = strong
    is_own = pl.col("control_type") != "negcon"
    dealt = wells.with_columns(
        perturbation=pl.when(is_own).then(pl.col("perturbation").str.reverse()).otherwise("perturbation")
    )

    profiles, _ = built(wells, values, "harmony")

    assert built(dealt, values, "harmony")[0].tobytes() == profiles.tobytes()


def test_a_plate_without_controls_changes_nothing_elsewhere_and_stays_as_it_is(strong):
    wells, values = strong
    is_last = (wells["plate"] == "b2p2").to_numpy()
    without = wells.with_columns(
        control_type=pl.when(pl.Series(is_last)).then(pl.lit("treatment")).otherwise("control_type")
    )

    with_it, _ = built(without, values, "harmony")
    alone, _ = built(wells.filter(pl.Series(~is_last)), values[~is_last], "harmony")

    np.testing.assert_allclose(with_it[~is_last], alone, rtol=1e-9, atol=1e-9)


def test_few_controls_are_not_whitened_and_so_not_corrected():
    wells, values = screen(905, varies=1.0)
    kept = (~((wells["control_type"] == "negcon") & (wells["well"] > "B06"))).to_numpy()

    _, notes = built(wells.filter(pl.Series(kept)), values[kept])

    assert "batches are not corrected" in notes


def test_a_batch_without_a_name_is_a_batch(strong):
    wells, values = strong
    unnamed = wells.with_columns(batch=pl.when(pl.col("batch") == "b1").then(None).otherwise("batch"))
    is_fitted = np.ones(len(values), dtype=np.bool_)

    named, same = (
        correct_batches({"one": values}, table, is_fitted=is_fitted, method="combat").blocks["one"]
        for table in (wells, unnamed)
    )

    assert same.tobytes() == named.tobytes()


def test_each_block_is_decided_by_itself_and_what_stands_beside_it_changes_no_bit(strong):
    wells, values = strong
    _, flat = screen(902, varies=0.0)
    is_fitted = np.ones(len(values), dtype=np.bool_)
    blocks = {"differs": values, "flat": flat}

    made = correct_batches(blocks, wells, is_fitted=is_fitted, method="auto")
    alone = {
        name: correct_batches({name: block}, wells, is_fitted=is_fitted, method="auto")
        for name, block in blocks.items()
    }

    assert made.methods == {"differs": "harmony", "flat": "none"}
    assert {name: one.methods[name] for name, one in alone.items()} == made.methods
    assert all(one.blocks[name].tobytes() == made.blocks[name].tobytes() for name, one in alone.items())
    assert made.blocks["flat"].tobytes() == flat.tobytes()


def test_what_holds_for_all_blocks_is_said_once_and_a_line_a_block_says_the_rest(strong):
    wells, values = strong
    blocks = {"a": values, "b": values[:, ::2], "c": values[:, 1::2]}

    notes = correct_batches(blocks, wells, is_fitted=np.ones(len(values), dtype=np.bool_), method="auto").notes

    own = [note for note in notes if note[:3] in {"a: ", "b: ", "c: "}]
    assert [note[:3] for note in own] == ["a: ", "b: ", "c: "]
    assert all(note.count("retrieval none 0.") == note.count("harmony 0.") == 1 for note in own)
    assert len(set(notes)) == len(notes) <= 10
    for once in ("that the choice did not look at", "fitted on all 864 wells", "`correct: whiten`"):
        assert sum(once in note for note in notes) == 1, once


def test_sentences_keep_their_order_and_a_single_block_needs_no_name():
    assert said_once({"a": ("x", "y", "z"), "b": ("x", "z"), "c": ("w", "x", "z")}) == ["x", "z", "a: y", "c: w"]
    assert said_once({"a": ("x", "y")}) == ["x", "y"]
    assert said_once({}) == []


def test_wells_of_the_same_content_are_ordered_by_what_is_known_of_them(strong):
    wells, values = strong
    twice = values.copy()
    twice[288:576] = twice[:288]
    order = np.random.default_rng(0).permutation(len(values))
    is_fitted = np.ones(len(values), dtype=np.bool_)

    expected = correct_batches({"one": twice}, wells, is_fitted=is_fitted, method="harmony").blocks["one"]
    permuted = correct_batches({"one": twice[order]}, wells[order], is_fitted=is_fitted, method="harmony")

    assert permuted.blocks["one"].tobytes() == expected[order].tobytes()


def test_a_method_that_cannot_be_applied_names_the_block(strong):
    wells, values = strong
    flat = np.ones_like(values)

    with pytest.raises(InputRejectedError, match="blank cannot be corrected for batches by combat"):
        correct_batches({"blank": flat}, wells, is_fitted=np.ones(len(flat), dtype=np.bool_), method="combat")


def test_wells_that_name_no_perturbation_are_left_and_it_is_said(strong):
    wells, values = strong
    unnamed = wells.with_columns(perturbation=pl.lit(None, dtype=pl.String))

    made = correct_batches({"one": values}, unnamed, is_fitted=np.ones(len(values), dtype=np.bool_), method="auto")

    assert made.blocks["one"].tobytes() == values.tobytes()
    assert made.notes == ("batches are not corrected: no well names what was done to it",)


@pytest.mark.parametrize("n_plates", [1, 2])
def test_batches_of_one_plate_have_profiles_without_a_gap_and_what_cannot_be_tested_is_said(n_plates):
    wells, values = screen(906, varies=1.0, n_plates=n_plates)
    kept = (~wells["plate"].is_in(["b1p1", "b2p1"])).to_numpy()

    for correct in ("auto", "combat", "harmony"):
        profiles, notes = built(wells.filter(pl.Series(kept)), values[kept], correct)
        assert np.isfinite(profiles).all()
        assert ("whether batches differ more than plates do cannot be tested" in notes) == (correct == "auto")


@pytest.mark.parametrize("kind", ["negcon", "treatment", "poscon"])
def test_one_well_is_refused(kind):
    one = pl.DataFrame({"plate": ["p"], "well": ["A01"], "batch": ["b"], "perturbation": ["c"], "control_type": [kind]})

    with pytest.raises(InputRejectedError, match="no feature of a varies"):
        build_profiles(one, {"a": np.array([[1.0, 2.0, 3.0]])}, config=ProfileConfig())
