"""Which pages there are, and how one leads to another: an address holds everything that a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

VIEWS = Path(__file__).with_name("views")


@dataclass(frozen=True)
class Place:
    """One page."""

    path: str
    title: str
    icon: str


HOME = Place("home", "Home", ":material/biotech:")
PLACES = (
    HOME,
    Place("plates", "Plates", ":material/grid_on:"),
    Place("hits", "Hits", ":material/target:"),
    Place("compound", "Compound", ":material/experiment:"),
    Place("mechanisms", "Mechanisms", ":material/hub:"),
    Place("runs", "Runs", ":material/play_circle:"),
)


def all_pages() -> list[StreamlitPage]:
    """Return the pages in the order of the menu."""
    return [_page(place) for place in PLACES]


def link(path: str, label: str, *, icon: str | None = None, **state: str | None) -> None:
    """Draw a link to a page in a state: `link("plates", "the plate", plate="P1", well="A01", run="run-2")`.

    The label is Markdown: a name of a user's goes through `words.plain` first.
    """
    st.page_link(_page(_place(path)), label=label, icon=icon, query_params=_said(state))


def go(path: str, **state: str | None) -> None:
    """Leave for a page in a state."""
    st.switch_page(_page(_place(path)), query_params=_said(state))


def _place(path: str) -> Place:
    return next(place for place in PLACES if place.path == path)


def _page(place: Place) -> StreamlitPage:
    """Return the page; Streamlit runs its module as a script whenever somebody looks at it."""
    is_home = place is HOME
    path = None if is_home else place.path
    return st.Page(VIEWS / f"{place.path}.py", title=place.title, icon=place.icon, url_path=path, default=is_home)


def _said(state: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in state.items() if value is not None}
