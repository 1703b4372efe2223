"""Switches, of which several may be on; their names stand in the address as they are, whatever they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

_WRITTEN = "switches_written_"


def switched_on(
    label: str, options: Sequence[str], *, key: str, told: Callable[[str], str] = str, **drawn: Any
) -> list[str]:
    """Draw a switch for every option, and return those that are on; with none on, all are meant.

    In the address they stand under their key, separated by commas, unless all are on.

    Args:
        label: Above them.
        options: Names without a comma; one with a comma is not remembered by the address.
        key: Of the widget, and of the address.
        told: What an option is called, in Markdown.
        **drawn: Other options of `st.pills`.
    """
    _follow_address(key, options)
    st.pills(label, options, selection_mode="multi", format_func=told, key=key, **drawn)
    on = [option for option in options if option in st.session_state[key]] or list(options)
    said = None if len(on) == len(options) else ",".join(on)
    if st.query_params.get(key) != said:
        if said is None:
            del st.query_params[key]
        else:
            st.query_params[key] = said
    st.session_state[_WRITTEN + key] = said
    return on


def _follow_address(key: str, options: Sequence[str]) -> None:
    """Take over what the address says, where it is new; else what was switched stays, as far as it is offered."""
    said = st.query_params.get(key)
    if key not in st.session_state or said != st.session_state.get(_WRITTEN + key):
        asked = [] if said is None else said.split(",")
        st.session_state[key] = [option for option in options if option in asked] or list(options)
    else:  # said again: after a step back, it is the widget of another page that holds it
        st.session_state[key] = [option for option in options if option in st.session_state[key]]
