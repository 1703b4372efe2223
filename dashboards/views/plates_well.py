"""One well of a plate: its cells, how good its sites are, what is said of its treatment, and what it was made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import polars as pl
import streamlit as st

from dashboards.components.addresses import asked_for, chosen
from dashboards.components.pictures import Contrast, chosen_channels, chosen_contrast, view_of
from dashboards.components.plate_map import CONTROL_NAMES
from dashboards.components.tables import show_table
from dashboards.connection import ask
from dashboards.places import link
from dashboards.troubles import apart
from dashboards.words import counted, dose, number, plain, shortened
from hcs.client import Client
from hcs.client.plates import View
from hcs.errors import ApiError
from schemas.api import Well, WellCall
from schemas.api_plates import WellProvenance

SITE = "site"
EVERY_SITE = "all"
_SIDE, _SIDE_OF_ONE, _WIDEST = 420, 720, 1400
"""Pixels of a site's longer side beside others, and alone; and of all of them together."""

CALLS = {
    "active": "active",
    "inactive": "not told from the controls",
    "underpowered": "too few wells to tell",
    "not_callable": "cannot be called",
}
COUNTS = {
    "explained": "Its fewer cells alone would explain this.",
    "not_explained": "The number of its cells does not explain this.",
    "cannot_tell": "Whether its number of cells explains this cannot be told.",
}


def show_well(well: Well, *, plate: str, run: str, profile: str, channels: Sequence[str]) -> None:
    """Draw one well."""
    show_treatment(well, run=run, profile=profile)
    with apart("The pictures of this well"):
        show_pictures(well, plate=plate, run=run, channels=channels)
    cells = st.columns(4)
    cells[0].metric("Sites", f"{well.sites:,}")
    cells[1].metric("Failed sites", f"{well.sites_failed:,}")
    cells[2].metric("Flags", f"{len(well.flags):,}", help="Sites out of focus or saturated.")
    cells[3].metric("Cells a site", number(well.cell_count))
    if well.flags:
        st.markdown("Flagged: " + ", ".join(flag_in_words(flag) for flag in well.flags))
    if well.excluded_reason:
        st.markdown(f"Left out of the results: {plain(well.excluded_reason)}")
    show_call(well)
    show_provenance(well.well, plate=plate, run=run)


def show_treatment(well: Well, *, run: str, profile: str) -> None:
    """Draw what stands in a well, and the way to its compound."""
    if well.perturbation is None:
        st.markdown(f"**{plain(well.well)}**: {CONTROL_NAMES[well.control_type]}, nothing is said of its content")
        return
    name = plain(shortened(well.name or well.perturbation))
    amount = dose(well.concentration_micromolar, well.dose_step)
    parts = [
        f"**{name}**" + ("" if amount == "-" else f" {amount}"),
        CONTROL_NAMES[well.control_type],
        plain(shortened(well.mechanism)) if well.mechanism else "mechanism not known",
    ]
    st.markdown(" \N{MIDDLE DOT} ".join(parts if well.control_type == "treatment" else parts[:2]))
    if well.control_type in {"treatment", "poscon"}:
        chosen = {"run": run, "perturbation": well.perturbation, "profile": profile}
        link("compound", f"Everything of {name}", icon=":material/experiment:", **chosen)


def show_pictures(well: Well, *, plate: str, run: str, channels: Sequence[str]) -> None:
    """Draw the sites of a well in colour, with the switches of their channels and the contrast.

    Reading all of them takes a while: the first one is seen meanwhile.
    """
    if well.sites == 0:
        st.info("No site of this well was read, so that there is no picture.", icon=":material/hide_image:")
        return
    place = st.empty()
    shown = chosen_channels(channels)
    contrast, as_delivered = chosen_contrast()
    views = partial(_view, well, shown=shown, every=channels, contrast=contrast, as_delivered=as_delivered, run=run)
    title = f"Well {well.well} of plate {plate}"
    if asked_for(SITE) in {None, EVERY_SITE} and well.sites > 1:
        with suppress(ApiError):  # where this one cannot be shown, the others can
            first = _site_numbers(well, plate=plate, run=run)[0]
            picture = ask(Client.image, plate, well.well, site=first, **views(None))
            place.image(
                picture,
                width="stretch",
                alt=f"{title}, site {first}: {', '.join(shown)}",
                caption=f"Site {first}. The other sites are being read ...",
            )
    site = _chosen_site(well, plate=plate, run=run)
    picture = ask(Client.image, plate, well.well, site=site, **views(site))
    what = f"site {site}" if site is not None else counted(well.sites, "site")
    place.image(picture, width="stretch", alt=f"{title}, {what}: {', '.join(shown)}")


