from __future__ import annotations

import polars as pl
import pytest

from hcs.catalog import (
    adopt_finished,
    adoptable,
    channel_rows,
    complete,
    count_sites,
    count_units,
    failures_of,
    focus_rows,
    lease,
    plan,
    plates_of,
    site_rows,
    visible_parts,
)
from hcs.errors import CatalogError
from schemas.work import UnitState

OWNER = "somewhere else/1/2/abcd"


@pytest.fixture
def leased(catalog, make):
    """A run with one unit of three sites, leased."""
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1, n_sites=3)])
    (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    return run_id, unit


def test_a_finished_unit_shows_exactly_the_rows_that_came(catalog, make, leased):
    run_id, unit = leased
    result = make.result(unit.spec, failed=[2])

    complete(catalog, run_id, fence=unit.fence, **result)

    sites = site_rows(catalog, run_id)
    assert sites.rows(named=True) == result["sites"].rows(named=True)
    assert channel_rows(catalog, run_id).rows(named=True) == result["channels"].rows(named=True)
    focus = focus_rows(catalog, run_id, "P1")
    assert focus.equals(channel_rows(catalog, run_id, plate="P1").select(focus.columns))
    assert focus.height == len(result["channels"])
    assert focus_rows(catalog, run_id, "another").is_empty()
    for counted in count_sites(catalog, run_id, "P1").iter_rows(named=True):
        here = sites.filter(well=counted["well"])
        n_failed = here.filter(status="failed").height
        assert (counted["sites"], counted["sites_failed"]) == (here.height, n_failed)
        assert counted["cell_count"] == here["cell_count"].mean()
    assert count_sites(catalog, run_id, "P1")["well"].to_list() == sites["well"].unique().sort().to_list()
    assert count_sites(catalog, run_id, "another").is_empty()
    (part,) = visible_parts(catalog, run_id).rows(named=True)
    assert part == {"plate": "P1", "unit_key": unit.spec.key, **result["receipt"].parts[0].model_dump()}
    assert failures_of(catalog, run_id).rows() == [("P1", "A02", 2, unit.spec.key, 1, "the file ends early")]


def test_a_unit_of_which_nothing_could_be_read_needs_no_vectors(catalog, make, leased):
    run_id, unit = leased
    result = make.result(unit.spec, failed=[1, 2, 3])
    result["receipt"] = result["receipt"].model_copy(update={"parts": ()})

    complete(catalog, run_id, fence=unit.fence, **result)

    assert site_rows(catalog, run_id)["status"].to_list() == ["failed"] * 3


def _one_site_less(result):
    result["sites"] = result["sites"][:-1]


def _another_well(result):
    result["sites"] = result["sites"].with_columns(well=pl.lit("P24"))
    result["channels"] = None


def _another_plate(result):
    result["sites"] = result["sites"].with_columns(plate=pl.lit("P2"))
    result["channels"] = None


def _the_same_site_again(result):
    result["sites"] = pl.concat([result["sites"], result["sites"][:1]])


def _a_failure_that_nobody_counted(result):
    failed = {"status": pl.lit("failed"), "reason": pl.lit("?")}
    result["sites"] = result["sites"].with_columns(**failed)
    result["channels"] = None


def _one_vector_less(result):
    part = result["receipt"].parts[0].model_copy(update={"n_rows": 2})
    result["receipt"] = result["receipt"].model_copy(update={"parts": (part,)})


def _no_vectors(result):
    result["receipt"] = result["receipt"].model_copy(update={"parts": ()})


def _vectors_of_another_encoder(result):
    part = result["receipt"].parts[0].model_copy(update={"encoder": "other"})
    result["receipt"] = result["receipt"].model_copy(update={"parts": (part,)})


def _fewer_sites_than_planned(result):
    result["receipt"] = result["receipt"].model_copy(update={"n_sites": 2})


def _no_sites(result):
    result["sites"] = None


def _quality_of_a_site_elsewhere(result):
    result["channels"] = result["channels"].with_columns(site=pl.lit(9, pl.Int32)).unique(["site", "channel"])


def _not_a_number(result):
    result["channels"] = result["channels"].with_columns(mean=pl.lit(float("nan")))


def _a_column_is_missing(result):
    result["sites"] = result["sites"].drop("n_tiles")


@pytest.mark.parametrize(
    "spoil",
    [
        _one_site_less,
        _another_well,
        _another_plate,
        _the_same_site_again,
        _a_failure_that_nobody_counted,
        _one_vector_less,
        _no_vectors,
        _vectors_of_another_encoder,
        _fewer_sites_than_planned,
        _no_sites,
        _quality_of_a_site_elsewhere,
        _not_a_number,
        _a_column_is_missing,
    ],
    ids=lambda spoil: spoil.__name__.strip("_"),
)
def test_a_result_that_is_not_the_whole_unit_is_refused_and_leaves_nothing(catalog, make, leased, spoil):
    run_id, unit = leased
    result = make.result(unit.spec)
    spoil(result)

    with pytest.raises(CatalogError, match="unit"):
        complete(catalog, run_id, fence=unit.fence, **result)

    assert len(site_rows(catalog, run_id)) == len(visible_parts(catalog, run_id)) == 0
    assert count_units(catalog, run_id)[UnitState.LEASED] == 1
    complete(**make.done(catalog, run_id, unit))


def test_a_site_belongs_to_one_unit(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(1, key=make.sha("the same sites under another key"))])
    first, second = lease(catalog, run_id, OWNER, limit=2, seconds=60)
    complete(**make.done(catalog, run_id, first))

    with pytest.raises(CatalogError, match="contradict"):
        complete(**make.done(catalog, run_id, second))

    assert len(visible_parts(catalog, run_id)) == 1


