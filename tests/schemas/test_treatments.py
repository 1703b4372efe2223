from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.treatments import treatment_key, with_treatment_keys

names = st.text(alphabet="ab@#%12.", min_size=1, max_size=8)
doses = st.none() | st.sampled_from([0.0, 0.1, 1.0, 1.5, 10.0, 1e-7, 1e9, 12.0])
treatments = st.tuples(names, doses, doses)


def key(treatment):
    name, concentration, step = treatment
    return treatment_key(name, concentration_micromolar=concentration, dose_step=step)


@given(one=treatments, other=treatments)
@settings(max_examples=300, deadline=None)
def test_two_treatments_share_a_key_only_if_they_are_the_same(one, other):
    assert (key(one) == key(other)) == (one == other)


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        (("CPD1", 3.33, None), "CPD1@3.33"),
        (("CPD1", 10.0, None), "CPD1@10"),
        (("CPD1", None, 2.0), "CPD1#2"),
        (("CPD1", None, -2.0), "CPD1#-2"),
        (("CPD1", 0.5, 1.0), "CPD1@0.5#1"),
        (("CPD1", None, None), "CPD1"),
        (("mail@lab #3 50%", 1.0, None), "mail%40lab %233 50%25@1"),
        (("CPD1", -0.0, None), "CPD1@0"),
    ],
)
def test_a_key_reads_as_name_and_dose(treatment, expected):
    assert key(treatment) == expected


def test_the_rounding_of_arithmetic_makes_no_new_treatment():
    assert key(("CPD1", 0.1 + 0.2, None)) == key(("CPD1", 0.3, None))
    assert key(("CPD1", 3.33, None)) != key(("CPD1", 3.3300001, None))


def test_rows_get_their_keys_and_empty_wells_none():
    frame = pl.DataFrame(
        {"perturbation": ["CPD1", None], "concentration_micromolar": [1.0, None], "dose_step": [None, 1.0]}
    )

    assert with_treatment_keys(frame)["treatment"].to_list() == ["CPD1@1", None]
    assert with_treatment_keys(frame.clear())["treatment"].to_list() == []
