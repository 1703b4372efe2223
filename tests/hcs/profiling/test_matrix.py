from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.matrix import profile_matrix

TABLE = pl.DataFrame(
    {
        "Metadata_Plate": ["p1", "p1", "p2"],
        "Cells_Area": [1, None, 3],
        "Metadata_control": [True, False, None],
        "DROP TABLE wells": [0.5, float("nan"), 2.5],
        "site": [1, 2, 3],
    }
)


def test_metadata_is_what_its_name_says_and_what_is_named():
    matrix = profile_matrix(TABLE, metadata=["site"])

    assert matrix.metadata.columns == ["Metadata_Plate", "Metadata_control", "site"]
    assert matrix.features == ("Cells_Area", "DROP TABLE wells")
    np.testing.assert_array_equal(matrix.values, [[1.0, 0.5], [np.nan, np.nan], [3.0, 2.5]])
    assert matrix.values.flags["C_CONTIGUOUS"]
    assert matrix.values.dtype == np.float64


def test_a_table_comes_back_with_gaps_as_nulls():
    back = profile_matrix(TABLE, metadata=["site"]).table()

    assert back.columns == ["Metadata_Plate", "Metadata_control", "site", "Cells_Area", "DROP TABLE wells"]
    assert back["Cells_Area"].to_list() == [1.0, None, 3.0]


def test_features_of_float32_stay_float32():
    table = TABLE.with_columns(pl.col("Cells_Area", "DROP TABLE wells", "site").cast(pl.Float32))

    assert profile_matrix(table).values.dtype == np.float32


def test_rows_are_chosen_by_the_text_of_their_metadata():
    matrix = profile_matrix(TABLE, metadata=["site"])

    assert matrix.chosen([("Metadata_control", "true")]).tolist() == [True, False, False]
    assert matrix.chosen([("site", "2"), ("Metadata_Plate", "p2")]).tolist() == [False, True, True]
    with pytest.raises(UsageError, match="no metadata column Cells_Area"):
        matrix.chosen([("Cells_Area", "1")])
    with pytest.raises(InputRejectedError, match="none of 3 is such a row"):
        matrix.chosen([("site", "9")])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.with_columns(compound=pl.lit("x")), "compound holds String"),
        (TABLE.select("Cells_Area"), "0 columns of metadata"),
        (TABLE.select("Metadata_Plate"), "0 features"),
        (TABLE.clear(), "0 rows"),
    ],
)
def test_what_is_no_table_of_profiles_is_refused(table, message):
    with pytest.raises(InputRejectedError, match=message):
        profile_matrix(table)


def test_metadata_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no column batch"):
        profile_matrix(TABLE, metadata=["batch"])


def test_a_column_of_nothing_holds_missing_numbers_whatever_its_type():
    nothing = TABLE.with_columns(x=pl.lit(None, dtype=pl.String), y=pl.lit(None))

    matrix = profile_matrix(nothing, metadata=["site"])

    assert matrix.features[-2:] == ("x", "y")
    assert np.isnan(matrix.values[:, -2:]).all()
    assert np.isnan(profile_matrix(nothing, features="^[xy]$").values).all()


@pytest.mark.parametrize(("pattern", "message"), [("^Z", "finds nothing in the names"), ("(", "came: unclosed group$")])
def test_a_pattern_that_names_no_feature_is_refused(pattern, message):
    with pytest.raises(UsageError, match=message):
        profile_matrix(TABLE, features=pattern)
