"""The page of mechanisms: which treatments look alike."""

from __future__ import annotations

import streamlit as st

from dashboards.components.choices import chosen_run
from dashboards.troubles import drawn


def show() -> None:
    """Draw the page."""
    st.title("Mechanisms")
    run = chosen_run()
    if run is None:
        return


if __name__ == "__main__":
    drawn(show)
