"""The client against the real server: every answer is the record that it says to be."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from held import HeldImage
from PIL import Image

import hcs
from hcs.catalog import HitLimits, begin_dispatch, find_hits, note_dispatch, open_catalog
from hcs.client import Client
from hcs.errors import (
    ApiConflictError,
    ApiError,
    ApiInvalidError,
    ApiKeyError,
    ApiNotAllowedError,
    ApiNotFoundError,
    ConflictError,
    NoAnswerError,
    NotFoundError,
    UsageError,
    WaitedTooLongError,
)
from hcs.io.screen import load_screen
from schemas.acceptance import Verdict
from schemas.api import Hit
from schemas.work import DispatchState, RunState, WellState

SCRIPT, FORMULA, SLASH = "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "CPD/3"


def test_what_there_is_can_be_listed(client):
    (screen, *others) = [screen for screen in client.screens() if screen.screen == "hostile names"]

    assert (screen.plates, others) == (2, [])
    assert [plate.barcode for plate in client.plates("hostile names")] == ["P1", "P2"]
    assert [run.id for run in client.runs()][-1] == "run-1"
    assert [plate.barcode for plate in client.plates_of("run-1")] == ["P1", "P2"]
    assert [profile.name for profile in client.profiles_of("run-1")] == ["combined", "named"]
    assert {item.label for item in client.mechanisms()} == {"tubulin inhibitor", "kinase inhibitor"}


def test_a_plate_tells_its_report_and_its_wells(client):
    plate, wells = client.plate("P1", run="run-1"), client.wells("P1")

    assert plate.report.plate == "P1"
    assert plate.quality.sites_failed == 1
    assert len(wells) == 18
    assert [well.perturbation for well in wells if well.well == "B03"] == [SCRIPT]


def test_the_wells_of_a_plate_are_told_as_maps_followed_back_and_watched(client):
    maps, wells = client.measures("P1"), {well.well: well for well in client.wells("P1")}
    provenance, progress = client.provenance("P1", "a1", run="run-1"), client.well_progress("run-1", "P1")

    assert client.measures("P1", run=client.run("run-1")) == maps
    (count,) = [measure for measure in maps.measures if measure.name == "cell_count"]
    assert dict(zip(maps.wells, count.raw, strict=True)) == {name: well.cell_count for name, well in wells.items()}
    assert (provenance.well, len(provenance.images)) == ("A01", 3)
    assert provenance.encoders == client.run("run-1").encoders
    assert {one.well for one in progress.wells if one.state is WellState.FAILED} == {"C06"}
    assert sum(one.sites_failed for one in progress.wells) == client.plate("P1").quality.sites_failed == 1


def test_a_screen_is_checked_before_it_is_submitted(client, finished):
    runs = [run.id for run in client.runs()]

    told = client.check(finished.folder / "SCREEN.yaml")

    assert (told.verdict, [plate.barcode for plate in told.plates]) == (Verdict.ACCEPT_WITH_HOLES, ["P1", "P2"])
    assert [plate.report for plate in told.plates] == [client.plate(name, run="run-1").report for name in ("P1", "P2")]
    assert [run.id for run in client.runs()] == runs
    with pytest.raises(ApiNotAllowedError):
        client.check({"screen": "x", "plates": [{"uri": "/etc"}]})


def test_a_check_is_waited_for_as_long_as_it_says(finished, server):
    (finished.folder / "held.csv").write_text("well,perturbation\nA01,DMSO\n", encoding="utf-8")
    screen = finished.submission("slow", platemaps=str(finished.folder / "held.csv"))
    with (
        Client(server.url, key=finished.keys.submit, timeout=1, patience=0) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        with HeldImage(finished.folder / "held.csv") as held:
            with pytest.raises(NoAnswerError):
                client.check(screen, timeout=0.5)
            held.wait_until_read()
            waiting = pool.submit(client.check, finished.submission("behind it"))
            time.sleep(2)  # longer than the client waits for other answers
            assert not waiting.done()
        assert waiting.result(60).screen == "behind it"


def test_a_run_is_known_by_its_name_and_by_its_record(client, finished):
    by_name = client.run("run-1")

    assert by_name.state is RunState.COMPLETE_WITH_HOLES
    assert client.run(by_name) == by_name
    assert client.screen_of(by_name) == load_screen(str(finished.folder / "SCREEN.yaml"))
    assert client.wait(by_name) == by_name


@pytest.mark.parametrize("mechanism", [None, "Tubulin Inhibitor", "kinase inhibitor", "no such mechanism"])
@pytest.mark.parametrize("q_max", [0.05, 1.0])
def test_hits_are_those_of_the_catalog(client, finished, mechanism, q_max):
    with open_catalog(str(finished.catalog)) as catalog:
        expected = find_hits(catalog, HitLimits(mechanism=mechanism, q_max=q_max), run="run-1")

    hits = list(client.hits(mechanism=mechanism, q_max=q_max, run="run-1"))
    frame = client.hits_frame(mechanism=mechanism, q_max=q_max, run="run-1")

    assert {hit.treatment for hit in hits} == set(expected["treatment"])
    assert frame.columns == list(Hit.model_fields)
    assert frame["treatment"].to_list() == [hit.treatment for hit in hits]
    assert frame.schema["q_value"] == pl.Float64
    assert frame.schema["n_plates"] == pl.Int64
    assert frame["explanations"].to_list() == [" | ".join(hit.explanations) for hit in hits]
    assert frame.schema["doubts"] == pl.String
    assert frame.write_csv().count("\n") > len(hits)


def test_every_filter_of_hits_is_asked_for(line, far):
    nots = ("not_toxic", "not_by_count", "not_one_channel", "not_flagged")

    hits = list(far.hits(q_max=1, run="run-1", min_batches=3, **dict.fromkeys(nots, True)))

    (heard,) = line.heard
    assert all(f"{name}=true" in heard.path for name in nots)
    assert "min_batches=3" in heard.path
    assert hits == []  # there are two batches


def test_all_pages_are_read(line, far, monkeypatch):
    monkeypatch.setattr("hcs.client.asking.LARGEST_PAGE", 3)

    hits = [hit.treatment for hit in far.hits(q_max=1, run="run-1")]

    assert len(hits) == len(set(hits)) == 8
    assert len(line.heard) == 3
    assert sum("cursor=" in one.path for one in line.heard) == 2


def test_names_are_verbatim_also_in_a_path(client):
    for name in (SCRIPT, FORMULA, SLASH):
        found = client.perturbation(name)

        assert found.perturbation == name
        assert found.n_wells == len(found.wells) == (4 if name == SLASH else 6)
        assert {near.treatment.rpartition("@")[0] for near in client.neighbours(name, top=2)} == {name}


@pytest.mark.parametrize("name", ["..", ".", "a/../b", "%2e%2e", "ü ?#"])
def test_no_name_leads_to_another_path(client, name):
    with pytest.raises(ApiNotFoundError) as caught:
        client.perturbation(name)

    assert "perturbation" in caught.value.detail
    assert "no path" not in caught.value.detail


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(content), formats=["WEBP"]) as picture:
        return picture.size


def test_pictures_are_webp(client):
    well = client.image("P1", "a1", channels={"DNA": "0046ff"}, size=32)
    site = client.image("P1", "A01", site=1, channels=["DNA", "AGP"], low=1, high=99, raw=True, run="run-1")
    grey = client.image("P1", "A01", channels="DNA")
    sheet = client.sheet("P1", size=16)

    assert max(size_of(well)) < 64 < max(size_of(grey))
    assert size_of(site) == (96 + 8, 96 + 8), "one site with the gap around it"
    assert 6 * 16 <= max(size_of(sheet)) < 6 * 32


def test_the_same_screen_is_one_run_unless_another_is_asked_for(client, finished):
    fields = finished.submission("submitted by a client")

    first = client.submit(fields)
    again, another = client.submit(fields), client.submit(fields, new=True)

    assert first.state is RunState.SUBMITTED
    assert again.id == first.id != another.id
    assert client.cancel(first).state is RunState.CANCELLED
    assert client.retry(first).state is RunState.SUBMITTED


def test_a_file_a_record_and_its_fields_are_the_same_submission(client, finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    record = load_screen("SCREEN.yaml")

    runs = [client.submit(screen) for screen in ("SCREEN.yaml", Path("SCREEN.yaml"), record)]
    runs.append(client.submit(record.model_dump(mode="json")))

    assert len({run.id for run in runs}) == 1
    assert client.screen_of(runs[0]) == record


def test_the_same_word_for_another_screen_is_a_conflict(client, finished):
    client.submit(finished.submission("one"), idempotency_key="a word of ours".replace(" ", "-"))

    with pytest.raises(ApiConflictError, match="Idempotency-Key") as caught:
        client.submit(finished.submission("two"), idempotency_key="a-word-of-ours")

    assert isinstance(caught.value, ConflictError)


def test_a_deleted_run_is_not_found(server, finished):
    with Client(server.url, key=finished.keys.admin) as admin:
        run = admin.cancel(admin.submit(finished.submission("to be deleted")))
        admin.delete(run)

        with pytest.raises(ApiNotFoundError) as caught:
            admin.run(run)

    assert isinstance(caught.value, NotFoundError)
    assert caught.value.status == 404


def test_mistakes_have_a_pointer_each(client, finished):
    with pytest.raises(ApiInvalidError) as caught:
        client.submit(finished.submission("x", plats=[], encoders=[{"nam": "named"}]))

    assert {error.pointer for error in caught.value.errors} >= {"#/plats", "#/encoders/0/nam"}
    assert "did you mean plates" in str(caught.value)
    assert "#/encoders/0/name: is missing" in str(caught.value)
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize("run", [1, None, 2.5])
def test_what_is_no_run_is_said(client, run):
    with pytest.raises(UsageError, match="its name such as 'run-12'"):
        client.cancel(run)


def test_a_parameter_that_is_wrong_is_named(client):
    with pytest.raises(ApiInvalidError) as caught:
        list(client.hits(q_max=2))

    assert [error.parameter for error in caught.value.errors] == ["q_max"]


def test_places_outside_the_roots_are_refused(client):
    with pytest.raises(ApiNotAllowedError, match="plates/0/uri"):
        client.submit({"screen": "x", "plates": [{"uri": "file:///etc"}]})


@pytest.mark.parametrize(("key", "error"), [("revoked", ApiKeyError), ("read", ApiNotAllowedError)])
def test_a_key_that_is_not_good_for_it_is_refused(server, finished, key, error):
    with Client(server.url, key=getattr(finished.keys, key)) as client, pytest.raises(error) as caught:
        client.submit(finished.submission("nobody's"))

    assert getattr(finished.keys, key) not in f"{caught.value!r} {caught.value} {client!r}"


def test_an_error_travels_to_another_process_whole(client):
    with pytest.raises(ApiError) as caught:
        client.plate("no such plate")

    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own

    assert type(copy) is ApiNotFoundError
    assert (str(copy), copy.status, copy.title, copy.errors) == (
        str(caught.value), 404, caught.value.title, caught.value.errors,
    )  # fmt: skip
    assert "\n" not in str(copy)
    assert copy.problem.request_id in str(copy)


def test_waiting_ends_in_time_and_says_what_is_missing(client, finished):
    looks = []
    run = client.submit(finished.submission("nobody works on it"))

    with pytest.raises(WaitedTooLongError, match="hcs work"):
        client.wait(run, timeout=0.6, on_progress=looks.append)

    assert {look.id for look in looks} == {run.id}
    assert len(looks) >= 2
    assert isinstance(WaitedTooLongError(""), TimeoutError)


def test_who_waits_too_long_for_a_run_on_kubernetes_is_told_what_it_waits_for(client, finished):
    run = client.submit(finished.submission("on Kubernetes"))
    number = int(run.id.removeprefix("run-"))
    with open_catalog(str(finished.catalog)) as catalog:
        begin_dispatch(catalog, number, prefix="hcs-0")
        note_dispatch(catalog, number, 1, state=DispatchState.WAITING, message="no node has room for it")

    assert client.run(run).dispatch.state is DispatchState.WAITING
    with pytest.raises(WaitedTooLongError, match=f"waits: RayJob hcs-0-run-{number}-1: no node has room for it"):
        client.wait(run, timeout=0.3)


def test_the_client_is_there_when_it_is_asked_for():
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, hcs; before = set(sys.modules); hcs.Client; from hcs import Client; "
            "print('httpx' in before, 'pydantic' in before, Client.__name__, "
            "{'sqlalchemy', 'polars', 'torch', 'ray', 'fastapi'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said.split("\n")[0] == "False False Client set()"
    with pytest.raises(AttributeError, match="no_such_thing"):
        hcs.no_such_thing  # noqa: B018
