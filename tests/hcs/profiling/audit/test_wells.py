"""What an audit reads of metadata."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.audit.wells import AuditColumns, AuditWells, audit_wells, perturbation_order

COLUMNS = AuditColumns(batch="b", perturbation="c", plate="p", well="w", cell_count="n")
TABLE = pl.DataFrame(
    {
        "b": ["x", "x", "y"],
        "p": ["1", "1", "2"],
        "w": ["A01", "P24", "AF48"],
        "c": ["DMSO", None, "drop table; --"],
        "n": ["3", None, "5.5"],
    }
)


def _read(table: pl.DataFrame, columns: AuditColumns = COLUMNS) -> AuditWells:
    is_negcon = (table["c"] == "DMSO").fill_null(value=False).to_numpy()
    return audit_wells(table, np.ones((table.height, 2)), columns=columns, is_negcon=is_negcon)


def test_names_become_numbers_in_order_of_appearance() -> None:
    made = _read(TABLE)

    assert made.design.batches.tolist() == [0, 0, 1]
    assert made.design.perturbations.tolist() == [0, -1, 1]
    assert made.perturbations == ("DMSO", "drop table; --")
    assert made.is_treated.tolist() == [False, False, True]
    np.testing.assert_array_equal(made.design.rows, [0, 15, 31])
    np.testing.assert_array_equal(made.design.columns, [0, 23, 47])
    np.testing.assert_array_equal(made.design.cell_counts, [3.0, np.nan, 5.5])


def test_wells_may_be_called_anything_and_then_have_no_row() -> None:
    made = _read(TABLE.with_columns(w=pl.Series(["here", "there", "here"])))

    np.testing.assert_array_equal(made.positions, [0, 1, 0])
    assert made.design.rows is None


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("b", ["x", None, "y"], "must say in b"),
        ("w", ["A01", "A01", "A01"], "well A01 of plate 1 comes more than once"),
        ("n", ["3", "many", "1"], "no number"),
    ],
)
def test_wells_that_do_not_say_enough_are_refused(column: str, values: list[str | None], words: str) -> None:
    with pytest.raises(InputRejectedError, match=words):
        _read(TABLE.with_columns(pl.Series(column, values, dtype=pl.String)))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(UsageError, match="needs the column batch"):
        _read(TABLE, AuditColumns(batch="batch", perturbation="c", plate="p"))


def test_halves_follow_from_names_alone() -> None:
    names = [f"compound {i}" for i in range(20)]
    order = perturbation_order(names, seed=0)

    assert [names[i] for i in order] == [names[::-1][i] for i in perturbation_order(names[::-1], seed=0)]
    assert order.tolist() != perturbation_order(names, seed=1).tolist()
