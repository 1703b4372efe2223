"""The page of compound: why one compound is a hit, and what else could explain it."""

from __future__ import annotations

import streamlit as st

from dashboards.components.choices import chosen_run
from dashboards.troubles import drawn


def show() -> None:
    """Draw the page."""
    st.title("Compound")
    run = chosen_run()
    if run is None:
        return


if __name__ == "__main__":
    drawn(show)
