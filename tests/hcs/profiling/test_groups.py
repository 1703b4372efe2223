from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from hcs.profiling.groups import group_rows


@given(keys=st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 2)), min_size=1, max_size=30))
def test_every_row_is_in_the_group_of_its_key_in_the_order_of_the_table(keys):
    metadata = pl.DataFrame(keys, schema={"plate": pl.String, "site": pl.Int64}, orient="row")

    groups = group_rows(metadata, ["plate", "site"])

    assert len(groups) == len(set(keys))
    assert sorted(groups.order.tolist()) == list(range(len(keys)))
    for group, key in enumerate(groups.keys.rows()):
        assert groups.rows(group).tolist() == [row for row, other in enumerate(keys) if other == key]


def test_keys_are_sorted_with_what_is_missing_last():
    metadata = pl.DataFrame({"dose": [2.0, float("nan"), 0.5, None, 2.0]})

    groups = group_rows(metadata, ["dose"])

    assert groups.keys["dose"].to_list() == [0.5, 2.0, None]
    assert groups.sizes.tolist() == [1, 2, 2]
    assert groups.name(2) == "dose None"


def test_no_key_is_one_group_of_all_rows():
    groups = group_rows(pl.DataFrame({"plate": ["b", "a"]}), [])

    assert groups.rows(0).tolist() == [0, 1]
    assert groups.name(0) == "all rows"
    assert np.array_equal(groups.sizes, [2])
