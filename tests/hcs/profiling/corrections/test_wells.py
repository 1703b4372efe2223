"""What corrections know of wells, read from metadata."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.corrections.wells import WellColumns, design_of, fitted_on_half

METADATA = pl.DataFrame(
    {
        "Metadata_Plate": ["b", "b", "a", "a"],
        "Metadata_Well": ["A01", "p24", "AB 3", "c-12"],
        "Metadata_Batch": [2, 2, 1, 2],
        "Metadata_drug": ["x", None, "y", "x"],
        "Metadata_Count_Cells": ["10", None, "30.5", "0"],
    }
)
COLUMNS = WellColumns(
    batch="Metadata_Batch",
    perturbation="Metadata_drug",
    well="Metadata_Well",
    cell_count="Metadata_Count_Cells",
)
NOBODY = np.zeros(4, dtype=bool)


def test_names_become_numbers_in_order_of_appearance_and_wells_places() -> None:
    made = design_of(METADATA, COLUMNS, is_negcon=NOBODY)

    assert made.plates.tolist() == [0, 0, 1, 1]
    assert made.batches.tolist() == [0, 0, 1, 0]
    assert made.perturbations.tolist() == [0, -1, 1, 0]
    assert made.rows is not None
    assert made.rows.tolist() == [0, 15, 27, 2]
    assert made.columns is not None
    assert made.columns.tolist() == [0, 23, 2, 11]
    np.testing.assert_array_equal(made.cell_counts, [10.0, np.nan, 30.5, 0.0])


def test_without_columns_there_is_one_batch_and_nothing_else_is_known() -> None:
    made = design_of(METADATA, WellColumns(), is_negcon=NOBODY)

    assert (made.batches == 0).all()
    assert (made.perturbations == -1).all()
    assert made.rows is None
    assert made.cell_counts is None


def test_names_that_are_none_of_a_well_give_no_position() -> None:
    odd = METADATA.with_columns(Metadata_Well=pl.Series(["A01", "A02", "somewhere", "A00"]))

    assert design_of(odd, COLUMNS, is_negcon=NOBODY).rows is None


def test_half_of_each_plates_controls_is_held_out() -> None:
    metadata = pl.DataFrame({"Metadata_Plate": ["a"] * 6 + ["b"] * 5})
    is_negcon = np.array([True] * 5 + [False] + [True] * 5)
    design = design_of(metadata, WellColumns(), is_negcon=is_negcon)

    half = fitted_on_half(design, np.arange(11.0)[:, None], metadata, WellColumns())

    assert np.bincount(design.plates, weights=half.is_fitted).tolist() == [2, 2]
    assert not half.is_fitted[5]


def test_what_is_missing_or_no_number_is_an_error() -> None:
    with pytest.raises(UsageError, match="needs the column Metadata_batch"):
        design_of(METADATA, WellColumns(batch="Metadata_batch"), is_negcon=NOBODY)
    with pytest.raises(InputRejectedError, match="1 of 4 do not"):
        design_of(METADATA, WellColumns(plate="Metadata_drug"), is_negcon=NOBODY)
    with pytest.raises(InputRejectedError, match="no number"):
        design_of(METADATA, WellColumns(cell_count="Metadata_Well"), is_negcon=NOBODY)
