"""Percent replicating and matching on tables."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.replicating import replicating

NAME = "Metadata_select * from wells"


def wells(effect: float = 1.0) -> tuple[np.ndarray, pl.DataFrame]:
    """Return 20 compounds, each on four plates in one well of its own; even ones do something."""
    rng = np.random.default_rng(0)
    compound = np.repeat(np.arange(20), 4)
    directions = rng.standard_normal((20, 16))
    profiles = rng.standard_normal((80, 16)) + effect * directions[compound] * (compound % 2 == 0)[:, None]
    table = pl.DataFrame(
        {
            NAME: [f"c{number:02}" for number in compound],
            "Metadata_moa": [f"m{number % 5}" for number in compound],
            "Metadata_Well": [f"W{number}" for number in compound],
        }
    )
    return profiles, table


def test_compounds_that_do_something_replicate_and_others_do_not() -> None:
    found = replicating(*wells(), by=[NAME])

    is_so = dict(found.groups.select(NAME, "is_replicating").iter_rows())
    assert all(is_so[f"c{number:02}"] for number in range(0, 20, 2))
    assert sum(is_so[f"c{number:02}"] for number in range(1, 20, 2)) <= 2
    assert found.n_judged == 20
    assert found.share == pytest.approx(found.groups["is_replicating"].mean())


def test_the_order_of_rows_changes_nothing() -> None:
    profiles, table = wells(0.4)
    order = np.random.default_rng(1).permutation(80)

    assert replicating(profiles[order], table[order], by=[NAME]).groups.equals(
        replicating(profiles, table, by=[NAME]).groups
    )


def test_matching_looks_at_pairs_of_other_compounds_alone() -> None:
    found = replicating(*wells(2.0), by=["Metadata_moa"], different=[NAME])

    assert found.groups["n_pairs"].to_list() == [6 * 16] * 5
    assert found.share == pytest.approx(0.0, abs=0.21)  # compounds of a mechanism have nothing in common here


def test_without_another_well_or_another_row_there_is_nothing_to_judge() -> None:
    profiles, table = wells()
    with pytest.raises(InputRejectedError, match=r"none of 20 groups .* that differs in Metadata_Well"):
        replicating(profiles, table, by=[NAME], different=["Metadata_Well"])
    with pytest.raises(InputRejectedError, match="none of 20 groups"):
        replicating(profiles[::4], table[::4], by=[NAME])
    profiles[5, 2] = np.inf
    with pytest.raises(InputRejectedError, match="row 6 has one that is missing or infinite"):
        replicating(profiles, table, by=[NAME])


def test_rows_without_a_value_take_no_part() -> None:
    profiles, table = wells()
    profiles[:4] = np.nan
    blank = table.with_columns(pl.when(pl.col(NAME) != "c00").then(NAME).alias(NAME))

    assert replicating(profiles, blank, by=[NAME]).groups.height == 19
