"""Pages of the dashboard, drawn without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

import dashboards
from dashboards import connection

APP = Path(dashboards.__file__).with_name("app.py")
SECONDS_TO_DRAW = 30.0

Opened = Callable[..., AppTest]


def open_page(path: str = "home", **state: str) -> AppTest:
    """Open a page in a state, as whoever follows a link: `open_page("plates", plate="P1")`."""
    app = AppTest.from_file(APP, default_timeout=SECONDS_TO_DRAW)
    app.run()
    for name, value in state.items():
        app.query_params[name] = value
    if path != "home" or state:
        app.switch_page(f"views/{path}.py").run()
    assert not app.exception, app.exception
    return app


def texts(app: AppTest) -> str:
    """Return everything that stands on a page as text."""
    kinds = (app.markdown, app.info, app.warning, app.caption)
    return "\n".join(element.value for kind in kinds for element in kind)


def hang_up() -> None:
    """End the connections of the pages: no socket is left to whoever looks for one after a test."""
    connection.forget_answers()
    connection._client.clear()
