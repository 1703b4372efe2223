"""What else is known of a compound: doses, neighbours, quality and provenance; each is asked for when it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import streamlit as st

from dashboards.components.addresses import chosen
from dashboards.components.tables import frame_of_rows, show_table
from dashboards.connection import ask
from dashboards.look import CATEGORIES, LINES
from dashboards.places import link
from dashboards.views.compound_words import TIMES, neighbours_in_words, quality_in_words
from dashboards.words import NOTHING, counted, dose, plain, shortened
from hcs.client import Client
from schemas.api import Hit, Neighbour, PerturbationWell, Run, Well
from schemas.api_plates import WellProvenance

PLATES_LOOKED_AT = 12
"""Flags come plate by plate; of more plates they are not asked for."""

NEIGHBOURS_LINKED = 6
NEIGHBOURS_SHOWN = 20


def show_doses(calls: Sequence[Hit], *, file_name: str) -> None:
    """Draw effect and mAP by dose, and their table."""
    if len(calls) < 2:
        st.markdown("It was tested at one dose. With several, this is where their curve would stand.")
    else:
        frame, unit = dose_frame(calls)
        left, right = st.columns(2, gap="medium")
        for column, field, title in (
            (left, "effect", f"Effect ({TIMES} control)"),
            (right, "mAP", "Mean average precision"),
        ):
            column.vega_lite_chart(
                frame, dose_chart(frame, field, title, unit), alt=f"{title} by dose, {len(calls)} doses"
            )
    names = ["concentration_micromolar", "dose_step", "call", "q_value", "effect", "mean_average_precision", "p_value",
             "smallest_possible_p", "p_position", "cell_count_ratio", "doubts", "n_replicates", "n_plates", "n_batches",
             "n_batches_holding"]  # fmt: skip
    frame = frame_of_rows(calls, names)
    optional = ("concentration_micromolar", "dose_step", "p_position", "n_batches_holding")
    show_table(frame.drop([name for name in optional if frame[name].null_count() == frame.height]), key="doses",
               columns=_CALL_COLUMNS, file_name=file_name)  # fmt: skip


def dose_frame(calls: Sequence[Hit]) -> tuple[pl.DataFrame, str]:
    """Return one row a dose, by dose, and its unit: micromolar, or none for a step."""
    is_molar = any(call.concentration_micromolar is not None for call in calls)
    rows = [
        {
            "dose": call.concentration_micromolar if is_molar else call.dose_step,
            "effect": call.effect,
            "mAP": call.mean_average_precision,
            "q": call.q_value,
            "call": "Hit" if call.is_hit else "No hit",
        }
        for call in calls
    ]
    schema = {"dose": pl.Float64, "effect": pl.Float64, "mAP": pl.Float64, "q": pl.Float64, "call": pl.String}
    return pl.DataFrame(rows, schema=schema).drop_nulls("dose").sort("dose"), "\N{MICRO SIGN}M" if is_molar else "step"


def dose_chart(frame: pl.DataFrame, field: str, title: str, unit: str) -> dict[str, Any]:
    """Return a curve over the doses of a frame in Vega-Lite, hits marked by colour and shape."""
    doses = frame["dose"].unique().sort().to_list()
    scale = {"type": "log"} if unit != "step" and doses and doses[0] > 0 else {}
    x = {"field": "dose", "type": "quantitative", "title": f"Dose ({unit})",
         "scale": {**scale, "padding": 20, "nice": False, "zero": False},
         "axis": {"format": "~g", "values": doses, "labelOverlap": "greedy"}}  # fmt: skip
    y = {"field": field, "type": "quantitative", "title": title, "scale": {"zero": True, "nice": True, "padding": 12}}
    looks = {"Hit": (CATEGORIES[0], "circle"), "No hit": (LINES, "square")}
    domain = [call for call in looks if call in set(frame["call"])]
    colours, shapes = ([looks[call][place] for call in domain] for place in (0, 1))
    told = [("dose", f"Dose ({unit})"), (field, title), ("q", "q")]
    marks = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "encoding": {
            "x": x,
            "y": y,
            "color": {"field": "call", "type": "nominal", "scale": {"domain": domain, "range": colours},
                      "legend": {"orient": "bottom", "title": None}},
            "shape": {"field": "call", "type": "nominal", "scale": {"domain": domain, "range": shapes}},
            "tooltip": [{"field": name, "title": words, "type": "quantitative", "format": ".3~g"}
                        for name, words in told],
        },
    }  # fmt: skip
    line = {"mark": {"type": "line", "color": LINES, "tooltip": None}, "encoding": {"x": x, "y": y}}
    return {"height": 320, "layer": [line, marks]}


def show_neighbours(neighbours: Sequence[Neighbour], *, own: str | None, run: str, profile: str) -> None:
    """Draw the most similar treatments, with what they do."""
    nearest = list(neighbours[:NEIGHBOURS_SHOWN])
    st.markdown(neighbours_in_words(nearest[:10], own))
    if not nearest:
        return
    linked = nearest[:NEIGHBOURS_LINKED]
    for start in range(0, len(linked), 3):
        for column, item in zip(st.columns(3), linked[start : start + 3], strict=False):
            with column:
                link("compound", plain(_neighbour(item)), icon=":material/experiment:",
                     perturbation=item.perturbation or item.neighbour, run=run, profile=profile)  # fmt: skip
    names = ["rank", "name", "perturbation", "concentration_micromolar", "dose_step", "similarity", "mechanism",
             "mechanism_source", "q_value", "call"]  # fmt: skip
    frame = frame_of_rows(nearest, names)
    optional = ("name", "concentration_micromolar", "dose_step")
    show_table(frame.drop([name for name in optional if frame[name].null_count() == frame.height]), key="neighbours",
               columns=_NEIGHBOUR_COLUMNS, file_name=f"neighbours-{run}.csv")  # fmt: skip


def show_quality(wells: Sequence[PerturbationWell], *, n_wells: int, run: str) -> None:
    """Draw how its wells are."""
    plates = sorted({well.plate for well in wells})
    flags: dict[tuple[str, str], tuple[str, ...]] | None = None
    if len(plates) <= PLATES_LOOKED_AT:
        flags = {(plate, well.well): well.flags for plate in plates for well in _wells(plate, run)}
    flagged = None if flags is None else sum(bool(flags.get((well.plate, well.well))) for well in wells)
    st.markdown(quality_in_words(wells, flagged))
    if flags is None:
        st.caption(f"Its wells are on {len(plates)} plates: the pages of the plates say what is out of focus.")
    if n_wells > len(wells):
        st.caption(f"The first {len(wells):,} of {counted(n_wells, 'well')} are listed.")
    rows = [
        {
            "Plate": well.plate,
            "Well": well.well,
            "Dose": dose(well.concentration_micromolar, well.dose_step),
            "Cells a site": well.cell_count,
            "Sites": well.sites,
            "Sites failed": well.sites_failed,
            "Out of focus or saturated": "; ".join((flags or {}).get((well.plate, well.well), ())),
            "Taken out because": well.excluded_reason or "",
        }
        for well in wells
    ]
    config = {"Cells a site": st.column_config.NumberColumn(format="%.1f")}
    show_table(
        pl.DataFrame(rows, infer_schema_length=None), key="quality", columns=config, file_name=f"wells-{run}.csv"
    )


def show_provenance(wells: Sequence[PerturbationWell], *, run: str) -> None:
    """Draw what the results of a well were made from, down to the hashes of weights and images."""
    places = {f"{well.plate}:{well.well}": (well.plate, well.well) for well in wells}
    name = chosen("Well", list(places), key="origin", format_func=lambda place: place.replace(":", " "))
    if name is None:
        st.markdown("It has no well in this run.")
        return
    origin: WellProvenance = ask(Client.provenance, *places[name], run=run)
    whole: Run = ask(Client.run, run)
    when = "" if whole.finished_at is None else f", finished {whole.finished_at:%Y-%m-%d %H:%M} UTC"
    st.markdown(f"Made by **{plain(origin.run)}** with hcs {plain(origin.code_version)}{when}.")
    rows = [
        ("Configuration, SHA-256", origin.config_sha256),
        ("Manifest of the plate, SHA-256", origin.manifest_sha256),
    ]
    if origin.pin is not None:
        pin = origin.pin
        rows += [
            (
                "Engine",
                f"PyTorch {pin.torch}, {pin.engine}, {pin.precision}, {counted(pin.batch_size, 'plane')} at once",
            ),
            ("Processor", " ".join(filter(None, (pin.device, pin.instruction_set, pin.accelerator)))),
        ]
    show_table(pl.DataFrame(rows, schema=["What", "Value"], orient="row"), key="origin-run", file_name="run.csv")
    st.markdown("**Encoders**")
    encoders = [
        {"Encoder": item.name, "Weights, SHA-256": item.weights_sha256, "Weights from": item.weights_origin.value,
         "Numbers a channel": item.embedding_size, "Licence": item.licence}
        for item in origin.encoders
    ]  # fmt: skip
    show_table(pl.DataFrame(encoders), key="origin-encoders", file_name="encoders.csv")
    st.markdown("**Images**")
    if not origin.images:
        st.markdown("No image of this well could be used; its sites stand under Quality.")
        return
    images = [
        {"Site": item.site, "Channel": item.channel, "SHA-256": item.sha256,
         "Size (kB)": item.size_bytes / 1000, "Where": item.uri}
        for item in origin.images
    ]  # fmt: skip
    config = {"Size (kB)": st.column_config.NumberColumn(format="%.1f")}
    show_table(pl.DataFrame(images), key="origin-images", columns=config, file_name="images.csv")


def _wells(plate: str, run: str) -> list[Well]:
    return ask(Client.wells, plate, run=run)


def _neighbour(item: Neighbour) -> str:
    name = shortened(item.name or item.perturbation or item.neighbour, longest=28)
    mechanism = f", {shortened(item.mechanism, longest=26)}" if item.mechanism else ""
    similar = NOTHING if item.similarity is None else f"{item.similarity:.2f}"
    return f"{name}{mechanism} ({similar})"


_DOSE = st.column_config.NumberColumn("Dose (\N{MICRO SIGN}M)", format="%.4g")
_STEP = st.column_config.NumberColumn("Dose step", format="%g")
_Q = st.column_config.NumberColumn("q", format="%.2g")
_CALL_COLUMNS = {
    "concentration_micromolar": _DOSE,
    "dose_step": _STEP,
    "call": "Call",
    "q_value": _Q,
    "effect": st.column_config.NumberColumn(f"Effect ({TIMES} control)", format="%.2f"),
    "mean_average_precision": st.column_config.NumberColumn("mAP", format="%.3f"),
    "p_value": st.column_config.NumberColumn("p", format="%.2g"),
    "smallest_possible_p": st.column_config.NumberColumn("Smallest possible p", format="%.2g"),
    "p_position": st.column_config.NumberColumn("p without places", format="%.2g"),
    "cell_count_ratio": st.column_config.NumberColumn("Cells (of control)", format="%.2f"),
    "doubts": "May be explained by",
    "n_replicates": "Wells",
    "n_plates": "Plates",
    "n_batches": "Batches",
    "n_batches_holding": "Batches it holds in",
}
_NEIGHBOUR_COLUMNS = {
    "rank": "Rank",
    "name": "Compound",
    "perturbation": "Key",
    "concentration_micromolar": _DOSE,
    "dose_step": _STEP,
    "similarity": st.column_config.NumberColumn("Similarity (-1 to 1)", format="%.3f"),
    "mechanism": "Mechanism",
    "mechanism_source": "Mechanism is",
    "q_value": _Q,
    "call": "Call",
}
