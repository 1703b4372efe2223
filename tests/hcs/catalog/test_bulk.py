from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcs.catalog import neighbour_rows
from hcs.catalog.bulk import ROWS_AT_ONCE, insert_frame
from hcs.catalog.engine import Catalog
from hcs.catalog.models import Neighbour, RunWell
from hcs.errors import CatalogError

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)  # SQLite has one zero
HOSTILE = ["\\.", "a\n\\.\nb", "{a,b}", "NULL", "\\N", "", "%s %(a)s", 'it\'s "so"', "{", ",", "£é漢😀"]


def near(texts: list[str], numbers: list[float]) -> pl.DataFrame:
    columns = {
        "profile": ["combined"] * len(texts),
        "treatment": texts,
        "rank": pl.Series(range(1, len(texts) + 1), dtype=pl.Int32),
        "neighbour": texts[::-1],
        "similarity": pl.Series(numbers, dtype=pl.Float64),
    }
    return pl.DataFrame(columns, schema_overrides={"treatment": pl.String, "neighbour": pl.String})


@given(rows=st.lists(st.tuples(TEXTS | st.sampled_from(HOSTILE), NUMBERS), max_size=30))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rows_come_back_as_they_went_in_whatever_they_say(catalog: Catalog, make, rows) -> None:
    frame = near([text for text, _ in rows], [number for _, number in rows])
    run_id = make.run(catalog).id
    with catalog.writing() as connection:
        insert_frame(connection, Neighbour, frame, run_id=run_id)

    found = neighbour_rows(catalog, run_id)

    assert found.equals(frame.sort("profile", "treatment", "rank").select(found.columns))


def test_more_rows_than_one_statement_takes_all_come_in(catalog: Catalog, make) -> None:
    n = ROWS_AT_ONCE + 1
    run_id = make.run(catalog).id
    with catalog.writing() as connection:
        insert_frame(
            connection, Neighbour, near([f"CPD{i}" for i in range(n)], [i / n for i in range(n)]), run_id=run_id
        )

    assert neighbour_rows(catalog, run_id)["similarity"].sum() == pytest.approx((n - 1) / 2)


def test_columns_that_are_null_everywhere_keep_their_types(catalog: Catalog, make) -> None:
    run_id = make.run(catalog).id
    wells = pl.DataFrame({"plate": ["P1"], "well": ["H12"], "control_type": ["empty"], "metadata": ["{}"]})
    nothing = {"name": pl.Null, "dose_step": pl.Float64, "excluded_reason": pl.String}
    with catalog.writing() as connection:
        insert_frame(
            connection, RunWell, wells.with_columns(pl.lit(None, t).alias(n) for n, t in nothing.items()), run_id=run_id
        )
        row = connection.execute(RunWell.__table__.select().where(RunWell.well == "H12")).one()

    assert (row.name, row.dose_step, row.excluded_reason, row.control_type) == (None, None, None, "empty")


def test_a_row_that_is_there_already_is_refused_with_all_others(catalog: Catalog, make) -> None:
    run_id = make.run(catalog).id
    frame = near(["A", "B"], [0.5, 0.25])
    with pytest.raises(CatalogError, match="contradict"), catalog.writing() as connection:
        insert_frame(connection, Neighbour, pl.concat([frame, frame]), run_id=run_id)

    assert neighbour_rows(catalog, run_id).is_empty()
