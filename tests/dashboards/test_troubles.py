"""What a visitor reads when the API is there and says nothing."""

from __future__ import annotations

import os
import signal
import time

import pytest
from apps import Opened, hang_up, open_page
from serving import Server


@pytest.mark.parametrize("path", ["home", "hits", "plates", "mechanisms", "runs"])
def test_an_api_that_says_nothing_is_told_once_and_soon_and_the_page_comes_when_it_answers(
    opened: Opened, server: Server, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    wait_at_most(0.5, monkeypatch)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        app = open_page(path)
        took = time.monotonic() - begin
    finally:
        os.kill(server.process.pid, signal.SIGCONT)

    assert sum("does not answer" in error.value for error in app.error) == 1
    assert took < 20, "a page that waits for every question waits for minutes where this one waits for seconds"

    wait_at_most(30.0, monkeypatch)
    next(button for button in app.button if button.label == "Try again").click().run()
    assert not app.error


def wait_at_most(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECONDS_AT_MOST", "SECONDS_TO_CHANGE", "PATIENCE_SECONDS"):
        monkeypatch.setattr(f"dashboards.connection.{name}", seconds)
    hang_up()
