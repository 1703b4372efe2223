"""The parts of the page of runs, and how one leads to another."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from dashboards.components.choices import RUN

WATCH, SUBMIT, COMPARE = "Watch", "Submit a screen", "Compare"
PART = "part"

_NEXT, _SAID = "next_of_runs", "said_of_runs"


def watch(run: str, *, said: str | None = None) -> NoReturn:
    """Draw the page anew, with a run to be watched, and something that is said about it once."""
    st.session_state[_NEXT] = {PART: WATCH, RUN: run}
    st.session_state[_SAID] = said
    st.rerun()


def turn() -> None:
    """Go where a part led to; before any choice is drawn, since a choice that stands cannot be changed."""
    st.session_state.update(st.session_state.pop(_NEXT, {}))


def what_is_said() -> str | None:
    """Return what is said once, if anything is."""
    said: str | None = st.session_state.pop(_SAID, None)
    return said
