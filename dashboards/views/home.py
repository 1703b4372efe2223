"""The first page: what there is, and where to look at it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from dashboards.components.choices import COMBINED, ask_ahead, chosen_run
from dashboards.connection import ask, ask_all, ask_together
from dashboards.places import link
from dashboards.troubles import drawn
from dashboards.words import counted, number, plain
from hcs.client import Client
from schemas.api import Run

_QUESTIONS: tuple[Callable[[str, str], object], ...] = (
    lambda run, _: ask(Client.run, run),
    lambda run, _: ask(Client.mechanisms, run=run),
    lambda run, _: ask(Client.plates_of, run),
)


def show() -> None:
    """Draw the page."""
    st.title("High-content screening")
    ask_ahead("home", *_QUESTIONS)
    run = chosen_run()
    if run is None:
        return
    ask_together(*(partial(question, run.id, COMBINED) for question in _QUESTIONS))
    whole: Run = ask(Client.run, run.id)
    mechanisms = ask(Client.mechanisms, run=run.id)
    plates = ask(Client.plates_of, run.id)
    rejected = sum(plate.verdict != "accept" for plate in plates)
    cells = st.columns(4)
    cells[0].metric(
        "Plates",
        len(plates),
        delta=f"{rejected} with warnings" if rejected else None,
        delta_color="off",
        delta_arrow="off",
    )
    cells[1].metric("Sites", number(run.sites, digits=6))
    hits = cells[2].container()
    cells[3].metric("Mechanisms among hits", sum(mechanism.hits > 0 for mechanism in mechanisms))
    if whole.notes:
        with st.expander(f"How it was made: {counted(len(whole.notes), 'note')}", icon=":material/history_edu:"):
            st.markdown("\n".join(f"- {plain(note)}" for note in whole.notes))
    st.header("Ask")
    link("hits", "Which treatments are active, by which mechanism?", icon=":material/target:", run=run.id)
    link("plates", "What came, and is it good?", icon=":material/grid_on:", run=run.id)
    link("mechanisms", "Which treatments look alike?", icon=":material/hub:", run=run.id)
    link("runs", "Submit a screen, watch it run, compare two", icon=":material/play_circle:")
    found = ask_all(Client.hits, run=run.id, control_type="treatment")  # thousands come page by page: they come last
    hits.metric("Hits at q \N{LESS-THAN OR EQUAL TO} 0.05", len(found))


if __name__ == "__main__":
    drawn(show)
