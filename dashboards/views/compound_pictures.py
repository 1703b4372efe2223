"""Wells of a compound above negative controls of the same plates, as pictures at the same contrast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from dashboards.connection import ask
from dashboards.places import link
from dashboards.words import number, plain, shortened
from hcs.client import Client
from hcs.errors import ApiError
from schemas.api import PerturbationWell, Plate, Well

PLATES_SHOWN = 3
PIXELS = 480
"""Of the longer side of a picture, about."""

ALL = "All"
_AT_ONCE = 4


class Counted(Protocol):
    """What is known of a well, whoever says it."""

    @property
    def well(self) -> str:
        """Return its name."""

    @property
    def cell_count(self) -> float | None:
        """Return the mean over its sites."""

    @property
    def excluded_reason(self) -> str | None:
        """Return why a person took it out."""

    @property
    def sites(self) -> int:
        """Return how many it has."""

    @property
    def sites_failed(self) -> int:
        """Return how many could not be read."""


AnyWell = TypeVar("AnyWell", bound=Counted)


@dataclass(frozen=True)
class Beside:
    """A well of the compound and a negative control of its plate, if it has one."""

    treated: PerturbationWell
    control: Well | None


def typical(wells: Sequence[AnyWell]) -> AnyWell | None:
    """Return the well that has been read and whose cell count is nearest the median; of equals the first by name."""
    usable = [well for well in wells if well.sites > well.sites_failed and well.excluded_reason is None]
    if not usable:
        return None
    counts = sorted(well.cell_count for well in usable if well.cell_count is not None)
    median = counts[len(counts) // 2] if counts else 0.0
    return min(usable, key=lambda well: (_distance(well.cell_count, median), well.sites_failed, well.well))


def typical_of_plates(wells: Sequence[PerturbationWell], *, most: int = PLATES_SHOWN) -> list[PerturbationWell]:
    """Return the typical well of each plate, of the first plates by name."""
    plates = sorted({well.plate for well in wells})
    found = (typical([well for well in wells if well.plate == plate]) for plate in plates)
    return [well for well in found if well is not None][:most]


def show_pictures(wells: Sequence[PerturbationWell], *, run: str) -> None:
    """Draw the section."""
    st.subheader("Its cells beside the controls'")
    chosen = typical_of_plates(wells)
    if not chosen:
        st.info("None of its wells was read, so there is nothing to look at. Quality below says why.")
        return
    plate: Plate = ask(Client.plate, chosen[0].plate, run=run)
    channels = [ALL, *plate.report.channels]
    channel = st.segmented_control("Channels", channels, default=ALL, required=True, key="channel", bind="query-params")
    pairs = [Beside(well, _control_of(well.plate, run)) for well in chosen]
    pictures = _pictures(pairs, run=run, channel=None if channel in {None, ALL} else str(channel))
    missing = [told for told in pictures.values() if isinstance(told, str)]
    if len(missing) == len(pictures):
        st.info(
            f"There are no pictures of it: {plain(shortened(missing[0], longest=300))}", icon=":material/hide_image:"
        )
        return
    for column, pair in zip(st.columns(PLATES_SHOWN, gap="medium"), pairs, strict=False):
        with column:
            _show_pair(pair, pictures, run=run)
    st.caption(
        "Every picture of a plate has the same contrast: the range that the run found on the whole plate. "
        "The wells are those whose cell count is nearest the median."
    )


def _show_pair(pair: Beside, pictures: Mapping[tuple[str, str], bytes | str], *, run: str) -> None:
    plate, treated = pair.treated.plate, pair.treated.well
    link("plates", plain(shortened(plate)), icon=":material/grid_on:", plate=plate, well=treated, run=run)
    _show_one(pictures[plate, treated], "This compound", pair.treated)
    if pair.control is None:
        st.caption("The plate has no negative control that was read.")
        return
    name = shortened(pair.control.name or pair.control.perturbation, longest=30)
    _show_one(pictures[plate, pair.control.well], f"{name}, negative control", pair.control)


def _control_of(plate: str, run: str) -> Well | None:
    wells: list[Well] = ask(Client.wells, plate, run=run)
    return typical([well for well in wells if well.control_type == "negcon"])


def _pictures(pairs: Sequence[Beside], *, run: str, channel: str | None) -> dict[tuple[str, str], bytes | str]:
    """Return the picture of every well, or why there is none; several are asked for at once."""
    wanted = {
        (pair.treated.plate, well.well): well.sites for pair in pairs for well in (pair.treated, pair.control) if well
    }
    context = get_script_run_ctx()

    def fetch(place: tuple[str, str]) -> bytes | str:
        side = max(64, PIXELS // math.ceil(math.sqrt(max(wanted[place], 1))))
        view = {"run": run, "size": side} | ({} if channel is None else {"channels": (channel,)})
        try:
            return ask(Client.image, *place, **view)
        except ApiError as error:
            return error.detail

    with ThreadPoolExecutor(_AT_ONCE, initializer=lambda: add_script_run_ctx(None, context)) as pool:
        return dict(zip(wanted, pool.map(fetch, wanted), strict=True))


def _show_one(picture: bytes | str, what: str, well: PerturbationWell | Well) -> None:
    cells = "" if well.cell_count is None else f", {number(well.cell_count)} cells a site"
    told = f"{what}: {well.well}{cells}"
    if isinstance(picture, str):
        st.caption(f"{plain(told)}. There is no picture: {plain(shortened(picture, longest=200))}")
        return
    st.image(picture, caption=plain(told), width="stretch", alt=told)


def _distance(count: float | None, median: float) -> float:
    return math.inf if count is None else abs(count - median)
