"""Connections: who asks is waited for, who only holds a place is not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import uvicorn

from services.api.connections import Attentive

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
SECONDS = 0.4


class Quick(Attentive):
    """As the server's own, for those who cannot wait half a minute."""

    seconds = SECONDS


async def app(scope, receive, send) -> None:
    """Answer at once, or after a while where the path says so; no body is read."""
    import asyncio

    assert scope["type"] == "http"
    if scope["path"] == "/slow":
        await asyncio.sleep(4 * SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    taken = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=Quick, log_config=None, lifespan="off", ws="none", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    try:
        yield taken.getsockname()
    finally:
        server.should_exit = True
        thread.join(10)
        taken.close()


def is_ended(connection: socket.socket) -> bool:
    """Whether the server ends a connection within a few looks, whatever it sends before."""
    connection.settimeout(20 * SECONDS)
    with suppress(ConnectionResetError):
        try:
            while connection.recv(65_536):
                pass
        except TimeoutError:
            return False
    return True


@pytest.mark.parametrize(
    "sent",
    [b"", HEAD, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nab", HEAD + b"\r\n" + HEAD],
    ids=["nothing", "half a head", "half a body that nobody reads", "a second head by half"],
)
def test_who_holds_a_place_and_asks_for_nothing_is_ended(address, sent):
    with socket.create_connection(address) as connection:
        connection.sendall(sent)

        assert is_ended(connection)


def test_a_head_that_comes_letter_by_letter_is_ended_too(address):
    began = time.monotonic()
    with socket.create_connection(address) as connection, suppress(OSError):
        connection.sendall(HEAD + b"X-A: ")
        while time.monotonic() - began < 20 * SECONDS:
            connection.sendall(b"a")
            time.sleep(SECONDS / 4)

    assert time.monotonic() - began < 20 * SECONDS


def test_who_waits_for_an_answer_or_asks_again_is_not_ended(address):
    with socket.create_connection(address) as connection:
        for path in (b"/slow", b"/", b"/slow", b"/"):
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.settimeout(20 * SECONDS)
            answer = b""
            while not answer.endswith(b"ok"):
                piece = connection.recv(1000)
                assert piece
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200")
