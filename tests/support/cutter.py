"""A line to a PostgreSQL server that is cut at the worst moment."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

COMMIT = b"COMMIT\x00"  # as a whole order: `READ COMMITTED` begins a transaction


class Cutter:
    """Passes on what client and server say, and cuts one line at its next commit, when it is asked to.

    `after` cuts when the server has committed and its answer is on the way; `before`, when it has not heard of it.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self.folder = folder
        self.wanted = ""
        self.cuts: list[str] = []
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / server.name))
        self._listener.listen(8)
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more lines."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                doomed = Event()
                Thread(target=self._ask, args=(client, server, doomed), daemon=True).start()
                Thread(target=_answer, args=(client, server, doomed), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, doomed: Event) -> None:
        with suppress(OSError):
            while said := client.recv(1 << 16):
                if self.wanted and COMMIT in said:
                    self.cuts.append(self.wanted)
                    self.wanted = ""
                    if self.cuts[-1] == "before":
                        break
                    doomed.set()
                server.sendall(said)
        if not doomed.is_set():
            _end(client)
            _end(server)


def _answer(client: socket.socket, server: socket.socket, doomed: Event) -> None:
    with suppress(OSError):
        while (said := server.recv(1 << 16)) and not doomed.is_set():
            client.sendall(said)
    _end(client)
    _end(server)


def _end(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


@contextmanager
def cutting(server: Path, folder: Path) -> Iterator[Cutter]:
    """Yield a line to the server whose socket is given; clients use `folder` as their host."""
    cutter = Cutter(server, folder)
    try:
        yield cutter
    finally:
        cutter.close()
