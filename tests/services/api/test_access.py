"""Who may come in, and what for."""

from __future__ import annotations

import time

import httpx
import pytest

from services.api.access import OPEN_PATHS

ASKED = ("/v1/hits", "/v1/runs", "/v1/nothing", "/v1/plates/P1/sheet.webp", "/")


@pytest.mark.parametrize("path", ASKED)
def test_without_a_key_nothing_is_told_not_even_whether_a_path_exists(server, path):
    with server.client() as nobody:
        answer = nobody.get(path)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="hcs"'
    assert answer.json()["type"] == "urn:hcs:no-key"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer hcs_aaaaaaaa_" + "a" * 43,
        "Bearer \xff\xfe",
        "Bearer " + "x" * 10_000,
        "Basic aGNzOmhjcw==",
        "hcs_aaaaaaaa_" + "a" * 43,
    ],
)
def test_what_is_no_key_of_the_catalog_is_refused(server, header):
    with server.client() as nobody:
        answer = nobody.get("/v1/hits", headers={"Authorization": header.encode("latin-1")})

    assert answer.status_code == 401


def test_two_headers_with_keys_are_refused_though_one_is_valid(server, finished):
    headers = [("Authorization", f"Bearer {key}") for key in (finished.keys.read, "x")]

    assert httpx.get(f"{server.url}/v1/hits", headers=headers, trust_env=False).status_code == 401


def test_a_revoked_key_is_told_apart_from_a_missing_one(server, finished):
    with server.client(finished.keys.revoked) as former:
        answer = former.get("/v1/hits")

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_who_watches_the_process_needs_no_key(server, path):
    with server.client() as nobody:
        assert nobody.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("POST", "/v1/runs", "submit"),
        ("POST", "/v1/runs/run-1/cancel", "submit"),
        ("POST", "/v1/runs/run-1/retry", "submit"),
        ("DELETE", "/v1/runs/run-1", "admin"),
    ],
)
def test_a_key_is_good_for_its_scope_and_for_no_more(server, finished, method, path, needed):
    lesser = {"submit": ("read",), "admin": ("read", "submit")}[needed]

    for scope in lesser:
        with server.client(getattr(finished.keys, scope)) as client:
            answer = client.request(method, path, json={})
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:hcs:not-allowed"
        assert needed in answer.json()["detail"]


def test_every_scope_reads(server, finished):
    for key in (finished.keys.read, finished.keys.submit, finished.keys.admin):
        with server.client(key) as client:
            assert client.get("/v1/runs/run-1").status_code == 200


def test_no_secret_stands_in_the_log_and_every_request_stands_there_once(server, finished):
    with server.client(finished.keys.read) as client:
        number = client.get("/v1/hits", params={"mechanism": "kinase inhibitor"}).headers["X-Request-Id"]

    deadline = time.monotonic() + 10  # the line is written when all of the answer is sent
    while not (lines := [line for line in server.logged() if line.get("request_id") == number]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (line,) = lines
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/hits", 200)
    assert line["key"] == finished.keys.read.split("_")[1]
    everything = "".join(server.lines)
    assert not [key for key in vars(finished.keys).values() if key.split("_", 2)[2] in everything]
    assert "kinase" not in everything


def test_answers_are_not_kept_and_not_run_by_a_browser(reader):
    headers = reader.get("/v1/hits").headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert not [name for name in headers if name.lower().startswith("access-control")]
