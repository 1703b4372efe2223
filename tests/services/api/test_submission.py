"""Runs that are submitted, cancelled and asked for again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from hcs.catalog import begin_dispatch, note_dispatch, open_catalog
from hcs.io.roots import Roots
from schemas.screen import ScreenConfig
from schemas.work import DispatchState
from services.api.problems import RequestError
from services.api.submission import places_in, read_screen, request_digest


def test_a_screen_becomes_a_run_that_waits_for_a_dispatcher(submitter, finished):
    answer = submitter.post("/v1/runs", json=finished.submission("waits"))

    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["Location"] == f"/v1/runs/{run['id']}" == run["links"]["self"]
    assert int(answer.headers["Retry-After"]) > 0
    assert (run["state"], run["screen"], run["pin"], run["encoders"]) == ("submitted", "waits", None, [])
    assert submitter.get(answer.headers["Location"]).json()["state"] == "submitted"
    submitted = submitter.get(run["links"]["screen"]).json()
    assert submitted["plates"][0]["uri"] == str(finished.folder / "P1")
    assert ScreenConfig.model_validate(submitted).screen == "waits"


def test_the_same_screen_again_is_the_same_run_unless_a_new_one_is_asked_for(submitter, finished):
    body = finished.submission("again")
    first = submitter.post("/v1/runs", json=body)
    again = submitter.post("/v1/runs", json=body)
    new = submitter.post("/v1/runs", json=body, params={"new": "true"})

    assert (first.status_code, again.status_code, new.status_code) == (202, 200, 202)
    assert first.headers["Location"] == again.headers["Location"] != new.headers["Location"]


def test_a_request_with_a_key_is_carried_out_once_however_its_json_is_spelled(submitter, finished):
    body = finished.submission("once")
    key = {"Idempotency-Key": "order-4711"}
    first = submitter.post("/v1/runs", json=body, params={"new": "true"}, headers=key)
    turned = dict(reversed(body.items()))
    again = submitter.post("/v1/runs", json=turned, params={"new": "true"}, headers=key)
    other = submitter.post("/v1/runs", json={**body, "screen": "other"}, params={"new": "true"}, headers=key)
    other_option = submitter.post("/v1/runs", json=body, headers=key)

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.headers["Location"] == again.headers["Location"]
    assert (other.status_code, other_option.status_code) == (409, 409)


def test_keys_of_two_clients_do_not_meet(submitter, administrator, finished):
    key = {"Idempotency-Key": "mine"}
    answers = [
        client.post("/v1/runs", json=finished.submission(screen), headers=key)
        for client, screen in ((submitter, "of one"), (administrator, "of another"))
    ]

    assert [answer.status_code for answer in answers] == [202, 202]


@pytest.mark.parametrize("key", ["", "a b", "ü".encode().decode("latin-1"), "a" * 256])
def test_a_key_that_is_no_word_is_refused(submitter, finished, key):
    headers = {"Idempotency-Key": key.encode("latin-1")}

    answer = submitter.post("/v1/runs", json=finished.submission("never"), headers=headers)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "Idempotency-Key"


def test_twenty_who_submit_at_once_get_one_run(server, finished):
    body, gate = finished.submission("at once"), threading.Barrier(20)

    def submit(_):
        with server.client(finished.keys.submit) as client:
            gate.wait(30)
            return client.post("/v1/runs", json=body, headers={"Idempotency-Key": "at-once"})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(submit, range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.headers["Location"] for answer in answers}) == 1


MISTAKES = [
    ({"encodrs": []}, "#/encodrs", "encoders"),
    ({"plates": [{"uri": "{P1}", "barcod": "x"}]}, "#/plates/0/barcod", "barcode"),
    ({"pixels": {"tiles": 64}}, "#/pixels/tiles", "tile"),
    ({"pixels": {"tile": 1}}, "#/pixels/tile", "16"),
    ({"pixels": {"tile": "64"}}, "#/pixels/tile", "integer"),
    ({"plates": []}, "#/plates", "1"),
    ({"plates": [{}]}, "#/plates/0/uri", "missing"),
    ({"screen": None}, "#/screen", "string"),
    ({"platemaps": 5}, "#/platemaps", "string"),
    ({"platemaps": ["{P1}/map.csv", 5]}, "#/platemaps/1", "string"),
    ({"encoders": ["named", "named"]}, "#/encoders", "once"),
    ({"hits": {"q_max": 2}}, "#/hits/q_max", "less than 1"),
    ({"exclude_wells": [{"P1:Z99": "dirty"}]}, "#/exclude_wells/0", "pattern"),
    ({"channels": {"ch~1/2": "FILL_IN"}}, "#/channels/ch~01~12", "FILL_IN"),
]


@pytest.mark.parametrize(("changes", "pointer", "word"), MISTAKES, ids=[pointer for _, pointer, _ in MISTAKES])
def test_a_mistake_is_pointed_to(submitter, finished, changes, pointer, word):
    answer = submitter.post("/v1/runs", json=_filled(finished.submission() | changes, finished))

    assert answer.status_code == 422
    problem = answer.json()
    assert problem["errors"][0]["pointer"] == pointer
    assert word in problem["errors"][0]["detail"]
    assert pointer in problem["detail"]


def _filled(value, finished):
    if isinstance(value, dict):
        return {key: _filled(item, finished) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, finished) for item in value]
    return value.replace("{P1}", str(finished.folder / "P1")) if isinstance(value, str) else value


OUTSIDE = ["file:///etc", "http://169.254.169.254/", "s3://other/plate", "{P1}/../../secret", "P1", "/etc/passwd"]
OUTSIDE += ["file://{P1}/key%23channel=x.csv", "file://{P1}/a%00b"]
FIELDS = {
    "#/plates/1/uri": lambda uri: {"plates": [{"uri": "{P1}"}, {"uri": uri}]},
    "#/platemaps": lambda uri: {"platemaps": uri},
    "#/platemaps/0": lambda uri: {"platemaps": [uri]},
    "#/platemaps/P1": lambda uri: {"platemaps": {"P1": uri}},
    "#/annotations": lambda uri: {"annotations": uri},
    "#/annotations/0": lambda uri: {"annotations": [uri]},
    "#/encoders/0/weights": lambda uri: {"encoders": [{"name": "named", "weights": uri}]},
}


@pytest.mark.parametrize("pointer", FIELDS)
def test_no_place_outside_the_roots_gets_into_the_catalog(submitter, finished, pointer):
    n_runs = len(submitter.get("/v1/runs", params={"limit": 500}).json()["items"])

    for uri in OUTSIDE:
        body = _filled(finished.submission("outside") | FIELDS[pointer](uri), finished)
        answer = submitter.post("/v1/runs", json=body)
        assert answer.status_code == 403, uri
        assert answer.json()["errors"][0]["pointer"] == pointer

    assert len(submitter.get("/v1/runs", params={"limit": 500}).json()["items"]) == n_runs


def test_every_field_that_holds_a_place_is_looked_at(tmp_path):
    # whatever text of a screen names a file: one that is added to the model and forgotten here fails this test
    described = [
        name
        for model in (
            ScreenConfig,
            *(ScreenConfig.model_fields[n].annotation.__args__[0] for n in ("plates", "encoders")),
        )
        for name, field in model.model_fields.items()
        if any(word in (field.description or "") for word in ("URI", "file;", "platemap", "Perturbation ->"))
    ]
    full = {"plates": [{"uri": "1"}], "platemaps": {"P": "2"}, "annotations": ["3"], "encoders": [{"weights": "4"}]}

    assert set(described) == {"uri", "platemaps", "annotations", "weights"}
    assert {uri for _, uri in places_in(full)} == {"1", "2", "3", "4"}


def test_links_are_followed_before_a_run_is_made(tmp_path):
    (tmp_path / "deliveries" / "plate").mkdir(parents=True)
    (tmp_path / "deliveries" / "alias").symlink_to(tmp_path / "deliveries" / "plate")
    (tmp_path / "deliveries" / "out").symlink_to("/etc")
    roots = Roots([str(tmp_path / "deliveries")])

    config = read_screen({"screen": "s", "plates": [{"uri": f"{tmp_path}/deliveries/alias"}]}, roots)

    assert config.plates[0].uri == str(tmp_path / "deliveries" / "plate")
    with pytest.raises(RequestError, match="link"):
        read_screen({"screen": "s", "plates": [{"uri": f"{tmp_path}/deliveries/out"}]}, roots)


def test_the_digest_of_a_request_does_not_depend_on_the_order_of_its_fields():
    assert request_digest({"a": 1, "b": 2}, new=False) == request_digest({"b": 2, "a": 1}, new=False)
    assert request_digest({"a": 1}, new=False) != request_digest({"a": 1}, new=True)


def test_a_run_is_cancelled_and_goes_on(submitter, finished):
    location = submitter.post("/v1/runs", json=finished.submission("cancelled")).headers["Location"]

    cancelled = submitter.post(f"{location}/cancel")
    again = submitter.post(f"{location}/cancel")
    resumed = submitter.post(f"{location}/retry", params={"only": "memory"})

    assert [cancelled.status_code, again.status_code, resumed.status_code] == [202, 202, 202]
    assert cancelled.json()["state"] == again.json()["state"] == "cancelled"
    assert resumed.json()["state"] != "cancelled"


def test_a_run_that_published_is_not_cancelled(submitter):
    published = submitter.get("/v1/runs/run-1").json()["state"]

    answer = submitter.post("/v1/runs/run-1/cancel")

    assert published == "complete_with_holes"
    assert answer.status_code == 409
    assert submitter.get("/v1/runs/run-1").json()["state"] == published


def test_a_name_that_no_database_holds_is_refused_with_its_reason(submitter, finished):
    for screen in ("a\0b", "a" * 501):
        assert submitter.post("/v1/runs", json=finished.submission(screen)).status_code == 422


def test_a_cancelled_submission_does_not_stop_the_next_one(submitter, finished):
    body = finished.submission("given up")
    first = submitter.post("/v1/runs", json=body).headers["Location"]
    submitter.post(f"{first}/cancel")

    second = submitter.post("/v1/runs", json=body)

    assert second.status_code == 202
    assert second.headers["Location"] != first


def test_who_submitted_is_remembered(submitter, finished):
    location = submitter.post("/v1/runs", json=finished.submission("by whom")).headers["Location"]

    from hcs.catalog.submissions import submission_of

    with open_catalog(str(finished.catalog)) as catalog:
        record = submission_of(catalog, int(location.rpartition("-")[2]))
    assert record is not None
    assert record.submitted_by == "submit key"


def test_a_run_says_how_it_stands_on_kubernetes_while_it_is_open(submitter, finished):
    location = submitter.post("/v1/runs", json=finished.submission("on Kubernetes")).headers["Location"]
    number = int(location.rpartition("-")[2])
    assert submitter.get(location).json()["dispatch"] is None
    with open_catalog(str(finished.catalog)) as catalog:
        begin_dispatch(catalog, number, prefix="hcs-0")
        note_dispatch(catalog, number, 1, state=DispatchState.WAITING, message="no node has room for <b>it</b>")

    told = submitter.get(location).json()["dispatch"]

    assert datetime.fromisoformat(told.pop("changed_at")).tzinfo is not None
    name = f"hcs-0-run-{number}-1"
    assert told == {"attempt": 1, "name": name, "state": "waiting", "message": "no node has room for <b>it</b>"}
    assert submitter.post(f"{location}/cancel").json()["dispatch"] is None
