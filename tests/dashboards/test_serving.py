"""`hcs dashboard` as a process: what it starts ends with it, and comes back when it dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit
from apps import Opened
from browser import dashboard
from served import Finished

from dashboards.serving import refuse_taken_port
from hcs.errors import StorageError


def children(pid: int) -> dict[int, str]:
    """Processes that a process has started, with their command lines."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {
        int(child): Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode() for child in text.split()
    }


def api_of(pid: int) -> list[tuple[int, str]]:
    return [(child, command) for child, command in children(pid).items() if "services.api" in command]


def wait_until(is_so: Callable[[], bool], *, seconds: float = 40.0) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_what_dies_is_started_again_at_the_same_port_and_everything_ends_when_the_dashboard_is_killed(
    finished: Finished,
) -> None:
    with dashboard(finished.catalog, "--root", finished.folder) as served:
        pid = served.process.pid
        ((first, _),) = api_of(pid)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: any(child != first for child, _ in api_of(pid)))
        ((_, command),) = api_of(pid)
        assert "--port=0" not in command, "the pages ask where the first one was"
        assert any("is started again" in line for line in served.lines)

        started = set(children(pid))
        assert len(started) == 3
        served.process.kill()
        served.process.wait(10)
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in started))


def test_a_port_that_is_taken_is_refused_before_anything_is_started(finished: Finished) -> None:
    with dashboard(finished.catalog, "--root", finished.folder) as served:
        port = int(served.url.rpartition(":")[2])

        with pytest.raises(StorageError, match=f"port {port} of 127.0.0.1 cannot be served"):
            refuse_taken_port("127.0.0.1", port)

        assert served.end() == 130


EVERYWHERE = "0.0.0.0"  # noqa: S104 - said to a page, and bound by nobody


def test_where_others_reach_the_pages_nobody_is_lent_a_key(opened: Opened) -> None:
    streamlit.config.set_option("server.address", EVERYWHERE)
    try:
        app = opened("hits")
    finally:
        streamlit.config.set_option("server.address", "127.0.0.1")

    assert "needs a key" in app.warning[0].value
    assert app.text_input[0].label == "Key of the API"
    assert not app.metric
    assert os.environ["HCS_API_KEY"] not in str(app)
