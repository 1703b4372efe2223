"""The API as clients meet it: a process of its own, reached over HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

SECONDS_TO_START = 60
"""On a machine that is busy with other tests."""


class Server:
    """A process that serves, its address and what it wrote on stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._is_up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._is_up.wait(SECONDS_TO_START):
            process.kill()
            raise AssertionError(f"the server did not start: {''.join(self.lines)}")
        found = re.search(r"serving (http://\S+)/v1 ", self.lines[-1])
        if found is None:
            raise AssertionError(f"the server ended with {process.wait()}: {''.join(self.lines)}")
        self.url = found[1]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("serving "):
                self._is_up.set()
        self._is_up.set()

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def logged(self) -> list[dict[str, Any]]:
        """What it logged so far, one object a line."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        """A client that speaks to this server and to nobody else."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, **options)

    def end(self, signal_number: int = 15) -> int:
        """End it, and return its exit code."""
        self.process.send_signal(signal_number)
        code = self.process.wait(30)
        self._reader.join(10)
        return code


@contextmanager
def serving(
    catalog: str | Path,
    *options: object,
    command: tuple[str, ...] = ("-P", "-m", "services.api"),
    cwd: Path | None = None,
    **environment: str,
) -> Iterator[Server]:
    """Yield a server of a catalog on a free port, that ends with the context."""
    words = [sys.executable, *command, "--port", "0", "--catalog", str(catalog), *map(str, options)]
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, cwd=cwd, env={**os.environ, **environment}, start_new_session=True
    )
    server = None
    try:
        server = Server(process)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        if server is not None:
            server._reader.join(10)
        if process.stderr is not None:
            process.stderr.close()
