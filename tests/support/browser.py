"""Chromium, and a dashboard as people start it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: make browser")

SECONDS_TO_START = 90
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browsing() -> Iterator[Browser]:
    """Yield a browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def settle(page: Page) -> None:
    """Wait until the page is drawn: its script has run and no skeleton or stale element is left."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=60_000)
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=stSkeleton]') && !document.querySelector('[data-stale=true]')",
        timeout=60_000,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Dashboard:
    """A process that serves pages, its address and what it wrote on stderr."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"
        self.lines: list[str] = []
        self._is_up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> None:
        assert self._is_up.wait(SECONDS_TO_START), "".join(self.lines)
        assert self.process.poll() is None, "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("dashboard: "):
                self._is_up.set()
        self._is_up.set()

    def end(self, signal_number: int = 15) -> int:
        """End it, and return its exit code."""
        self.process.send_signal(signal_number)
        code = self.process.wait(30)
        self._reader.join(10)
        return code


@contextmanager
def dashboard(
    catalog: str | Path, *options: object, cwd: Path | None = None, **environment: str
) -> Iterator[Dashboard]:
    """Yield a dashboard of a catalog on a free port, that ends with the context."""
    port = free_port()
    words = ["-P", "-m", "dashboards", "--port", str(port), *map(str, options)]
    said = {**os.environ, "HCS_CATALOG": str(catalog), **environment}
    process = subprocess.Popen(
        [sys.executable, *words], stderr=subprocess.PIPE, text=True, cwd=cwd, env=said, start_new_session=True
    )
    served = Dashboard(process, port)
    try:
        served.wait()
        yield served
    finally:
        if process.poll() is None:
            served.end()
        if process.stderr is not None:
            process.stderr.close()
