from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.fitted_rows import fitted_rows
from hcs.profiling.groups import RowGroups, group_rows


def plates() -> RowGroups:
    return group_rows(pl.DataFrame({"plate": ["a", "b", "a", "b", "a", "c", "c"]}), ["plate"])


def test_a_plate_is_fitted_on_its_chosen_rows_or_on_all_where_it_has_none():
    chosen = np.array([True, False, True, False, False, True, True])

    fits = fitted_rows(plates(), chosen, lacking="all")

    assert fits.n_rows.tolist() == [2, 2, 2]
    assert fits.borrowed.tolist() == [False, True, False]
    assert fits.of_group(0).tolist() == [True, True, False]
    assert fits.of_group(1) is None
    assert fits.of_group(2) is None


@pytest.mark.parametrize(
    ("chosen", "message"), [([0, 2, 5, 6], "1 have none: plate b"), ([0, 1, 3, 5, 6], "but plate a has 1")]
)
def test_a_plate_with_too_few_rows_to_fit_on_is_refused(chosen, message):
    with pytest.raises(InputRejectedError, match=message):
        fitted_rows(plates(), np.isin(np.arange(7), chosen), lacking="refuse")