def _view(
    well: Well,
    site: int | None,
    *,
    shown: Sequence[str],
    every: Sequence[str],
    contrast: Contrast,
    as_delivered: bool,
    run: str,
) -> View:
    """Return what the API is asked for: a site by itself is larger."""
    in_a_row = 1 if site is not None else math.ceil(math.sqrt(well.sites))
    size = _SIDE_OF_ONE if in_a_row == 1 else min(_SIDE, _WIDEST // in_a_row)
    return view_of(shown, every=every, contrast=contrast, as_delivered=as_delivered, size=size, run=run)


def show_call(well: Well) -> None:
    """Draw what is said of the treatment of a well: in words, and in numbers."""
    st.markdown(call_in_words(well))
    if well.call is None:
        return
    cells = st.columns(4)
    for cell, (label, value, about) in zip(cells, call_figures(well.call), strict=True):
        cell.metric(label, value, help=about)


def call_in_words(well: Well) -> str:
    """Return what is said of the treatment of a well, as Markdown."""
    if well.control_type in {"negcon", "empty"}:
        return f"Nothing is called on it: it is {'a negative control' if well.control_type == 'negcon' else 'empty'}."
    if well.call is None:
        return "Nothing is said of its treatment on this profile."
    hit = ", a hit" if well.call.is_hit else ", no hit"
    count = COUNTS.get(well.call.explained_by_count or "", "") if well.call.is_hit else ""
    others = [plain(words) for words in well.call.doubts if not words.startswith("cell count")]
    doubts = f" It may be explained otherwise: {', '.join(others)}." if others else ""
    return f"The treatment, over all its wells: **{CALLS[well.call.call]}**{hit}. {count}".rstrip() + doubts


def call_figures(call: WellCall) -> list[tuple[str, str, str]]:
    """Return label, value and meaning of the numbers that a call stands on."""
    return [
        ("q", number(call.q_value, digits=2), "Share of false calls among those at least as sure."),
        (
            "mAP",
            number(call.mean_average_precision),
            "How well its wells find one another among controls; 1 is always.",
        ),
        ("Effect", number(call.effect), "Length of its mean profile, in lengths of such a mean of controls."),
        ("Cell count", _percent(call.cell_count_ratio), "Cells a site, in percent of the negative controls."),
    ]


def flag_in_words(flag: str) -> str:
    """Return a flag in words: `blurred:DNA` is `DNA blurred`."""
    kind, _, channel = flag.partition(":")
    return f"{plain(channel)} {plain(kind)}".strip()


def show_provenance(well: str, *, plate: str, run: str) -> None:
    """Draw, where it is asked for, what the results of a well were made from."""
    with st.expander("Provenance", icon=":material/history_edu:", key="provenance", bind="query-params") as area:
        if not area.open:
            return
        with apart("The provenance of this well"):
            found: WellProvenance = ask(Client.provenance, plate, well, run=run)
            st.markdown(f"Made by hcs {plain(found.code_version)}; hashes are SHA-256.")
            show_table(run_table(found), key="made", file_name=f"{run}-{plate}-{well}-run.csv")
            st.markdown("**Encoders**")
            show_table(encoders_table(found), key="encoders", file_name=f"{run}-encoders.csv")
            st.markdown("**Images**")
            show_table(images_table(found), key="images", file_name=f"{run}-{plate}-{well}-images.csv")


def run_table(found: WellProvenance) -> pl.DataFrame:
    """Return what determined the results of a well, beside encoders and images."""
    rows = {"run": found.run, "configuration": found.config_sha256, "manifest of the plate": found.manifest_sha256}
    pin = {} if found.pin is None else found.pin.model_dump(exclude_none=True)
    rows |= {name.replace("_", " "): str(value) for name, value in pin.items()}
    return pl.DataFrame({"what": list(rows), "value": list(rows.values())})


def encoders_table(found: WellProvenance) -> pl.DataFrame:
    """Return a row an encoder, with the hash of its weights."""
    encoders = found.encoders
    return pl.DataFrame(
        {
            "encoder": [one.name for one in encoders],
            "weights SHA-256": [one.weights_sha256 for one in encoders],
            "weights": [one.weights_origin.value for one in encoders],
            "licence": [one.licence for one in encoders],
        },
        schema=dict.fromkeys(("encoder", "weights SHA-256", "weights", "licence"), pl.String),
    )


def images_table(found: WellProvenance) -> pl.DataFrame:
    """Return a row an image, with the hash that was taken in the read that decoded it."""
    images = found.images
    return pl.DataFrame(
        {
            "site": [image.site for image in images],
            "channel": [image.channel for image in images],
            "SHA-256": [image.sha256 for image in images],
            "size (bytes)": [image.size_bytes for image in images],
            "place": [image.uri for image in images],
        },
        schema={"site": pl.Int64, "channel": pl.String, "SHA-256": pl.String, "size (bytes)": pl.Int64,
                "place": pl.String},
    )  # fmt: skip


def _chosen_site(well: Well, *, plate: str, run: str) -> int | None:
    """Draw the choice of a site where there are several, and return its number; None is all of them."""
    if well.sites < 2:
        return None
    numbers = [EVERY_SITE, *map(str, _site_numbers(well, plate=plate, run=run))]
    site = chosen("Site", numbers, key=SITE, format_func=_site_name)
    return None if site in {None, EVERY_SITE} else int(str(site))


def _site_numbers(well: Well, *, plate: str, run: str) -> list[int]:
    found: WellProvenance = ask(Client.provenance, plate, well.well, run=run)
    return sorted({image.site for image in found.images})


def _site_name(site: str) -> str:
    return "All side by side" if site == EVERY_SITE else f"Site {site}"


def _percent(ratio: float | None) -> str:
    return number(None if ratio is None else 100 * ratio, unit="%")
