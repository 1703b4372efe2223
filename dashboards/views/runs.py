"""The page of runs: what was submitted, how far it is, and what came of it."""

from __future__ import annotations

import streamlit as st

from dashboards.troubles import drawn
from dashboards.views.runs_compare import show_comparison
from dashboards.views.runs_list import show_runs
from dashboards.views.runs_parts import COMPARE, PART, SUBMIT, WATCH, turn
from dashboards.views.runs_submit import show_submission

PARTS = {WATCH: show_runs, SUBMIT: show_submission, COMPARE: show_comparison}


def show() -> None:
    """Draw the page; of its parts the one that is looked at."""
    st.title("Runs")
    turn()
    part = st.segmented_control(
        "Part of the page",
        list(PARTS),
        default=WATCH,
        required=True,
        key=PART,
        bind="query-params",
        label_visibility="collapsed",
    )
    PARTS[part or WATCH]()


if __name__ == "__main__":
    drawn(show)
