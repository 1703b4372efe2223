"""The page of plates: what came, is it good, and what do the wells look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from dashboards.components.addresses import asked_for, chosen
from dashboards.components.choices import ask_ahead, chosen_profile, chosen_run
from dashboards.components.pictures import Contrast, chosen_channels, view_of
from dashboards.components.tables import show_table
from dashboards.connection import ask, ask_together
from dashboards.troubles import apart, drawn
from dashboards.views.plates_map import (
    WELL,
    chosen_measure,
    drawn_of,
    legend_of,
    show_map,
    table_of,
)
from dashboards.views.plates_report import PLATE, show_plates, show_report, show_standing
from dashboards.views.plates_well import show_well
from dashboards.words import plain, shortened
from hcs.client import Client
from schemas.api import Plate, RunPlate, Well
from schemas.api_plates import PlateMeasures

_ABOUT_SHEET = "One site of every well, where the well lies. A whole plate is read for it, which takes a while."


def show() -> None:
    """Draw the page."""
    st.title("Plates")
    ask_ahead("plates", lambda run, _: ask(Client.plates_of, run), *_questions(asked_for(PLATE)))
    places = st.columns(3)
    with places[0]:
        run = chosen_run()
    if run is None:
        return
    plates: list[RunPlate] = ask(Client.plates_of, run.id)
    if not plates:
        st.info("No plate of this run was accepted: its page says why.", icon=":material/grid_off:")
        return
    with places[1]:
        barcode = chosen_plate(plates)
    with places[2]:
        profile = chosen_profile(run)
    ask_together(*(partial(question, run.id, profile) for question in _questions(barcode)))
    plate: Plate = ask(Client.plate, barcode, run=run.id)
    show_standing(plate)
    left, right = st.columns(2)
    with left:
        show_report(plate.report)
    with right, apart("The list of plates"):
        show_plates(plates, run=run.id, chosen=barcode)
    channels = plate.report.channels
    st.fragment(lambda: drawn(lambda: explore(barcode, run=run.id, profile=profile, channels=channels), part="map"))()
    st.fragment(lambda: drawn(lambda: show_sheet(barcode, run=run.id, channels=channels), part="sheet"))()


def _questions(barcode: str | None) -> list[Callable[[str, str], object]]:
    """Return what is asked of a plate, if one is known."""
    if barcode is None:
        return []
    return [
        lambda run, _: ask(Client.measures, barcode, run=run),
        lambda run, profile: ask(Client.wells, barcode, run=run, profile=profile),
        lambda run, _: ask(Client.plate, barcode, run=run),
    ]


def chosen_plate(plates: Sequence[RunPlate]) -> str:
    """Draw the choice of a plate of the run and return its barcode."""
    barcodes = [plate.barcode for plate in plates]
    asked = st.query_params.get(PLATE)
    if asked is not None and asked not in barcodes:
        st.warning(f"This run has no plate {plain(shortened(asked))}: its first is shown.", icon=":material/grid_off:")
    return chosen("Plate", barcodes, key=PLATE, format_func=shortened, always=True) or barcodes[0]


def explore(barcode: str, *, run: str, profile: str, channels: Sequence[str]) -> None:
    """Draw the map of a plate, and beside it the well that is chosen on it."""
    measures: PlateMeasures = ask(Client.measures, barcode, run=run)
    wells: dict[str, Well] = {well.well: well for well in ask(Client.wells, barcode, run=run, profile=profile)}
    left, right = st.container(key="map_and_well").columns([1.4, 1], gap="medium")
    with right:
        well = chosen_well(measures.wells)
    with left:
        measure, corrected = chosen_measure(measures)
        shown = drawn_of(measures, wells, measure=measure, corrected=corrected)
        show_map(shown, of=(run, barcode, profile, measure, corrected), selected=well)
        st.caption(legend_of(shown))
    with right:
        if well is None:
            st.info("Click a well on the map, or choose one here, to see its cells.", icon=":material/ads_click:")
        elif well in wells:
            show_well(wells[well], plate=barcode, run=run, profile=profile, channels=channels)
        else:
            st.info("Nothing is described of this well.", icon=":material/help:")
    with st.expander("Wells as a table", icon=":material/table:", key="all_wells", bind="query-params") as area:
        if area.open:
            show_table(
                table_of(measures, wells, shown), key="wells", file_name=f"{run}-{barcode}-wells.csv", height=400
            )


def chosen_well(names: Sequence[str]) -> str | None:
    """Draw the choice of a well and return it; None before one is chosen.

    A well is offered by its name alone: it is the same choice on every plate, whatever stands in it.
    """
    asked = st.query_params.get(WELL)
    if asked is not None and asked not in names:
        st.warning(f"This plate has no well {plain(shortened(asked))}.", icon=":material/grid_off:")
    return chosen("Well", names, key=WELL, optional=True, placeholder="Click the map, or choose here")


def show_sheet(barcode: str, *, run: str, channels: Sequence[str]) -> None:
    """Draw, where it is asked for, one site of every well of a plate."""
    with st.expander("Contact sheet", icon=":material/view_module:", key="sheet", bind="query-params") as area:
        if not area.open:
            return
        st.caption(_ABOUT_SHEET)
        shown = chosen_channels(channels, key="sheet_channels")
        with apart("The contact sheet"), st.spinner("Reading one site of every well"):
            view = view_of(shown, every=channels, contrast=Contrast(), as_delivered=False, size=None, run=run)
            picture = ask(Client.sheet, barcode, **view)
            st.image(picture, width="stretch", alt=f"Contact sheet of plate {barcode}: {', '.join(shown)}")
            st.download_button(
                "Download sheet",
                picture,
                file_name=f"{run}-{barcode}.webp",
                mime="image/webp",
                icon=":material/download:",
                on_click="ignore",
            )


if __name__ == "__main__":
    drawn(show)
