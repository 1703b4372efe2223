"""The first page."""

from __future__ import annotations

import pytest
from apps import Opened
from served import Finished

from hcs.client import Client


def test_the_numbers_are_those_of_the_run(opened: Opened) -> None:
    app = opened()

    shown = {metric.label: metric.value for metric in app.metric}
    with Client() as client:
        hits, plates = list(client.hits(control_type="treatment")), client.plates_of()
    assert shown["Plates"] == str(len(plates))
    assert shown["Hits at q \N{LESS-THAN OR EQUAL TO} 0.05"] == str(len(hits))


def test_a_key_that_is_not_valid_is_asked_for_again_and_the_page_comes(
    opened: Opened, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCS_API_KEY", finished.keys.revoked)

    app = opened()
    assert "not valid" in app.warning[0].value
    app.text_input[0].set_value(finished.keys.read)
    app.button[0].click().run()

    assert not app.warning
    assert app.metric[0].label == "Plates"


def test_an_api_that_does_not_answer_is_said_with_where_it_was_looked_for(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCS_API_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("dashboards.connection.PATIENCE_SECONDS", 0.5)

    app = opened()

    assert "does not answer" in app.error[0].value
    assert "http://127.0.0.1:9" in app.markdown[0].value
    assert app.button[0].label == "Try again"
