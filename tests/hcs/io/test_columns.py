from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hcs.errors import InputRejectedError
from hcs.io.columns import from_metadata_columns, to_metadata_columns

INSIDE = ["plate", "well", "perturbation", "control_type", "mechanism", "name", "inchikey", "smiles", "cell_line"]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(INSIDE), unique=True),
    st.lists(st.text("abcxyz0189_", max_size=6), min_size=1, max_size=4),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(1, 99),
)
def test_there_and_back_is_the_same_table(names: list[str], values: list[str], number: float, site: int) -> None:
    frame = pl.DataFrame(
        dict.fromkeys(names, values) | {"site": [site] * len(values), "dose_step": [number] * len(values)},
        schema_overrides={"site": pl.Int32},
    ).with_columns(f0=pl.lit(1.5))

    there = to_metadata_columns(frame, features=["f0"])

    assert [name for name in there.columns if not name.startswith("Metadata_")] == ["f0"]
    assert all(there.schema[name] == pl.String for name in there.columns if name != "f0")
    assert_frame_equal(from_metadata_columns(there), frame)


def test_the_field_reads_its_own_names() -> None:
    frame = pl.DataFrame({"plate": ["P"], "perturbation": ["BRD-1"], "control_type": ["treatment"], "mechanism": ["x"]})

    assert to_metadata_columns(frame).to_dicts() == [
        {"Metadata_Plate": "P", "Metadata_broad_sample": "BRD-1", "Metadata_pert_type": "trt", "Metadata_moa": "x"}
    ]


def test_the_first_of_two_spellings_is_taken() -> None:
    frame = pl.DataFrame({"Metadata_JCP2022": ["J"], "Metadata_broad_sample": ["B"], "Cells_Area": [1.0]})

    assert from_metadata_columns(frame).to_dicts() == [{"JCP2022": "J", "perturbation": "B", "Cells_Area": 1.0}]


def test_two_columns_never_get_one_name() -> None:
    with pytest.raises(InputRejectedError, match="Metadata_Plate"):
        to_metadata_columns(pl.DataFrame({"plate": ["P"], "Plate": ["Q"]}))
    with pytest.raises(InputRejectedError, match="plate"):
        from_metadata_columns(pl.DataFrame({"plate": ["P"], "Metadata_Plate": ["Q"]}))


def test_a_site_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputRejectedError, match="site"):
        from_metadata_columns(pl.DataFrame({"Metadata_Site": ["IXMtest"]}))
