"""Choices whose names stand in the address, not the text by which they are offered.

Streamlit's own binding writes the text that is shown. That is right for numbers and ticks; a run or a compound is
linked to by its name, and its text says more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

_WRITTEN = "addresses_written"


def chosen(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    optional: bool = False,
    format_func: Callable[[str], str] = str,
    free: bool = False,
    always: bool = False,
    **drawn: Any,
) -> str | None:
    """Draw a list and return the name that is chosen; it is the one of the address, and the address follows it.

    Args:
        label: What is chosen.
        options: Names. Without any, nothing can be chosen.
        key: Of the widget, and of the address.
        optional: Whether nothing may be chosen, as at first; else it is the first name.
        format_func: How a name is offered.
        free: Whether another name may be typed.
        always: Whether the address holds the first name too, since another may be the first one tomorrow.
        **drawn: Other options of `st.selectbox`.
    """
    _follow_address(key, options, free=free)
    value: str | None = st.selectbox(
        label,
        options,
        index=None if optional or not options else 0,
        key=key,
        format_func=format_func,
        accept_new_options=free,
        **drawn,
    )
    default = None if optional or always or not options else options[0]
    _write(key, value if value != default else None)
    return value


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
    if key not in st.session_state or _address_was_changed(key):
        asked = st.query_params.get(key, "").split(",")
        st.session_state[key] = [option for option in options if option in asked] or list(options)
    else:  # said again: after a step back, it is the widget of another page that holds it
        st.session_state[key] = [option for option in options if option in st.session_state[key]]
    st.pills(label, options, selection_mode="multi", format_func=told, key=key, **drawn)
    on = [option for option in options if option in st.session_state[key]] or list(options)
    _write(key, None if len(on) == len(options) else ",".join(on))
    return on


def asked_for(key: str) -> str | None:
    """Return the name that the next list of this key will stand at, if it has it: of the address, or chosen before."""
    if _address_was_changed(key) or key not in st.session_state:
        return st.query_params.get(key)
    value = st.session_state[key]
    return None if value is None else str(value)


def _follow_address(key: str, options: Sequence[str], *, free: bool) -> None:
    """Take over what somebody typed into the address, or what a link brought; else what was chosen stays."""
    asked = st.query_params.get(key)
    changed = _address_was_changed(key) or (key not in st.session_state and asked is not None)
    if changed and asked is not None and (free or asked in options):
        st.session_state[key] = asked
    elif changed:
        st.session_state.pop(key, None)
    if not free and st.session_state.get(key) not in options:
        st.session_state.pop(key, None)
    if asked is not None and st.session_state.get(key) == asked:
        st.session_state[key] = asked  # said again: after a step back, it is the widget of another page that holds it


def _address_was_changed(key: str) -> bool:
    written = st.session_state.get(_WRITTEN, {})
    return key in written and st.query_params.get(key) != written[key]


def _write(key: str, value: str | None) -> None:
    if value is None:
        if key in st.query_params:
            del st.query_params[key]
    elif st.query_params.get(key) != value:
        st.query_params[key] = value
    st.session_state[_WRITTEN] = {**st.session_state.get(_WRITTEN, {}), key: value}
