"""Starts what a laptop needs: the API, a dispatcher and the pages, as children that end with this process."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn
from urllib.error import URLError

from dashboards.look import OPTIONS
from hcs.errors import HcsError, StorageError

SECONDS_TO_START = 60.0
SECONDS_TO_END = 10.0
PAUSE_SECONDS = 0.2
MOST_RESTARTS = 5
INTERRUPTED = 130

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Wanted:
    """What is served, and where. `api` is one that stands elsewhere: then the pages alone are started."""

    host: str = "127.0.0.1"
    port: int = 8501
    api: str | None = None
    roots: tuple[str, ...] = field(default=())


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of a dashboard that has ended."""
    try:
        serve(_wanted(arguments))
    except HcsError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def serve(wanted: Wanted) -> None:
    """Serve until Ctrl-C or a request to end; children that die are started again, a few times.

    Raises:
        StorageError: If the port is taken, or a child does not start or dies again and again.
    """
    refuse_taken_port(wanted.host, wanted.port)
    with ending_by_signal(), ExitStack() as stack:
        children = []
        url = wanted.api
        if url is None:
            api = Child("the API", ["services.api", "--port=0", *(f"--root={root}" for root in wanted.roots)])
            stack.callback(api.end)
            url = api.start_api()
            work = Child("the dispatcher", ["services.dispatcher"])
            stack.callback(work.end)
            work.start()
            children += [api, work]
        pages = Child("the pages", ["dashboards.ready", json.dumps(_options(wanted))])
        pages.environment |= {"HCS_API_URL": url, **_saving_memory()}
        stack.callback(pages.end)
        pages.start()
        children.append(pages)
        wait_for_pages(wanted, pages)
        say(f"dashboard: http://{_shown(wanted.host)}:{wanted.port} (Ctrl-C ends it)")
        while True:
            for child in children:
                child.restart_if_dead()
            time.sleep(PAUSE_SECONDS)


class Child:
    """A process of our own, that ends with us."""

    def __init__(self, name: str, words: Sequence[str]) -> None:
        """Remember what to start."""
        self.name, self.words = name, list(words)
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._restarts = 0
        self._told: list[str] = []
        self._is_up = threading.Event()

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            [sys.executable, "-P", "-m", *self.words],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C comes to us, and we end them in order
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - before any thread of ours that could hold a lock matters
        )
        threading.Thread(target=self._listen, args=(self._process.stderr,), daemon=True).start()

    def start_api(self) -> str:
        """Start it, and return the address that it says; it keeps this address when it is started again."""
        self.start()
        self._is_up.wait(SECONDS_TO_START)
        found = next(filter(None, (re.search(r"serving (http://\S+:(\d+))/v1 ", line) for line in self._told)), None)
        if found is None:
            raise StorageError(f"{self.name} did not start: {self._last_words()}")
        self.words = [f"--port={found[2]}" if word == "--port=0" else word for word in self.words]
        return found[1]

    def restart_if_dead(self) -> None:
        """Start it again if it died.

        Raises:
            StorageError: If it did so too often.
        """
        code = None if self._process is None else self._process.poll()
        if code is None:
            return
        if self._restarts == MOST_RESTARTS:
            raise StorageError(f"{self.name} ended {MOST_RESTARTS + 1} times: {self._last_words()}")
        self._restarts += 1
        say(f"{self.name} ended with {code} and is started again: {self._last_words()}")
        self.start()

    def end(self) -> None:
        """End it, by force if it does not hear."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def is_running(self) -> bool:
        """Return whether it was started and lives."""
        return self._process is not None and self._process.poll() is None

    def _listen(self, stream: Iterable[str]) -> None:
        for line in stream:
            if line.startswith("{"):  # the log of requests
                continue
            self._told = [*self._told[-20:], line.rstrip()]
            if line.startswith("serving "):
                self._is_up.set()
            else:
                say(line)
        self._is_up.set()

    def _last_words(self) -> str:
        return self._told[-1] if self._told else "it said nothing"


@contextmanager
def ending_by_signal() -> Iterator[None]:
    """Make a request to end (SIGTERM, SIGHUP) an interruption, as Ctrl-C is."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def refuse_taken_port(host: str, port: int) -> None:
    """Refuse an address that cannot be served.

    Raises:
        StorageError: If it is taken, or not this machine's.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise StorageError(
            f"port {port} of {host} cannot be served: {error.strerror}. Name another with --port, or end who has it."
        ) from error


def wait_for_pages(wanted: Wanted, pages: Child) -> None:
    """Return when the pages answer.

    Raises:
        StorageError: If they do not within a minute.
    """
    host = "127.0.0.1" if wanted.host in {"0.0.0.0", "::"} else wanted.host  # noqa: S104 - compared, not bound
    url = f"http://{_shown(host)}:{wanted.port}/_stcore/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until and pages.is_running():
        try:
            with opener.open(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(PAUSE_SECONDS)
    raise StorageError(f"the pages did not start: {pages._last_words()}")


def say(text: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(" ".join(text.split()) + "\n")
    sys.stderr.flush()


def _options(wanted: Wanted) -> dict[str, object]:
    """Return the options of Streamlit, which reads no file of ours and asks nobody outside."""
    return {
        "server.address": wanted.host,
        "server.port": wanted.port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.maxUploadSize": 10,
        "browser.gatherUsageStats": False,
        "client.allowedOrigins": [],  # no page elsewhere speaks to one of ours
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "global.developmentMode": False,
        "runner.magicEnabled": False,
        **OPTIONS,
    }


def _saving_memory() -> dict[str, str]:
    """Return what keeps the pages from growing: each visit has threads, and glibc would give them 8 heaps a core."""
    return {"MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2")}


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _end_with_parent() -> None:
    """Have a child asked to end when this process is gone, even if it was killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wanted(arguments: Sequence[str] | None) -> Wanted:
    parser = argparse.ArgumentParser(prog="dashboards", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--api")
    parser.add_argument("--root", action="append", default=[])
    asked = parser.parse_args(arguments)
    return Wanted(host=asked.host, port=asked.port, api=asked.api, roots=tuple(asked.root))
