"""What a map says beside the clusters: cells, batches, plates, and names one by one."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.pipeline.grouping import Grouping
from hcs.pipeline.treatment_maps import cluster_rows, map_points

MEMBERS = pl.DataFrame(
    {
        "treatment": ["b@1", "a@1", "c@1", "d@1"],
        "perturbation": ["b", "a", "c", "d"],
        "control_type": ["treatment", "poscon", "treatment", "treatment"],
        "name": ["one; two", None, "=1+1", None],
        "cluster": [1, 1, None, None],
    }
)


def calls(*rows):
    return pl.DataFrame(rows, schema=["treatment", "control_type", "cell_count_ratio"], orient="row")


wells = st.lists(
    st.tuples(
        st.sampled_from(["a@1", "b@1", "c@1", "e@1", None]),
        st.sampled_from(["P1", "P2", "P10"]),
        st.sampled_from(["x", "y", None]),
    )
)


@given(rows=wells)
def test_a_point_has_the_plates_and_batches_of_its_wells_each_once_by_name(rows):
    frame = pl.DataFrame(rows, schema={"treatment": pl.String, "plate": pl.String, "batch": pl.String}, orient="row")

    points = map_points(MEMBERS, calls(("a@1", "poscon", 0.5)), frame)

    assert points["treatment"].to_list() == MEMBERS["treatment"].to_list()
    for point in points.iter_rows(named=True):
        of = [row for row in rows if row[0] == point["treatment"]]
        assert point["plates"] == sorted({plate for _, plate, _ in of})
        assert point["batches"] == sorted({batch for _, _, batch in of if batch is not None})


def test_the_count_is_that_of_the_call_the_point_stands_for():
    none = pl.DataFrame(schema={"treatment": pl.String, "plate": pl.String, "batch": pl.String})
    both = calls(("a@1", "treatment", 0.1), ("a@1", "poscon", 0.5), ("b@1", "treatment", 0.7))

    points = map_points(MEMBERS, both, none)

    assert dict(points.select("treatment", "cell_count_ratio").iter_rows()) == {
        "b@1": 0.7,
        "a@1": 0.5,
        "c@1": None,
        "d@1": None,
    }


def test_members_of_a_cluster_are_a_list_whatever_they_are_called():
    rows = pl.DataFrame({"cluster": [1, None], "size": [2, 2], "members": ["a; one; two", "=1+1; d"]})

    found = cluster_rows(Grouping(rows, MEMBERS, pl.DataFrame(), ()))

    assert found["members"].to_list() == [["a", "one; two"], ["=1+1", "d"]]
    assert found["size"].to_list() == [2, 2]


@pytest.mark.parametrize("n", [0, 4])
def test_where_nothing_is_clustered_there_are_no_rows(n):
    rows = pl.DataFrame(schema={"cluster": pl.Int64, "size": pl.Int64, "members": pl.String})

    assert cluster_rows(Grouping(rows, MEMBERS.head(n), pl.DataFrame(), ())).height == 0
