"""A line to an HTTP server that fails when it is told to: a proxy of its own, so that client and server are real."""

from __future__ import annotations

import http.client
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CUT_BEFORE, CUT_AFTER, CUT_HALFWAY = "cut before", "cut after", "cut halfway"
"""The line breaks before the server hears of a request; when it has answered; and in the middle of its answer."""

_HELD = {"host", "connection", "content-length", "transfer-encoding"}


@dataclass(frozen=True)
class Said:
    """What the proxy answers by itself, as one does whose server is away."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b"<html>away</html>"

    def __str__(self) -> str:
        return str(self.status)


@dataclass(frozen=True)
class Heard:
    """One request as it came, whatever became of it."""

    method: str
    path: str
    headers: dict[str, str]
    was_passed_on: bool


class Flaky:
    """Passes requests on; `faults` are met first, one a request. `heard` is every request that came."""

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.faults: deque[Said | str] = deque()
        self.heard: list[Heard] = []
        self.url = ""

    def passed_on(self, method: str) -> list[Heard]:
        """The requests of a method that the server was told of."""
        return [one for one in self.heard if one.method == method and one.was_passed_on]


def _handler(line: Flaky) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = line.faults.popleft() if line.faults else None
            is_passed_on = fault in (None, CUT_AFTER, CUT_HALFWAY)
            line.heard.append(Heard(self.command, self.path, dict(self.headers), is_passed_on))
            if isinstance(fault, Said):
                self._answer(fault)
                return
            answer = self._ask(body) if is_passed_on else None
            if answer is None or fault == CUT_AFTER:
                self._cut()
                return
            self._answer(answer, all_of_it=fault != CUT_HALFWAY)

        def _ask(self, body: bytes) -> Said:
            connection = http.client.HTTPConnection(*line.server, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HELD}
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return Said(answer.status, dict(answer.getheaders()), content)

        def _answer(self, said: Said, *, all_of_it: bool = True) -> None:
            self.send_response(said.status)
            for name, value in said.headers.items():
                if name.lower() not in _HELD:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.content)))
            self.end_headers()
            self.wfile.write(said.content if all_of_it else said.content[: len(said.content) // 2])
            if not all_of_it:
                self._cut()

        def _cut(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_POST = do_DELETE = _pass_on  # noqa: N815 - the names that the library asks for

    return Handler


@contextmanager
def flaky(host: str, port: int) -> Iterator[Flaky]:
    """Yield a line to a server, that ends with the context."""
    line = Flaky(host, port)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(line))
    server.daemon_threads = True
    line.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
