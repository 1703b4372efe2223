"""The check of a screen that nobody has submitted."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from commands import hcs
from held import HeldImage
from serving import serving

from hcs.catalog import acceptance_reports, open_catalog

OUTSIDE = ["file:///etc", "http://169.254.169.254/", "s3://other/plate", "P1", "/etc/passwd"]


def test_it_is_the_report_of_hcs_check_and_of_the_run(submitter, finished, tmp_path):
    body = {**submitter.get("/v1/runs/run-1/screen").json(), "screen": "checked"}
    answer = submitter.post("/v1/checks", json=body)
    ended = hcs("check", finished.folder / "SCREEN.yaml", "--json", tmp_path / "reports.json")
    with open_catalog(str(finished.catalog)) as catalog:
        of_run = acceptance_reports(catalog, 1)

    assert (answer.status_code, ended.code) == (200, 3)
    told = answer.json()
    assert (told["screen"], told["verdict"], told["notes"]) == ("checked", "accept_with_holes", [])
    assert [plate["report"] for plate in told["plates"]] == json.loads((tmp_path / "reports.json").read_text())
    assert [plate["report"] for plate in told["plates"]] == [
        report.model_dump(mode="json") for report in of_run.values()
    ]
    assert [(plate["barcode"], plate["verdict"]) for plate in told["plates"]] == [
        (name, "accept_with_holes") for name in ("P1", "P2")
    ]


def test_nothing_is_written(submitter, finished):
    with open_catalog(str(finished.catalog)) as catalog, catalog.reading() as connection:
        before = list(connection.connection.driver_connection.iterdump())
        files = sorted(finished.folder.rglob("*"))

        assert submitter.post("/v1/checks", json=finished.submission("not kept")).status_code == 200

    with open_catalog(str(finished.catalog)) as catalog, catalog.reading() as connection:
        after = list(connection.connection.driver_connection.iterdump())
    assert [line for line in after if "api_keys" not in line] == [line for line in before if "api_keys" not in line]
    assert sorted(finished.folder.rglob("*")) == files
    assert "not kept" not in {item["screen"] for item in submitter.get("/v1/screens").json()["items"]}


def test_the_worst_plate_gives_the_verdict_and_one_that_cannot_be_listed_has_a_reason(submitter, finished):
    missing, there = str(finished.folder / "P9"), str(finished.folder / "P1")
    both = submitter.post("/v1/checks", json=finished.submission(plates=[{"uri": missing}, {"uri": there}])).json()
    alone = submitter.post("/v1/checks", json=finished.submission(plates=[{"uri": missing}])).json()

    assert (both["verdict"], alone["verdict"]) == ("reject", "reject")
    assert [(plate["barcode"], plate["verdict"]) for plate in both["plates"]] == [
        ("P9", "reject"),
        ("P1", "accept_with_holes"),
    ]
    assert alone["plates"] == both["plates"][:1]
    assert missing in alone["plates"][0]["reason"]
    assert alone["plates"][0]["report"] is None


@pytest.mark.parametrize("uri", OUTSIDE)
def test_no_place_outside_the_roots_is_looked_at(submitter, finished, uri):
    for changes in ({"plates": [{"uri": uri}]}, {"platemaps": uri}, {"encoders": [{"name": "named", "weights": uri}]}):
        answer = submitter.post("/v1/checks", json=finished.submission(**changes))

        assert answer.status_code == 403
        assert answer.json()["errors"][0]["pointer"].startswith(f"#/{next(iter(changes))}")


MISTAKES = {
    "a field": ({"encodrs": []}, "#/encodrs", "encoders"),
    "a packaged encoder": ({"encoders": ["mobilenetv3.hcs"]}, "#/encoders/0", "mobilenetv3_small_100"),
    "the second": ({"encoders": ["named", "resnet18.hcs"]}, "#/encoders/1", "packaged"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_pointed_to(submitter, finished, mistake):
    changes, pointer, word = MISTAKES[mistake]

    answer = submitter.post("/v1/checks", json=finished.submission(**changes))

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert word in answer.json()["detail"]


def test_a_platemap_that_is_not_there_is_said(submitter, finished):
    answer = submitter.post("/v1/checks", json=finished.submission(platemaps=str(finished.folder / "none.csv")))

    assert answer.status_code == 422
    assert "none.csv" in answer.json()["detail"]


def test_an_encoder_that_only_timm_may_know_is_left_to_the_run(submitter, finished):
    told = submitter.post("/v1/checks", json=finished.submission(encoders=["named", "never_heard_of"])).json()

    assert len(told["notes"]) == 1
    assert "never_heard_of" in told["notes"][0]


def test_it_takes_a_key_that_may_submit(reader, finished):
    assert reader.post("/v1/checks", json=finished.submission()).status_code == 403


def test_screens_are_checked_one_at_a_time_and_other_questions_do_not_wait(finished, tmp_path):
    (tmp_path / "map.csv").write_text("well,perturbation\nA01,DMSO\n", encoding="utf-8")
    body = finished.submission("slow", platemaps=str(tmp_path / "map.csv"))
    with (
        serving(finished.catalog, "--root", finished.folder, "--root", tmp_path) as server,
        server.client(finished.keys.submit) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        with HeldImage(tmp_path / "map.csv") as held:
            slow = pool.submit(client.post, "/v1/checks", json=body)
            held.wait_until_read()
            behind = pool.submit(client.post, "/v1/checks", json=finished.submission("behind"))
            began = time.monotonic()
            statuses = [client.get("/v1/screens").status_code for _ in range(20)]
            seconds = time.monotonic() - began
            assert not behind.done()
            assert not slow.done()
        answers = [slow.result(60), behind.result(60)]

    assert statuses == [200] * 20
    assert seconds < 10
    assert [answer.status_code for answer in answers] == [422, 200]  # the held platemap came without a line
