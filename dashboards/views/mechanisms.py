"""The page of mechanisms: which are among the hits, and which treatments look alike."""

from __future__ import annotations

import streamlit as st

from dashboards.components.choices import PROFILE, ask_ahead, chosen_profile, chosen_run
from dashboards.components.later import let_be_seen
from dashboards.components.tables import key_of_rows, show_table
from dashboards.connection import ask
from dashboards.places import link
from dashboards.troubles import drawn
from dashboards.views.mechanisms_map import show_map
from dashboards.views.mechanisms_words import found_among_hits, mechanism_rows
from dashboards.words import plain, shortened
from hcs.client import Client
from schemas.api import Mechanism

_COLUMNS = {
    "label": st.column_config.TextColumn("Mechanism", width="large"),
    "hits": st.column_config.NumberColumn("Hits", help="At q 0.05; positive controls count too."),
    "treatments": st.column_config.NumberColumn("Treatments"),
    "share": st.column_config.ProgressColumn("Hits among treatments", format="%.0f %%", min_value=0, max_value=100),
}
_HEIGHT = 300


def show() -> None:
    """Draw the page."""
    st.title("Mechanisms")
    ask_ahead("mechanisms", lambda run, profile: ask(Client.mechanisms, run=run, profile=profile))
    left, right = st.columns([3, 2])
    with left:
        run = chosen_run()
    if run is None:
        return
    with right:
        profile = chosen_profile(run)
    _show_mechanisms(run.id, profile)
    let_be_seen("mechanisms")
    show_map(run.id, profile)


def _show_mechanisms(run: str, profile: str) -> None:
    st.header("Among the hits")
    found: list[Mechanism] = ask(Client.mechanisms, run=run, profile=profile)
    st.markdown(found_among_hits(found))
    if not found:
        return
    rows = mechanism_rows(found)
    selected = show_table(
        rows,
        key=key_of_rows("mechanisms", rows["label"]),
        columns=_COLUMNS,
        file_name=f"{run}-mechanisms.csv",
        selectable=True,
        height=_HEIGHT if rows.height > _HEIGHT // 35 - 1 else None,
    )
    if not selected:
        st.caption("Select a row to see its hits.")
        return
    label = str(rows["label"][selected[0]])
    link(
        "hits",
        f"Hits of {plain(shortened(label))}",
        icon=":material/target:",
        run=run,
        mechanism=label,
        **{PROFILE: profile},
    )


if __name__ == "__main__":
    drawn(show)