def test_a_finished_survey_is_noted_at_its_plate(catalog, make):
    run_id = make.run(catalog, barcodes=["P1", "P2"]).id
    plan(catalog, run_id, [make.unit(1, kind="survey", barcode="P2")])
    (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)

    complete(**make.done(catalog, run_id, unit))

    assert plates_of(catalog, run_id)["survey_sha256"].to_list() == [None, make.sha(unit.spec.key)]
    (part,) = visible_parts(catalog, run_id, kind="survey", plate="P2").rows(named=True)
    assert part["encoder"] is None


def test_parts_are_found_by_kind_encoder_and_plate(catalog, make):
    run_id = make.run(catalog, barcodes=["P1", "P2"]).id
    both = (make.encoder("a"), make.encoder("b"))
    plan(catalog, run_id, [make.unit(1, barcode=barcode, encoders=both) for barcode in ("P2", "P1")])
    for unit in lease(catalog, run_id, OWNER, limit=2, seconds=60):
        complete(**make.done(catalog, run_id, unit))

    assert visible_parts(catalog, run_id).select("plate", "encoder").rows() == [
        ("P1", "a"),
        ("P1", "b"),
        ("P2", "a"),
        ("P2", "b"),
    ]
    assert visible_parts(catalog, run_id, kind="embedding", encoder="b", plate="P2").height == 1
    assert visible_parts(catalog, run_id, encoder="c").height == 0


def test_work_that_another_run_has_done_is_taken_over(catalog, make):
    first, second = make.run(catalog, barcodes=["P1", "P2"]).id, make.run(catalog, barcodes=["P1", "P2"]).id
    units = [make.unit(0, kind="survey"), make.unit(1, n_sites=2), make.unit(2), make.unit(3, barcode="P2")]
    plan(catalog, first, units)
    plan(catalog, second, [*units, make.unit(4)])
    for unit in lease(catalog, first, OWNER, limit=3, seconds=60):
        complete(catalog, first, fence=unit.fence, **make.result(unit.spec, failed=[2]))

    offers = adoptable(catalog, second)
    assert [(offer.key, offer.from_run) for offer in offers] == [(unit.key, first) for unit in units[:3]]
    assert offers[1].parts == make.result(units[1], failed=[2])["receipt"].parts
    assert adopt_finished(catalog, second, keys=[units[0].key, units[1].key]) == 2

    assert adopt_finished(catalog, second) == 1
    assert adopt_finished(catalog, second) == 0
    assert site_rows(catalog, second).equals(site_rows(catalog, first))
    assert channel_rows(catalog, second).equals(channel_rows(catalog, first))
    assert visible_parts(catalog, second).equals(visible_parts(catalog, first))
    assert plates_of(catalog, second)["survey_sha256"].to_list() == plates_of(catalog, first)["survey_sha256"].to_list()
    assert failures_of(catalog, second).equals(failures_of(catalog, first))
    assert {unit.spec.key for unit in lease(catalog, second, OWNER, limit=9, seconds=60)} == {
        units[3].key,
        make.unit(4).key,
    }


def test_work_done_under_another_barcode_is_not_taken_over(catalog, make):
    key = make.sha("the same images under two barcodes")
    first, second = make.run(catalog).id, make.run(catalog, barcodes=["P2"]).id
    plan(catalog, first, [make.unit(1, key=key)])
    plan(catalog, second, [make.unit(1, key=key, barcode="P2")])
    (unit,) = lease(catalog, first, OWNER, limit=1, seconds=60)
    complete(**make.done(catalog, first, unit))

    assert adoptable(catalog, second) == []
    assert adopt_finished(catalog, second) == 0
