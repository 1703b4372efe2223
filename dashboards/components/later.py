"""What lies below the answer of a page is sent a moment later: a browser draws all that has come as one piece."""

from __future__ import annotations

import time

import streamlit as st

SECONDS_TO_DRAW = 0.8
"""What a browser takes for the answer of a page on two cores, from when it is sent to when it is seen."""

_STANDING = "pages_that_stand"


def let_be_seen(page: str) -> None:
    """Wait, the first time that a visitor looks at a page, until what was sent so far may stand on the screen.

    Later the browser has what it draws with, and everything is sent at once.

    Args:
        page: Its name.
    """
    standing: frozenset[str] = st.session_state.get(_STANDING, frozenset())
    if page in standing:
        return
    st.session_state[_STANDING] = standing | {page}
    time.sleep(SECONDS_TO_DRAW)
