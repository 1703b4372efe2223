"""Choices whose values stand in the address as they are, whatever they are called on the page.

What Streamlit binds to the address by itself is the label of an option: `?run=run-1` would mean nothing where the
option reads `run-1: pilot (2 plates)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

_SEEN = "seen_in_address_"


def choose(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    told: Callable[[str], str] = str,
    remembered: str | None = None,
    is_open: bool = False,
    is_pinned: bool = False,
    place: DeltaGenerator | None = None,
    **drawn: Any,
) -> str | None:
    """Draw a choice of one, and return it; in the address it stands under its key, unless it is the first.

    Args:
        label: Above it.
        options: At least one. An address that says something else is as one that says nothing.
        key: Of the widget, and in the address.
        told: What an option is called.
        remembered: What is chosen at first where the address says nothing.
        is_open: Whether nothing is chosen at first, instead of the first.
        is_pinned: Whether the first stands in the address too, since another may be the first tomorrow.
        place: Where it is drawn, if not here.
        **drawn: As `st.selectbox` has it.
    """
    default = None if is_open or not options else options[0]
    _adopt(key, lambda text: text if text in options else None, remembered=remembered)
    if st.session_state.get(key, default) not in options:
        st.session_state.pop(key, None)
    chosen: str | None = (place or st).selectbox(
        label, options, index=None if is_open else 0, format_func=told, key=key, **drawn
    )
    _write(key, None if chosen == default and not is_pinned else chosen)
    return chosen


def choose_several(
    label: str, options: Sequence[str], *, key: str, told: Callable[[str], str] = str, **drawn: Any
) -> list[str]:
    """Draw a switch for every option, and return those that are on; with none on, all are meant.

    In the address they stand under their key, separated by commas, unless all are on.
    """
    _adopt(key, lambda text: [option for option in options if option in text.split(",")] or None)
    state = st.session_state.setdefault(key, list(options))
    if not set(state) <= set(options):
        st.session_state[key] = list(options)
    st.pills(label, options, selection_mode="multi", format_func=told, key=key, **drawn)
    on = [option for option in options if option in st.session_state[key]] or list(options)
    _write(key, None if len(on) == len(options) else ",".join(on))
    return on


def _adopt(key: str, read: Callable[[str], Any], *, remembered: str | None = None) -> None:
    """Put what the address says into the state, where it says something new: a link was followed, or a step back."""
    said = st.query_params.get(key)
    is_new_here = key not in st.session_state
    value = None if said is None else read(said)
    if is_new_here:
        value = remembered if value is None else value
        if value is not None:
            st.session_state[key] = value
    elif said != st.session_state.get(_SEEN + key):
        if value is not None:
            st.session_state[key] = value
        elif said is None:
            del st.session_state[key]


def _write(key: str, said: str | None) -> None:
    """Have the address say what was chosen."""
    if st.query_params.get(key) != said:
        if said is None:
            del st.query_params[key]
        else:
            st.query_params[key] = said
    st.session_state[_SEEN + key] = said
