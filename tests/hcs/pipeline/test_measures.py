"""The maps of a plate of a small real run, against sums by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from served import BROKEN, perform_screen

from hcs.catalog import calls_on_plate, channel_rows, get_run, open_catalog, site_rows, wells_of
from hcs.errors import NotFoundError
from hcs.pipeline.measures import OF_CHANNELS, corrected, measure_plate

CHANNELS = ("AGP", "DNA", "Mito")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    finished = perform_screen(tmp_path_factory.mktemp("run"))
    with open_catalog(str(finished.catalog)) as catalog:
        yield catalog, get_run(catalog)


def maps_of(run, plate="P1"):
    found = measure_plate(*run, plate)
    return found, {measure.name: dict(zip(found.wells, raw, strict=True)) for measure, raw, _ in found.measures}


def test_every_measure_has_a_unit_and_a_value_a_well(run):
    found, _ = maps_of(run)

    assert (found.n_rows, found.n_columns) == (4, 6)
    assert [measure.name for measure, _, _ in found.measures] == [
        "cell_count",
        *(f"{name}:{channel}" for name in ("focus", "intensity", "saturation") for channel in CHANNELS),
        "effect",
        "mean_average_precision",
    ]
    assert len(found.wells) == len(found.control_types) == 18
    for measure, raw, changed in found.measures:
        assert measure.unit
        assert measure.description
        assert len(raw) == len(changed) == 18
        assert any(value is not None for value in raw), measure.name


def test_raw_values_are_the_means_over_the_sites_of_a_well(run):
    catalog, record = run
    _, maps = maps_of(run)

    counts = site_rows(catalog, record.id, plate="P1").group_by("well").agg(pl.col("cell_count").mean())
    assert maps["cell_count"] == dict(counts.iter_rows())
    rows = channel_rows(catalog, record.id, plate="P1")
    for name, (column, _, _) in OF_CHANNELS.items():
        for channel in CHANNELS:
            own = rows.filter(pl.col("channel") == channel)
            expected = {key[0]: group[column].mean() for key, group in own.partition_by("well", as_dict=True).items()}
            told = {well: value for well, value in maps[f"{name}:{channel}"].items() if value is not None}
            assert told == pytest.approx(expected, rel=1e-8)
    assert maps["intensity:DNA"][BROKEN] is None


def test_what_is_said_of_a_treatment_stands_in_each_of_its_wells_and_in_no_control(run):
    catalog, record = run
    found, maps = maps_of(run)
    said = {row["treatment"]: row for row in calls_on_plate(catalog, record.id, "P1").to_dicts()}
    treatments = dict(wells_of(catalog, run=record.id, plate="P1").select("well", "treatment").iter_rows())

    for well, kind in zip(found.wells, found.control_types, strict=True):
        for name in ("effect", "mean_average_precision"):
            expected = None if kind == "negcon" else said[treatments[well]][name]
            assert maps[name][well] == (None if expected is None else pytest.approx(expected, rel=1e-8))


def test_a_corrected_map_is_that_of_the_wells_in_their_places_and_null_where_a_line_has_too_few_values(run):
    found, _ = maps_of(run)

    for measure, raw, changed in found.measures:
        table = np.full((4, 6), np.nan)
        for well, value in zip(found.wells, raw, strict=True):
            table["ABCD".index(well[0]), int(well[1:]) - 1] = np.nan if value is None else value
        expected = corrected(table)
        for well, value in zip(found.wells, changed, strict=True):
            there = expected["ABCD".index(well[0]), int(well[1:]) - 1]
            assert value == (None if np.isnan(there) else pytest.approx(there, rel=1e-8, abs=1e-300)), measure.name
    counted = dict(zip(found.wells, found.measures[0][2], strict=True))
    assert {well for well, value in counted.items() if value is None} == {"A06", "B06", BROKEN}  # two were read there


@settings(deadline=None, max_examples=60)
@given(
    shape=hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=8),
    data=st.data(),
    constant=st.integers(-99, 99),
)
def test_gradients_of_a_plate_disappear_in_the_corrected_map(shape, data, constant):
    numbers = st.integers(-100, 100).map(float)
    rows, columns = (data.draw(hnp.arrays(np.float64, side, elements=numbers)) for side in shape)

    table = constant + rows[:, None] + columns

    np.testing.assert_allclose(corrected(table), constant + np.median(rows) + np.median(columns), atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 12), (2, 6), (8, 2), (1, 1)])
def test_too_few_rows_or_columns_say_nothing_about_a_place(shape):
    assert np.isnan(corrected(np.ones(shape))).all()


def test_a_plate_that_the_run_does_not_have_is_refused(run):
    with pytest.raises(NotFoundError, match="P9"):
        measure_plate(*run, "P9")
