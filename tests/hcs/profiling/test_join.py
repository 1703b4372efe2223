"""Tables of profiles that become one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.join import join_profiles, without_missing
from hcs.profiling.matrix import profile_matrix


def test_features_in_common_are_kept_by_name() -> None:
    one = profile_matrix(pl.DataFrame({"Metadata_a": ["x"], "f": [1.0], "g": [2.0], "h": [3.0]}))
    other = profile_matrix(pl.DataFrame({"Metadata_a": [7], "Metadata_b": [True], "h": [30.0], "f": [10.0]}))

    joined = join_profiles([one, other])

    assert joined.features == ("f", "h")
    np.testing.assert_array_equal(joined.values, [[1.0, 3.0], [10.0, 30.0]])
    assert joined.metadata.to_dict(as_series=False) == {"Metadata_a": ["x", "7"], "Metadata_b": [None, True]}


def test_tables_without_a_feature_in_common_are_refused() -> None:
    tables = [profile_matrix(pl.DataFrame({"Metadata_a": ["x"], name: [1.0]})) for name in "fg"]

    with pytest.raises(InputRejectedError, match="no feature is in all"):
        join_profiles(tables)


def test_features_that_are_missing_somewhere_go_by_name() -> None:
    table = profile_matrix(pl.DataFrame({"Metadata_a": ["x", "y"], "f": [1.0, None], "g": [2.0, 3.0]}))

    kept, gone = without_missing(table)

    assert (kept.features, gone) == (("g",), ["f"])
    with pytest.raises(InputRejectedError, match="all 1 have some"):
        without_missing(profile_matrix(pl.DataFrame({"Metadata_a": ["x"], "f": [None]})))
