from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.profiling.batches import correct_batches
from hcs.profiling.profiles import build_profiles
from schemas.screen import ProfileConfig

WELLS = [f"{row}{column:02}" for row in "ABCDEFGH" for column in range(1, 13)]
COMPOUNDS, CONTROLS, FEATURES, FACTORS = 72, 24, 40, 4


def screen(
    seed: int, *, varies: float, n_batches: int = 3, n_plates: int = 3, active: float = 0.5, fixed: bool = False
) -> tuple[pl.DataFrame, np.ndarray]:
    """Plates of 96 wells whose batches differ by what wells vary along, which no scaling of a plate removes."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=(COMPOUNDS, FEATURES)) * (rng.random(COMPOUNDS) < active)[:, None] * 0.9
    rows, blocks = [], []
    for batch in range(n_batches):
        own = rng.normal(size=(FACTORS, FEATURES))
        for plate in range(n_plates):
            places = np.arange(96) if fixed else rng.permutation(96)
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
    assert "3 batches are corrected by harmony: it is the simplest within 1 standard error of the best" in notes
    assert "perturbations that the choice did not look at" in notes
    assert "fitted on all 864 wells without their labels" in notes
    assert profiles.shape == uncorrected.shape
    assert np.isfinite(profiles).all()
    assert not np.allclose(profiles, uncorrected)


def test_plates_that_differ_no_more_within_batches_than_between_them_are_left_alone():
    wells, values = screen(902, varies=0.0)

    profiles, notes = built(wells, values)

    assert "3 batches are not corrected: batches differ no more than plates do" in notes
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

    assert "3 batches are not corrected: batch and perturbation are confounded" in notes


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
        correct_batches({"one": values}, table, combined=("one",), is_fitted=is_fitted, method="combat").blocks["one"]
        for table in (wells, unnamed)
    )

    assert same.tobytes() == named.tobytes()
