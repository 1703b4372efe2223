"""Maps, provenance and progress of wells over HTTP."""

from __future__ import annotations

import hashlib
import threading

import polars as pl
import pytest
from held import HeldImage
from runs import perform
from served import BROKEN, deliver_screen, make_keys
from serving import serving

from hcs.catalog import get_run, open_catalog, plate_standing, run_status, visible_parts
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.measures import measure_plate
from schemas.work import UnitState

HELD = "B05"


def test_a_plate_is_told_as_maps(reader, finished):
    told = reader.get("/v1/plates/P1/measures").json()
    with open_catalog(str(finished.catalog)) as catalog:
        expected = measure_plate(catalog, get_run(catalog), "P1")

    assert reader.get("/v1/plates/P1/measures", params={"run": "run-1"}).json() == told  # kept from the time before
    assert (told["plate"], told["run"], told["rows"], told["columns"]) == ("P1", "run-1", 4, 6)
    assert told["wells"] == list(expected.wells) == [item["well"] for item in wells_of(reader)]
    assert told["control_type"] == [item["control_type"] for item in wells_of(reader)]
    assert [(item["name"], item["raw"], item["corrected"]) for item in told["measures"]] == [
        (measure.name, list(raw), list(changed)) for measure, raw, changed in expected.measures
    ]
    (count,) = [item for item in told["measures"] if item["name"] == "cell_count"]
    assert count["raw"] == [item["cell_count"] for item in wells_of(reader)]
    assert count["unit"] == "cells a site"
    assert reader.get(reader.get("/v1/plates/P1").json()["links"]["measures"]).json() == told


def wells_of(reader):
    return reader.get("/v1/plates/P1/wells").json()["items"]


def test_a_well_is_followed_back_to_the_bytes_of_its_images(reader, finished):
    told = reader.get("/v1/plates/P1/wells/a1/provenance").json()
    run = reader.get("/v1/runs/run-1").json()

    assert (told["plate"], told["well"], told["run"]) == ("P1", "A01", "run-1")
    for name in ("config_sha256", "code_version", "pin", "encoders"):
        assert told[name] == run[name]
    assert told["manifest_sha256"] == reader.get("/v1/plates/P1").json()["manifest_sha256"]
    assert [(image["site"], image["channel"]) for image in told["images"]] == [(1, "AGP"), (1, "DNA"), (1, "Mito")]
    for image in told["images"]:
        path = finished.folder / "P1" / f"A01-{image['channel']}.tif"
        content = path.read_bytes()
        assert image["uri"] == str(path)
        assert (image["size_bytes"], image["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_well_of_which_no_site_could_be_used_has_no_images(reader):
    assert reader.get(f"/v1/plates/P1/wells/{BROKEN}/provenance").json()["images"] == []


def test_only_the_part_of_its_unit_is_read(copied):
    with open_catalog(str(copied.catalog)) as catalog:
        paths = visible_parts(catalog, 1, kind="images", plate="P1")["relative_path"].to_list()
        with_well = [path for path in paths if holds(copied.folder / "parts" / path, "A01")]
        assert len(paths) > len(with_well) == 1
        for path in set(paths) - set(with_well):
            (copied.folder / "parts" / path).unlink()
    with serving(copied.catalog) as server, server.client(copied.keys.read) as client:
        assert len(client.get("/v1/plates/P1/wells/A01/provenance").json()["images"]) == 3
        lost = client.get("/v1/plates/P1/wells/C01/provenance")

    assert lost.status_code == 503
    assert str(copied.folder) not in lost.text


def holds(path, well):
    return well in pl.read_parquet(path)["well"]


@pytest.mark.parametrize(
    "path",
    [
        "plates/P9/measures",
        "plates/P9/wells/A01/provenance",
        "plates/P1/wells/H12/provenance",
        "plates/P1/wells/nothing/provenance",
        "plates/P1/measures?run=run-99",
        "plates/P1/wells/A01/provenance?run=run-99",
        "runs/run-1/plates/P9/progress",
        "runs/run-99/plates/P1/progress",
    ],
)
def test_what_is_not_there_is_404(reader, path):
    answer = reader.get(f"/v1/{path}")

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:hcs:not-found"


def test_the_wells_of_a_finished_run_are_done_or_failed(reader):
    told = reader.get("/v1/runs/run-1/plates/P1/progress")

    assert "Retry-After" not in told.headers
    assert {well["well"]: well["state"] for well in told.json()["wells"]} == {
        item["well"]: "failed" if item["well"] == BROKEN else "done" for item in wells_of(reader)
    }
    assert [well["sites_failed"] for well in told.json()["wells"]] == [
        item["sites_failed"] for item in wells_of(reader)
    ]


def test_a_submitted_run_that_nobody_has_looked_at_has_no_wells_to_tell_of(submitter, finished):
    location = submitter.post("/v1/runs", json=finished.submission("no wells yet")).headers["Location"]

    answer = submitter.get(f"{location}/plates/P1/progress")

    assert answer.status_code == 404
    assert "nobody has looked" in answer.json()["detail"]


class HoldsOnceSurveyed:
    """Puts a pipe in an image's place as soon as its plate is surveyed, so that a unit hangs in the middle."""

    def __init__(self, image):
        self.held, self.is_holding = HeldImage(image), threading.Event()

    def came(self, spec, outcome):
        if spec.kind == "survey" and spec.plate == "P1" and not self.is_holding.is_set():
            self.held.__enter__()
            self.is_holding.set()


def test_in_the_middle_of_a_run_some_wells_are_done_some_under_work_and_some_wait(tmp_path):
    screen, url = deliver_screen(tmp_path), str(tmp_path / "catalog.sqlite")
    keys, holder = make_keys(url), HoldsOnceSurveyed(tmp_path / "P1" / f"{HELD}-DNA.tif")

    def run():
        with open_catalog(url) as catalog:
            perform(catalog, screen, LocalExecutor(threads=1), came=holder.came)

    working = threading.Thread(target=run)
    with serving(url) as server, server.client(keys.read) as client:
        working.start()
        assert holder.is_holding.wait(60)
        with holder.held:
            holder.held.wait_until_read()
            answer = client.get("/v1/runs/latest/plates/P1/progress")
            with open_catalog(url) as catalog:
                leased = run_status(catalog, 1).units[UnitState.LEASED]
                standing = plate_standing(catalog, 1, "P1")
        working.join(120)
        after = client.get("/v1/runs/run-1/plates/P1/progress").json()
        provenance = client.get(f"/v1/plates/P1/wells/{HELD}/provenance", params={"run": "run-1"}).json()

    states = {well["well"]: well["state"] for well in answer.json()["wells"]}
    assert int(answer.headers["Retry-After"]) > 0
    assert leased >= 1
    assert states[HELD] == "running"
    assert states["A01"] == "done"
    assert set(states.values()) == {"done", "running", "waiting"}
    assert len(states) == 18
    assert states == {one.well: one.state.value for one in standing.wells}
    assert {well["state"] for well in after["wells"]} == {"done", "failed"}
    assert {well["well"] for well in after["wells"] if well["state"] == "failed"} == {HELD, BROKEN}
    assert provenance["images"] == []
