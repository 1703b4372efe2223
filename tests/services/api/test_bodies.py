"""Bodies: JSON and nothing that only looks like it, and no more of it than there is room for."""

from __future__ import annotations

import json
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.bodies import parse_object
from services.api.limits import MAX_BODY_BYTES
from services.api.problems import RequestError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**200), 10**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values, max_size=5))
def test_an_object_is_read_as_it_was_written(content):
    assert parse_object(json.dumps(content).encode()) == content


BAD = {
    "nothing": b"",
    "a list": b"[]",
    "a number": b"1",
    "not UTF-8": b'{"a": "\xff"}',
    "cut": b'{"a": ',
    "a key twice": b'{"screen": "a", "screen": "b"}',
    "a key twice inside": b'{"plates": [{"uri": 1, "uri": 2}]}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "depth": b"[" * 200_000,
    "depth in an object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "digits": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("data", BAD.values(), ids=list(BAD))
def test_what_is_no_json_object_is_refused_with_its_reason(submitter, data):
    with pytest.raises(RequestError):
        parse_object(data)

    answer = submitter.post("/v1/runs", content=data, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#"


def test_half_a_character_is_refused(submitter):
    body = b'{"screen": "\\ud800", "plates": []}'

    answer = submitter.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422


@pytest.mark.parametrize("said", ["text/plain", "application/yaml", "multipart/form-data", None])
def test_another_content_type_is_refused(submitter, said):
    headers = {} if said is None else {"Content-Type": said}

    assert submitter.post("/v1/runs", content=b"{}", headers=headers).status_code == 415


def test_a_body_of_100_megabytes_is_refused_long_before_its_end(submitter):
    sent = 0

    def body():
        nonlocal sent
        for _ in range(1600):
            sent += 1 << 16
            yield b" " * (1 << 16)

    headers = {"Content-Type": "application/json"}
    chunked = submitter.post("/v1/runs", content=body(), headers=headers)
    whole = submitter.post("/v1/runs", content=b" " * 100_000_000, headers=headers)

    assert (chunked.status_code, whole.status_code) == (413, 413)
    assert chunked.json()["type"] == whole.json()["type"] == "urn:hcs:too-large"
    assert sent < 60_000_000


def test_a_body_that_only_says_to_be_large_is_refused_at_once(server, finished):
    began = time.monotonic()
    with socket.create_connection(server.host_and_port) as line:
        line.sendall(
            b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n"
            + f"Authorization: Bearer {finished.keys.submit}\r\n\r\n".encode()
        )
        answer = line.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - began < 2


def test_a_body_of_the_largest_size_is_read(submitter):
    body = b"{}".ljust(MAX_BODY_BYTES)
    headers = {"Content-Type": "application/json"}

    assert submitter.post("/v1/runs", content=body, headers=headers).status_code == 422
    assert submitter.post("/v1/runs", content=body + b" ", headers=headers).status_code == 413


def test_who_has_no_key_cannot_have_a_body_read(server):
    with server.client("nobody") as nobody:
        assert nobody.post("/v1/runs", content=b" " * 10_000_000).status_code == 401


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/hits\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/h\xff\xfets HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"no http at all\r\n\r\n",
    ],
    ids=["NUL", "bytes", "a long path", "a long header", "a negative length", "two lengths", "no HTTP"],
)
def test_what_is_no_http_is_refused_and_the_server_goes_on(server, reader, line):
    with socket.create_connection(server.host_and_port) as connection:
        try:
            connection.sendall(line)
            answer = connection.recv(65536)
        except ConnectionError:
            answer = b""  # hung up on while it still spoke

    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert reader.get("/v1/runs/run-1").status_code == 200


def test_values_of_a_million_characters_and_nul_are_refused_and_never_an_error_of_ours(reader, submitter):
    for value in ("a" * 50_000, "\0", "a\0b", "%00"):
        for path in ("hits", "mechanisms", "plates"):
            answer = reader.get(f"/v1/{path}", params={"run": value})
            assert 400 <= answer.status_code < 500
        for name in ("mechanism", "profile", "cursor"):
            assert reader.get("/v1/hits", params={name: value}).status_code in {200, 404, 422}
    for value in ("a" * 1_000_000, "\0", "a" * 600):
        answer = submitter.post("/v1/runs", json={"screen": value, "plates": [{"uri": value}]})
        assert answer.status_code in {403, 422, 413}


def test_the_server_has_answered_none_of_it_with_an_error_of_its_own(server):
    assert not [line for line in server.logged() if line.get("status", 0) >= 500]


N_FIELDS = 60_000
HOSTILE = {
    "the last field twice": b"{" + b"".join(b'"k%d":1,' % i for i in range(N_FIELDS)) + b'"k%d":1}' % (N_FIELDS - 1),
    "no field is known": b"{" + b",".join(b'"k%d":1' % i for i in range(N_FIELDS)) + b"}",
    "an encoder twice": b'{"encoders":["a",' + b",".join(b'"k%d"' % i for i in range(N_FIELDS)) + b',"a"]}',
    "one place in a million folders": b'{"plates":[{"uri":"FOLDER' + b"/a" * 500_000 + b'"}]}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=list(HOSTILE))
def test_no_body_that_is_small_enough_takes_long_to_refuse(submitter, finished, data):
    whole = data.replace(b"FOLDER", str(finished.folder).encode())
    assert len(whole) <= MAX_BODY_BYTES

    began = time.monotonic()
    answer = submitter.post("/v1/runs", content=whole, headers={"Content-Type": "application/json"})

    assert answer.status_code in (403, 422)
    assert time.monotonic() - began < 15  # each took minutes, and some of them held up everybody else
