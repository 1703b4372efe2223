"""What is sent again and what is not, over a line that fails."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from contextlib import suppress

import pytest
from flaky import CUT_AFTER, CUT_BEFORE, CUT_HALFWAY, Said

from hcs.client import Client, answers
from hcs.errors import AnswerError, ApiError, NoAnswerError

PASSING = [
    CUT_BEFORE,
    CUT_AFTER,
    CUT_HALFWAY,
    Said(502),
    Said(503),
    Said(504),
    Said(429, {"Retry-After": "0"}),
]


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_question_is_asked_again(line, far, fault):
    line.faults.extend([fault, fault])

    assert far.run("run-1").id == "run-1"

    assert len(line.heard) == 3


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_submission_is_sent_again_and_carried_out_once(line, far, client, finished, fault):
    line.faults.extend([fault, fault])
    before = len(list(client.runs()))

    run = far.submit(finished.submission(f"over a bad line: {fault}"), new=True)

    words = {one.headers["Idempotency-Key"] for one in line.heard}
    assert (len(line.heard), len(words)) == (3, 1)
    assert len(list(client.runs())) == before + 1
    assert next(client.runs()).id == run.id


def test_every_submission_has_a_word_of_its_own(line, far, finished):
    runs = {far.submit(finished.submission("twice"), new=True).id for _ in range(2)}

    assert len(runs) == len({one.headers["Idempotency-Key"] for one in line.heard}) == 2


@pytest.mark.parametrize("fault", [CUT_AFTER, CUT_BEFORE, Said(503)], ids=str)
def test_what_may_have_been_carried_out_is_not_sent_again(line, far, client, finished, fault):
    run = client.submit(finished.submission(f"cancelled once: {fault}"), new=True)
    line.faults.append(fault)

    with pytest.raises((NoAnswerError, ApiError)):
        far.cancel(run)

    assert len(line.heard) == 1
    line.faults.append(fault)
    with pytest.raises((NoAnswerError, ApiError)):
        far.delete(run)
    assert len(line.heard) == 2


@pytest.mark.parametrize("status", [400, 404, 410, 500])
def test_what_another_try_would_meet_again_is_told_at_once(line, far, status):
    line.faults.append(Said(status))

    with pytest.raises(ApiError) as caught:
        far.run("run-1")

    assert caught.value.status == status
    assert "away" in str(caught.value)
    assert len(line.heard) == 1


def test_the_pause_that_the_server_asks_for_is_kept(line, far):
    line.faults.append(Said(429, {"Retry-After": "1"}))
    began = time.monotonic()

    far.run("run-1")

    assert 1 <= time.monotonic() - began < 6


def test_patience_has_an_end(line, finished):
    line.faults.extend([CUT_BEFORE] * 100)
    began = time.monotonic()
    with Client(line.url, key=finished.keys.read, patience=1) as client, pytest.raises(NoAnswerError, match="tried"):
        client.run("run-1")

    assert time.monotonic() - began < 5
    assert 2 <= len(line.heard) < 20


def test_a_pause_beyond_the_patience_is_not_begun(line, finished):
    line.faults.append(Said(503, {"Retry-After": "3600"}))
    began = time.monotonic()
    with Client(line.url, key=finished.keys.read, patience=5) as client, pytest.raises(ApiError) as caught:
        client.run("run-1")

    assert caught.value.status == 503
    assert time.monotonic() - began < 5


def test_nobody_there_is_said_in_one_paragraph():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", patience=0) as client, pytest.raises(NoAnswerError) as caught:
        client.screens()

    assert "hcs serve" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


def test_a_cancellation_waits_for_a_server_that_is_not_there_yet(finished, server, line):
    """It was never sent, so that nothing can be carried out twice."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    with Client(f"http://127.0.0.1:{port}", patience=0.5) as client, pytest.raises(NoAnswerError, match="tried"):
        client.cancel("run-1")

    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "said", [Said(200), Said(200, {"Content-Type": "application/json"}, b'{"items": [{}]}')], ids=["a page", "JSON"]
)
def test_something_else_at_the_address_is_noticed(line, far, said):
    line.faults.append(said)

    with pytest.raises(AnswerError, match="hcs serve"):
        far.screens()


def test_a_key_does_not_follow_to_another_place(line, far, finished):
    line.faults.append(Said(307, {"Location": f"{line.url}/elsewhere"}))

    with pytest.raises(AnswerError, match="leads elsewhere"):
        far.screens()

    assert len(line.heard) == 1
    assert finished.keys.submit in line.heard[0].headers["Authorization"]


def test_a_proxy_of_the_environment_is_not_told_what_is_said_to_this_machine(line, server, finished, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, line.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with Client(server.url, key=finished.keys.read) as client:
        client.screens()

    assert line.heard == []


def test_a_page_that_leads_to_itself_is_noticed(line, far):
    page = Said(200, {"Content-Type": "application/json"}, b'{"items": [], "next_cursor": "same"}')
    line.faults.extend([page] * 5)

    with pytest.raises(AnswerError, match="leads to itself"):
        list(far.runs())

    assert len(line.heard) == 2


@pytest.mark.parametrize("charset", ["base64", "hex", "no-such"])
def test_a_problem_in_an_encoding_that_is_none_is_told(line, far, charset):
    line.faults.append(Said(400, {"Content-Type": f"text/html; charset={charset}"}, b"\xff away"))

    with pytest.raises(ApiError, match="away"):
        far.screens()


def test_a_status_that_does_not_exist_is_told(line, far):
    line.faults.append(Said(999))

    with pytest.raises(AnswerError, match="999"):
        far.screens()


def test_a_packed_answer_is_unpacked_and_one_that_is_far_too_large_is_not(line, far, monkeypatch):
    monkeypatch.setattr(answers, "MOST_BYTES", 1 << 20)
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    line.faults.append(Said(200, packed, gzip.compress(b'{"items": [], "next_cursor": null}')))
    line.faults.append(Said(200, packed, gzip.compress(bytes(4 << 20))))

    assert list(far.runs()) == []
    with pytest.raises(AnswerError, match="goes on"):
        far.screens()


def test_an_answer_that_never_ends_is_not_waited_for():
    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Client(url, timeout=0.1, patience=0) as client, pytest.raises(AnswerError, match="goes on"):
            client.screens()
        thread.join(10)

    assert not thread.is_alive()
