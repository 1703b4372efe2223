"""The page of hits: which treatments are active, by which mechanism, and how sure that is."""

from __future__ import annotations

import streamlit as st

from dashboards.components.choices import chosen_run
from dashboards.troubles import drawn


def show() -> None:
    """Draw the page."""
    st.title("Hits")
    run = chosen_run()
    if run is None:
        return


if __name__ == "__main__":
    drawn(show)
