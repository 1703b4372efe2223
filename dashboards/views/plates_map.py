"""The map of a plate: which measures there are, and what is drawn of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import streamlit as st

from dashboards.components.addresses import chosen
from dashboards.components.plate_map import (
    CONTROL_NAMES,
    MARKS_IN_WORDS,
    Drawn,
    clicked_well,
    show_plate_map,
)
from dashboards.words import dose
from schemas.api import Well
from schemas.api_plates import PlateMeasure, PlateMeasures

MEASURE, CORRECTED, WELL = "measure", "corrected", "well"
CALL, CONTENT = "call", "what_it_is"
_OF_CHANNELS = {"focus": "Focus of {}", "intensity": "Mean intensity of {}", "saturation": "Saturated pixels of {}"}
_TITLES = {
    "cell_count": "Number of cells",
    "effect": "Effect of the treatment",
    "mean_average_precision": "mAP of the treatment",
    CALL: "Call on the treatment",
    CONTENT: "What stands in the well",
}
OF_TREATMENTS = ("effect", "mean_average_precision")
"""Measures that are one number a treatment, whose wells lie in several places: no place explains them."""

_MADE, _FRAMED = "map_made", "map_framed"
_ABOUT_CORRECTED = (
    "Without what rows and columns add (Tukey's median polish). A row or column that differs as a whole disappears, a "
    "column of controls too: it shows wells that differ from their neighbours."
)


def title_of(measure: str) -> str:
    """Return what a measure is called: `focus:DNA` is `Focus of DNA`."""
    kind, _, channel = measure.partition(":")
    if kind in _OF_CHANNELS and channel:
        return _OF_CHANNELS[kind].format(channel)
    return _TITLES.get(measure, measure)


def drawn_of(measures: PlateMeasures, wells: Mapping[str, Well], *, measure: str, corrected: bool) -> Drawn:
    """Return what is drawn of one measure; what is one number a treatment is that of the profile of `wells`."""
    unit = ""
    values: Sequence[float | None] | Sequence[str | None]
    if measure in {CALL, CONTENT}:
        values = _words(measures, wells, measure)
    else:
        found = _measure(measures, measure)
        unit, values = found.unit, found.corrected if corrected else found.raw
    if measure in OF_TREATMENTS:
        values = [_said(wells.get(well), measure) for well in measures.wells]
    title = title_of(measure)
    if corrected and is_correctable(measure):
        title += ", without rows and columns"
    contents = [content_of(wells.get(well)) for well in measures.wells]
    return Drawn(measures.wells, values, measures.control_type, title, unit, contents)


def is_correctable(measure: str) -> bool:
    """Return whether a measure has values without what its rows and columns add."""
    return measure not in {*OF_TREATMENTS, CALL, CONTENT}


def content_of(well: Well | None) -> str:
    """Return name and dose of what stands in a well."""
    if well is None or well.perturbation is None:
        return "-"
    amount = dose(well.concentration_micromolar, well.dose_step)
    return (well.name or well.perturbation) + ("" if amount == "-" else f", {amount}")


def table_of(measures: PlateMeasures, wells: Mapping[str, Well], drawn: Drawn) -> pl.DataFrame:
    """Return a row a well: what stands in it, what is drawn, and everything that is measured."""
    known = [wells.get(well) for well in measures.wells]
    return pl.DataFrame(
        {
            "well": list(measures.wells),
            "what it is": [CONTROL_NAMES.get(kind, kind) for kind in measures.control_type],
            "perturbation": pl.Series([well and well.perturbation for well in known], dtype=pl.String),
            "name": pl.Series([well and well.name for well in known], dtype=pl.String),
            "concentration (\N{MICRO SIGN}M)": pl.Series(
                [well and well.concentration_micromolar for well in known], dtype=pl.Float64
            ),
            "mechanism": pl.Series([well and well.mechanism for well in known], dtype=pl.String),
            "sites": pl.Series([well and well.sites for well in known], dtype=pl.Int64),
            "sites failed": pl.Series([well and well.sites_failed for well in known], dtype=pl.Int64),
            "flags": ["; ".join(well.flags) if well else "" for well in known],
            "call": pl.Series([well and well.call and well.call.call for well in known], dtype=pl.String),
            f"on the map: {drawn.heading}": list(drawn.values),
            **{
                f"{title_of(one.name)} ({one.unit})": pl.Series(list(one.raw), dtype=pl.Float64)
                for one in measures.measures
                if one.name not in OF_TREATMENTS
            },
        },
        strict=False,
    )


def chosen_measure(measures: PlateMeasures) -> tuple[str, bool]:
    """Draw the choice of what the map shows, and return it with whether it is corrected for rows and columns."""
    names = [*(one.name for one in measures.measures), CALL, CONTENT]
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        measure = chosen("Map of", names, key=MEASURE, format_func=title_of) or names[0]
    corrected = right.toggle(
        "Without rows and columns",
        key=CORRECTED,
        bind="query-params",
        disabled=not is_correctable(measure),
        help=_ABOUT_CORRECTED,
    )
    return measure, bool(corrected) and is_correctable(measure)


def show_map(drawn: Drawn, *, of: Sequence[object], selected: str | None) -> None:
    """Draw the map; a click puts the well into the state of the page.

    Args:
        drawn: What is drawn.
        of: What the map is of: another one is another widget.
        selected: The well that the page shows.
    """
    key = _key(of, selected)
    _, framed = st.session_state[_FRAMED]

    def take_click() -> None:
        well = clicked_well(key)
        if well is not None:
            st.session_state[WELL] = well

    show_plate_map(drawn, key=key, selected=framed, profiles=True, on_click=take_click)


def legend_of(drawn: Drawn) -> str:
    """Return what the letters and the grey of a map mean, as far as it has them."""
    letters = [text for text in MARKS_IN_WORDS.split(", ") if any(kind in drawn.control_types for kind in _kinds(text))]
    grey = ["grey: not known"] if any(value is None for value in drawn.values) else []
    frame = ["framed: the well shown"]
    profiles = [] if drawn.is_words else ["lines: medians of rows and columns"]
    return " \N{MIDDLE DOT} ".join([*letters, *grey, *frame, *profiles])


def _kinds(text: str) -> list[str]:
    return [kind for kind, name in CONTROL_NAMES.items() if text.endswith(name)]


def _key(of: Sequence[object], selected: str | None) -> str:
    """Return the key of the map: a new one, so that it is drawn anew, where another well is shown than it has framed.

    The browser frames a well that is clicked; drawing the map once more for it would only cost time.
    """
    made = int(st.session_state.get(_MADE, 0))
    told, framed = st.session_state.get(_FRAMED, ("", None))
    key = f"map-{made}-" + "-".join(map(str, of))
    if key == told and (clicked_well(key) or framed) == selected:
        return key
    if key == told:
        made += 1
        st.session_state[_MADE] = made
        key = f"map-{made}-" + "-".join(map(str, of))
    st.session_state[_FRAMED] = (key, selected)
    return key


def _words(measures: PlateMeasures, wells: Mapping[str, Well], measure: str) -> list[str | None]:
    if measure == CONTENT:
        return [CONTROL_NAMES.get(kind, kind) for kind in measures.control_type]
    known = [wells.get(well) for well in measures.wells]
    return [well.call.call.replace("_", " ") if well and well.call else None for well in known]


def _measure(measures: PlateMeasures, name: str) -> PlateMeasure:
    return next(one for one in measures.measures if one.name == name)


def _said(well: Well | None, name: str) -> float | None:
    value = getattr(well.call, name) if well and well.call else None
    return None if value is None else float(value)
