"""Pages on a small finished run whose names are hostile, asked over HTTP."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit
from apps import Opened, hang_up, open_page
from served import Finished, judge_calls, perform_screen
from serving import Server, serving


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return perform_screen(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def server(finished: Finished) -> Iterator[Server]:
    with serving(finished.catalog, "--root", finished.folder) as server:
        yield server


@pytest.fixture(autouse=True)
def _main_is_back() -> Iterator[None]:
    """A page that is drawn takes the place of `__main__`, which the processes of later tests would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def _draws_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What draws pages here takes no time."""
    monkeypatch.setattr("dashboards.components.later.SECONDS_TO_DRAW", 0.0)


@pytest.fixture(scope="session", autouse=True)
def _on_this_machine() -> Iterator[None]:
    streamlit.config.set_option("server.address", "127.0.0.1")
    yield
    streamlit.config.set_option("server.address", None)


@pytest.fixture(scope="session")
def judging(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The API on a copy of the run in which every verdict is said of some hit, and nothing was tested of the last."""
    catalog = Path(shutil.copy(finished.catalog, tmp_path_factory.mktemp("judged")))
    judge_calls(catalog)
    with serving(catalog, "--root", finished.folder) as server:
        yield server


@pytest.fixture
def judged(judging: Server, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """As `opened`, of that copy."""
    monkeypatch.setenv("HCS_API_URL", judging.url)
    monkeypatch.setenv("HCS_API_KEY", finished.keys.admin)
    yield open_page
    hang_up()


@pytest.fixture
def opened(server: Server, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens a page in a state, as whoever follows a link: `opened("plates", plate="P1")`."""
    monkeypatch.setenv("HCS_API_URL", server.url)
    monkeypatch.setenv("HCS_API_KEY", finished.keys.admin)
    yield open_page
    hang_up()
