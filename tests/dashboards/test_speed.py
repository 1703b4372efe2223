"""What keeps pages quick: what is imported before anybody comes, and questions that are asked at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from apps import Opened, hang_up
from serving import Server
from streamlit.testing.v1 import AppTest

from dashboards.connection import KeyWantedError, ask_together
from dashboards.places import PLACES
from hcs.errors import NoAnswerError, NotFoundError

LOADED = "import sys; from dashboards.ready import load; load(); print(*sys.modules)"


def test_every_page_is_imported_before_the_first_visitor_comes() -> None:
    told = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)

    modules = set(told.stdout.split())
    assert {f"dashboards.views.{place.path}" for place in PLACES} <= modules
    assert {"pandas", "pyarrow", "PIL.Image", "httpcore"} <= modules, "what the first chart or answer would import"


def test_what_lies_below_an_answer_waits_once_a_page_for_it_to_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("dashboards.components.later.SECONDS_TO_DRAW", 0.25)
    monkeypatch.setattr("time.sleep", waited.append)
    app = AppTest.from_function(look_at_two_pages)

    for _ in range(2):
        app.run(timeout=30)

    assert not app.exception
    assert [seconds for seconds in waited if seconds == 0.25] == [0.25, 0.25]  # one each, and none when it stands


def look_at_two_pages() -> None:
    from dashboards.components.later import let_be_seen

    let_be_seen("one")
    let_be_seen("another")


def test_questions_are_asked_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=20)

    ask_together(*[meeting.wait] * 3)

    assert not meeting.broken


def test_where_nobody_answers_waiting_once_is_enough() -> None:
    def fail() -> None:
        raise NoAnswerError("it is down")

    with pytest.raises(NoAnswerError):
        ask_together(fail, lambda: None)


@pytest.mark.parametrize("trouble", [KeyWantedError(), NotFoundError("it is deleted")])
def test_what_cannot_be_answered_is_left_to_whoever_asks_for_it_in_its_turn(trouble: Exception) -> None:
    heard: list[str] = []

    def fail() -> None:
        raise trouble

    ask_together(fail, lambda: heard.append("answered"))

    assert heard == ["answered"]


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        ask_together(lambda: 1 // 0)


def test_what_was_asked_together_is_not_asked_again(opened: Opened, server: Server) -> None:
    opened("plates", plate="P1")

    before = len(server.logged())
    hang_up()
    app = AppTest.from_function(look_twice).run(timeout=30)

    assert not app.exception
    while not (asked := [line for line in server.logged()[before:] if line.get("path", "").endswith("/plates")]):
        time.sleep(0.01)  # until the line is written
    assert len(asked) == 1


def look_twice() -> None:
    from dashboards.connection import ask, ask_together
    from hcs.client import Client

    ask_together(lambda: ask(Client.plates_of, "run-1"))
    assert ask(Client.plates_of, "run-1")
