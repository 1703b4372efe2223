from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hcs.catalog import (
    acceptance_reports,
    cancel_run,
    delete_run,
    find_plates,
    list_screens,
    plate_runs,
    plates_of,
    publish,
)
from hcs.errors import NotFoundError
from schemas.screen import ScreenConfig
from schemas.work import RunState


def run_of(catalog, make, screen, barcodes, **entry):
    """A run of a screen on some plates."""
    plates = [{"uri": f"/delivered/{barcode}", "barcode": barcode} for barcode in barcodes]
    return make.run(
        catalog,
        config=ScreenConfig(screen=screen, plates=plates),
        plates=[make.plate(barcode, **entry) for barcode in barcodes],
        wells=make.plain_wells(barcodes),
    ).id


@pytest.fixture
def filled(catalog, make):
    """Two screens, which have a plate of the same barcode, and four runs."""
    run_of(catalog, make, "pilot", ["P1", "P2"], batch="b1")
    run_of(catalog, make, "main", ["P9", "P1"], cell_line="U2OS")
    run_of(catalog, make, "pilot", ["P1"], batch="b2", uri="/moved/P1")
    run_of(catalog, make, "pilot", ["P2"], batch="b1")
    cancel_run(catalog, 4)
    publish(catalog, 2, calls=make.calls([]), neighbours=make.neighbours([]), profiles=[], state=RunState.COMPLETE)
    return catalog


def test_screens_are_told_with_what_they_hold(filled):
    screens = list_screens(filled)

    assert screens.drop("created_at").rows() == [("main", 2, 1, "run-2"), ("pilot", 2, 3, "run-4")]
    assert all(datetime.now(UTC) - made < timedelta(minutes=5) for made in screens["created_at"])


def test_a_catalog_without_runs_has_no_screens_and_no_plates(catalog):
    assert list_screens(catalog).height == find_plates(catalog).height == 0
    assert list_screens(catalog).columns == ["screen", "plates", "runs", "newest_run", "created_at"]


def test_plates_are_told_as_they_were_last_described(filled):
    plates = find_plates(filled)

    assert plates.select("screen", "plate", "batch", "cell_line", "runs", "newest_run").rows() == [
        ("main", "P1", "b1", "U2OS", 1, "run-2"),
        ("main", "P9", "b1", "U2OS", 1, "run-2"),
        ("pilot", "P1", "b2", None, 2, "run-3"),
        ("pilot", "P2", "b1", None, 2, "run-4"),
    ]
    for screen in ("main", "pilot"):
        assert find_plates(filled, screen).equals(plates.filter(screen=screen))


def test_the_runs_of_a_plate_tell_how_it_was_then(filled):
    newest, first = plate_runs(filled, "P1", screen="pilot")

    assert [(one.run, one.screen, one.state) for one in (newest, first)] == [
        ("run-3", "pilot", RunState.RUNNING),
        ("run-1", "pilot", RunState.RUNNING),
    ]
    assert (newest.root_uri, first.root_uri) == ("/moved/P1", "/delivered/P1")
    assert (newest.description["batch"], first.description["batch"]) == ("b2", "b1")
    for one in (newest, first):
        assert one.report == acceptance_reports(filled, one.run_id)["P1"]
        (row,) = plates_of(filled, one.run_id).filter(plate="P1").rows(named=True)
        assert row == row | one.description | {"layout": one.layout, "manifest_sha256": one.manifest_sha256}
        assert (row["root_uri"], one.finished_at) == (one.root_uri, None)


def test_a_barcode_of_two_screens_is_told_of_both(filled):
    assert [(one.run, one.screen) for one in plate_runs(filled, "P1")] == [
        ("run-3", "pilot"),
        ("run-2", "main"),
        ("run-1", "pilot"),
    ]
    assert plate_runs(filled, "P1", screen="main")[0].finished_at is not None


def test_a_plate_whose_runs_were_deleted_is_still_there(filled):
    delete_run(filled, 2)

    assert plate_runs(filled, "P9") == ()
    assert find_plates(filled, "main").select("plate", "runs", "newest_run").rows() == [
        ("P1", 0, None),
        ("P9", 0, None),
    ]
    assert list_screens(filled).filter(screen="main").drop("created_at").rows() == [("main", 2, 0, None)]


@pytest.mark.parametrize("wrong", ["", "P", "%", "\0", "\ud800", "' OR 1=1 --", "x" * 10_000, "<script>"])
def test_what_is_not_there_is_not_found(filled, wrong):
    for ask in (
        lambda: plate_runs(filled, wrong),
        lambda: plate_runs(filled, wrong, screen="pilot"),
        lambda: plate_runs(filled, "P1", screen=wrong),
        lambda: find_plates(filled, wrong),
    ):
        with pytest.raises(NotFoundError, match="holds no") as error:
            ask()
        assert len(str(error.value)) < 500


def test_the_nearest_name_is_offered(filled):
    with pytest.raises(NotFoundError, match="did you mean pilot"):
        find_plates(filled, "Pilot")
    with pytest.raises(NotFoundError, match=r"holds no plate 'P99'; did you mean P9"):
        plate_runs(filled, "P99")
    with pytest.raises(NotFoundError, match=r"holds no plate 'quite another'; it has P1, "):
        plate_runs(filled, "quite another")
    with pytest.raises(NotFoundError, match=r"screen 'pilot' holds no plate 'P9'"):
        plate_runs(filled, "P9", screen="pilot")
