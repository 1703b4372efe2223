from __future__ import annotations

import pytest

from hcs.catalog import (
    complete,
    fail,
    hand_back,
    lease,
    parts_of_well,
    plan,
    plate_standing,
    retry,
    run_status,
    visible_parts,
)
from hcs.errors import NotFoundError
from schemas.work import WellState

OWNER = "somewhere else/1/2/abcd"
LEASE = {"limit": 1, "seconds": 60}


def states(catalog, run_id, barcode="P1"):
    return {one.well: one.state for one in plate_standing(catalog, run_id, barcode).wells}


def finish(catalog, make, run_id, **options):
    (unit,) = lease(catalog, run_id, OWNER, **LEASE)
    complete(catalog, run_id, fence=unit.fence, **make.result(unit.spec, **options))
    return unit.spec


def give_up(catalog, run_id):
    for _ in range(3):
        (unit,) = lease(catalog, run_id, OWNER, **LEASE)
        fail(catalog, run_id, unit.spec.key, fence=unit.fence, reason="no memory")


def test_a_well_waits_is_under_work_and_is_done(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(number, n_sites=2) for number in range(3)])
    assert set(states(catalog, run_id).values()) == {WellState.WAITING}

    (unit,) = lease(catalog, run_id, OWNER, **LEASE)
    assert states(catalog, run_id)["A01"] is WellState.RUNNING
    hand_back(catalog, run_id, unit.spec.key, fence=unit.fence)
    assert states(catalog, run_id)["A01"] is WellState.WAITING

    finish(catalog, make, run_id)
    finish(catalog, make, run_id, failed=[2])
    lease(catalog, run_id, OWNER, **LEASE)
    standing = plate_standing(catalog, run_id, "P1")
    assert [(one.well, one.state, one.sites, one.sites_failed) for one in standing.wells] == [
        ("A01", WellState.DONE, 2, 0),
        ("A02", WellState.DONE, 2, 1),
        ("A03", WellState.RUNNING, 2, 0),
    ]
    assert standing.known == ("A01", "A02", "A03", "A04")  # the platemap has one more that was not delivered


def test_a_well_failed_where_all_its_sites_failed_or_its_unit_is_given_up(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(number, n_sites=2) for number in range(2)])
    finish(catalog, make, run_id, failed=[1, 2])
    give_up(catalog, run_id)

    wells = {one.well: one for one in plate_standing(catalog, run_id, "P1").wells}

    assert {one.state for one in wells.values()} == {WellState.FAILED}
    assert {one.sites_failed for one in wells.values()} == {2}
    assert sum(one.sites_failed for one in wells.values()) == run_status(catalog, run_id).sites_failed
    retry(catalog, run_id)
    assert states(catalog, run_id) == {"A01": WellState.FAILED, "A02": WellState.WAITING}


def test_until_a_plate_is_surveyed_the_wells_are_those_that_are_known(catalog, make):
    run_id = make.run(catalog).id
    assert states(catalog, run_id) == dict.fromkeys(["A01", "A02", "A03", "A04"], WellState.WAITING)

    plan(catalog, run_id, [make.unit(30, kind="survey")])
    lease(catalog, run_id, OWNER, **LEASE)
    standing = plate_standing(catalog, run_id, "P1")

    assert [one.well for one in standing.wells] == ["A01", "A02", "A03", "A04", "B07"]
    assert {(one.state, one.sites) for one in standing.wells} == {(WellState.WAITING, 0)}


def test_where_a_plate_could_not_be_surveyed_all_its_wells_failed(catalog, make):
    run_id = make.run(catalog, barcodes=["P1", "P2"]).id
    plan(catalog, run_id, [make.unit(0, kind="survey")])
    give_up(catalog, run_id)

    assert set(states(catalog, run_id).values()) == {WellState.FAILED}
    assert set(states(catalog, run_id, "P2").values()) == {WellState.WAITING}


def test_wells_stand_in_the_order_of_rows_and_columns(catalog, make):
    rows = [{"well": well, "control_type": "empty"} for well in ("AA01", "B10", "Z48", "B02")]
    run_id = make.run(catalog, wells=make.wells(rows)).id

    assert list(states(catalog, run_id)) == ["B02", "B10", "Z48", "AA01"]


@pytest.mark.parametrize("barcode", ["p1", "P9", "a\0b", ""])
def test_a_plate_that_the_run_does_not_have_is_refused(catalog, make, barcode):
    run_id = make.run(catalog).id

    with pytest.raises(NotFoundError, match="it has P1"):
        plate_standing(catalog, run_id, barcode)


def test_of_a_run_that_nobody_has_looked_at_that_is_said(catalog, make):
    run_id = make.submit(catalog).run.id

    with pytest.raises(NotFoundError, match="nobody has looked"):
        plate_standing(catalog, run_id, "P1")


def test_a_run_that_is_not_there_is_refused(catalog):
    with pytest.raises(NotFoundError, match="run"):
        plate_standing(catalog, 7, "P1")


def test_the_parts_of_a_well_are_those_of_its_unit(catalog, make):
    run_id = make.run(catalog, barcodes=["P1", "P2"]).id
    plan(catalog, run_id, [make.unit(n, barcode=barcode) for n in range(2) for barcode in ("P1", "P2")])
    while lease_left(catalog, run_id):
        done = finish(catalog, make, run_id)
    paths = dict(visible_parts(catalog, run_id, kind="embedding").select("unit_key", "relative_path").iter_rows())

    found = parts_of_well(catalog, run_id, "P2", "A02", kind="embedding")

    assert found.columns == ["relative_path", "sha256"]
    assert found["relative_path"].to_list() == [paths[make.unit(1, barcode="P2").key]] != [paths[make.unit(1).key]]
    assert done.plate == "P2"
    assert parts_of_well(catalog, run_id, "P2", "A07", kind="embedding").is_empty()
    assert parts_of_well(catalog, run_id, "P2", "A02", kind="images").is_empty()


def lease_left(catalog, run_id):
    return any(one.state is WellState.WAITING for b in ("P1", "P2") for one in plate_standing(catalog, run_id, b).wells)
