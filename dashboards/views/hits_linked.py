"""One treatment is selected on the page of hits, wherever it is chosen: in a chart, in the table, in the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from dashboards.components.addresses import asked_for, chosen
from dashboards.views.hits_words import described
from schemas.api import Hit

TREATMENT = "treatment"
_TURNS = "hits_turns"
SOURCES = ("volcano", "precision", "table")
OPTIONS = 1_000
"""Treatments in the list; what is not among them is chosen in a chart, or by its address."""


def key_of(source: str) -> str:
    """Return the key of a widget: another one after the selection was made elsewhere, so that its own is gone."""
    return f"hits-{source}-{_turns().get(source, 0)}"


def chosen_in_chart(source: str) -> Callable[[], None]:
    """Return what is to be called when something is clicked in a chart."""

    def follow() -> None:
        clicked = st.session_state[key_of(source)]["selection"].get("point") or []
        select(clicked[0]["treatment"] if clicked else None, source=source)

    return follow


def chosen_in_table(shown: Sequence[Hit], key: str) -> Callable[[], None]:
    """Return what is to be called when a row is selected in the table of these."""

    def follow() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        select(shown[rows[0]].treatment if rows else None, source="table")

    return follow


def select(treatment: str | None, *, source: str) -> None:
    """Select a treatment everywhere, because of a widget."""
    st.session_state[TREATMENT] = treatment
    turn_others(source)


def turn_others(source: str = "list") -> None:
    """Have every other widget forget what was selected in it."""
    turns = _turns()
    st.session_state[_TURNS] = {name: turns.get(name, 0) + (name != source) for name in SOURCES}


def selected_from(shown: Sequence[Hit], every: Sequence[Hit]) -> Hit | None:
    """Draw the list of treatments, for whoever clicks nothing, and return the one that is selected anywhere.

    Args:
        shown: What the table shows.
        every: What the charts show; a treatment of theirs joins the list when it is selected.
    """
    known = {hit.treatment: hit for hit in reversed([*shown, *every])}
    offered = list(dict.fromkeys(hit.treatment for hit in shown[:OPTIONS]))
    asked = asked_for(TREATMENT)
    if asked in known and asked not in offered:
        offered.append(asked)
    elif asked is not None and asked not in known:
        st.caption("The treatment of the address is not among those of this run and profile.")
    name = chosen(
        "Treatment",
        offered,
        key=TREATMENT,
        optional=True,
        format_func=lambda treatment: described(known[treatment]),
        placeholder="Choose one here, in a chart or in the table",
        on_change=turn_others,
    )
    return None if name is None else known[name]


def _turns() -> dict[str, int]:
    turns: dict[str, int] = st.session_state.get(_TURNS, {})
    return turns
