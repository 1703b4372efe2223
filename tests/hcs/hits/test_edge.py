"""Which treatments have their controls at the edge alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from hcs.hits.edge import plates_with_controls_at_edge
from hcs.hits.warnings import activity_warnings

FORMATS = {96: (8, 12), 384: (16, 24), 1536: (32, 48)}


def plate(
    name: str, shape: tuple[int, int], is_negative: Callable[[int, int], bool], *, format_known: bool = True
) -> pl.DataFrame:
    """Return a full plate; what is not negative is treated, each well with a compound of its own."""
    rows = [
        (name, row, column, "negcon" if is_negative(row, column) else "treatment")
        for row in range(1, shape[0] + 1)
        for column in range(1, shape[1] + 1)
    ]
    frame = pl.DataFrame(rows, orient="row", schema=["plate", "row", "column", "control_type"])
    known = {"n_rows": shape[0], "n_columns": shape[1]} if format_known else {"n_rows": None, "n_columns": None}
    return frame.with_columns(
        *(pl.lit(value, dtype=pl.Int64).alias(name) for name, value in known.items()),
        pl.format("{}-{}", "row", "column").alias("perturbation"),
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("concentration_micromolar", "dose_step")),
    )


def edge_of(shape: tuple[int, int]) -> Callable[[int, int], bool]:
    return lambda row, column: row in {1, shape[0]} or column in {1, shape[1]}


@pytest.mark.parametrize("shape", FORMATS.values(), ids=map(str, FORMATS))
@pytest.mark.parametrize("format_known", [True, False])
def test_any_part_of_the_edge_is_told_of_and_one_control_inside_is_enough(
    shape: tuple[int, int], *, format_known: bool
) -> None:
    last = shape[1]
    at_edge = {
        "first column": lambda row, column: column == 1,
        "both columns": lambda row, column: column in {1, last},
        "frame": edge_of(shape),
    }
    inside = {
        "second column": lambda row, column: column in {1, 2},
        "one well": lambda row, column: column == 1 or (row, column) == (3, 4),
        "no control": lambda row, column: False,
    }

    for name, is_negative in at_edge.items():
        found = plates_with_controls_at_edge(plate("p", shape, is_negative, format_known=format_known))
        # Without a format only the first row and column are known to be at the edge.
        assert found == (("p",) if format_known or name == "first column" else ()), name
    for name, is_negative in inside.items():
        wells = plate("p", shape, is_negative, format_known=format_known)
        assert plates_with_controls_at_edge(wells) == (), name


def test_where_all_wells_are_at_the_edge_controls_are_as_treatments_are() -> None:
    shape = (8, 12)
    wells = plate("p", shape, lambda row, column: column == 1)
    frame = wells.filter(pl.struct("row", "column").map_elements(lambda p: edge_of(shape)(*p.values()), pl.Boolean))

    assert plates_with_controls_at_edge(wells) == ("p",)
    assert plates_with_controls_at_edge(frame) == ()


def test_a_treatment_with_controls_inside_on_another_plate_is_not_told_of() -> None:
    edge, inner = (plate(name, (8, 12), lambda row, column, at=at: column == at) for name, at in (("a", 1), ("b", 5)))
    # Another compound in every well, so that no treatment lies on both.
    apart = inner.with_columns(pl.format("other {}", "perturbation").alias("perturbation"))

    # What lies in column 5 of `a` has no other plate.
    in_both = edge.filter((pl.col("column") != 5) | (pl.col("control_type") == "negcon"))
    assert plates_with_controls_at_edge(pl.concat([in_both, inner])) == ()
    assert plates_with_controls_at_edge(pl.concat([edge, inner])) == ("a",)
    assert plates_with_controls_at_edge(pl.concat([edge, apart])) == ("a",)


def test_the_order_of_wells_changes_nothing_and_fitted_controls_do_not_count() -> None:
    wells = plate("p", (8, 12), lambda row, column: column in {1, 6}).with_columns(is_fitted=pl.col("column") == 6)
    shuffled = wells[np.random.default_rng(0).permutation(wells.height)]

    assert plates_with_controls_at_edge(shuffled) == plates_with_controls_at_edge(wells) == ("p",)
    assert plates_with_controls_at_edge(wells.with_columns(is_fitted=False)) == ()
    assert plates_with_controls_at_edge(wells.clear()) == ()


def test_the_warning_names_the_plates_and_stands_before_those_of_p_values() -> None:
    calls = pl.DataFrame({"control_type": ["treatment"] * 40, "p_value": [0.001] * 40})

    told = list(activity_warnings(calls, edge_plates=tuple("abcdef")))

    assert told[0].startswith("treatments inside 6 plates (a, b, c, d, e ...) have negative controls in the outermost")
    assert told[1:] == list(activity_warnings(calls))
    assert "seem to do nothing" in told[1]
