"""How pictures of cells are shown: which channels, in which colours, with which contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from dashboards.components.addresses import chosen, switched_on
from dashboards.look import CHANNEL_COLOURS
from dashboards.words import plain, shortened
from hcs.client.plates import View

CHANNELS, CONTRAST, BLACK, FULL, AS_DELIVERED = "channels", "contrast", "black", "full", "as_delivered"
OF_PLATE, OF_PICTURE = "plate", "picture"

_IN_WORDS = {OF_PLATE: "Range of the plate", OF_PICTURE: "Percentiles of the picture"}
_ABOUT_CONTRAST = (
    "The range of the plate is what the run found on it: wells can be compared. Percentiles of the picture make a dim "
    "well visible, and compare it to nothing."
)
_STAINS = {
    "dna": "blue", "er": "green", "rna": "yellow", "agp": "orange", "mito": "red",
    "hoechst": "blue", "dapi": "blue", "gfp": "green", "fitc": "green", "tritc": "orange", "cy3": "orange",
    "texasred": "red", "cy5": "violet",
}  # fmt: skip
"""Channel -> colour, as most papers on Cell Painting show them."""


@dataclass(frozen=True)
class Contrast:
    """Percentiles of the pixels that are black and in full colour; None where the plate's range is meant."""

    low: float | None = None
    high: float | None = None


def hues_of(channels: Sequence[str]) -> dict[str, str]:
    """Return the name of a colour for every channel: that of its stain, else one that none has while there are any."""
    known = {channel: _STAINS[channel.lower()] for channel in channels if channel.lower() in _STAINS}
    free = [hue for hue in CHANNEL_COLOURS if hue not in known.values()] or list(CHANNEL_COLOURS)
    others = [channel for channel in channels if channel not in known]
    return known | {channel: free[index % len(free)] for index, channel in enumerate(others)}


def view_of(
    shown: Sequence[str], *, every: Sequence[str], contrast: Contrast, as_delivered: bool, size: int | None, run: str
) -> View:
    """Return what the API is asked for. One channel alone is grey: the eye tells more steps of it than of a colour.

    Args:
        shown: Channels that are switched on, at least one.
        every: All of the plate, so that a channel has the same colour whichever others are on.
        contrast: Which intensities are black and in full colour.
        as_delivered: Whether the illumination stays uncorrected.
        size: Pixels of a site's longer side, at most.
        run: Which one.
    """
    hues = hues_of(every)
    coloured = {channel: CHANNEL_COLOURS[hues[channel]] for channel in every if channel in shown}
    channels = list(coloured) if len(coloured) == 1 else coloured
    return View(channels=channels, low=contrast.low, high=contrast.high, raw=as_delivered, size=size, run=run)


def chosen_channels(channels: Sequence[str], *, key: str = CHANNELS) -> list[str]:
    """Draw a switch for every channel, and return those that are on; with all of them off, all are shown."""
    hues = hues_of(channels)
    return switched_on(
        "Channels",
        channels,
        key=key,
        told=lambda name: f":{hues[name]}[\N{BLACK CIRCLE}] {plain(shortened(name, longest=24))}",
        help="One channel alone is shown in grey.",
    )


def chosen_contrast() -> tuple[Contrast, bool]:
    """Draw the choice of the contrast, and return it with whether pixels are wanted as they were delivered."""
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        how = chosen("Contrast", list(_IN_WORDS), key=CONTRAST, format_func=_IN_WORDS.__getitem__, help=_ABOUT_CONTRAST)
    as_delivered = right.toggle(
        "As delivered", key=AS_DELIVERED, bind="query-params", help="Without the correction of the illumination."
    )
    if how != OF_PICTURE:
        return Contrast(), bool(as_delivered)
    black = left.slider("Black below (percentile)", 0.0, 20.0, 0.1, 0.1, key=BLACK, bind="query-params")
    full = right.slider("Full colour above (percentile)", 80.0, 100.0, 99.9, 0.1, key=FULL, bind="query-params")
    return Contrast(float(black), float(full)), bool(as_delivered)
