"""Divides the images of a plate into units of work, without doing any of it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import polars as pl

from hcs.pipeline.keys import manifest_digest, unit_key
from schemas.encoders import EncoderInfo
from schemas.screen import PixelsConfig
from schemas.work import PlaneRef, RunPin, UnitSpec

UNITS_A_PLATE = 8
"""At least so many, where there are as many wells: less is lost when a worker dies."""
SITES_A_UNIT = 48
"""At most so many, unless one well has more: 5-60 s of work on one core."""
SURVEY_SITES = 32
"""Sites that illumination and percentiles of a plate are estimated from."""


@dataclass(frozen=True)
class PartsPlace:
    """Where the parts of a run are written: its own folder under the catalog's folder or URI of parts."""

    uri: str
    folder: str


@dataclass(frozen=True)
class PlannedPlate:
    """One plate of a run: its planes that are there, and what the run does with them."""

    screen: str
    plate: str
    root: str
    planes: tuple[PlaneRef, ...]
    channels: tuple[str, ...]

    @property
    def manifest_sha256(self) -> str:
        """Digest of the planes' relative paths and sizes."""
        return manifest_digest(self.planes)


def is_brightfield(channel: str) -> bool:
    """Return whether a channel's name says that no stain is seen in it."""
    name = channel.casefold().replace("_", "").replace(" ", "")
    return name.startswith(("brightfield", "bf", "dpc", "phase"))


def planes_of(images: pl.DataFrame, *, channels: Sequence[str]) -> tuple[PlaneRef, ...]:
    """Return the delivered planes of these channels in the order of their keys; missing files are left out."""
    present = images.filter(pl.col("size_bytes").is_not_null() & pl.col("channel").is_in(list(channels)))
    rows = present.drop("plate").sort("well", "site", "channel", "z", "timepoint", "relative_path")
    return tuple(PlaneRef(**row) for row in rows.iter_rows(named=True))


def by_site(planes: Iterable[PlaneRef]) -> dict[tuple[str, int], tuple[PlaneRef, ...]]:
    """Return the planes of every (well, site), sites in order."""
    sites: dict[tuple[str, int], list[PlaneRef]] = defaultdict(list)
    for plane in planes:
        sites[plane.well, plane.site].append(plane)
    return {key: tuple(sites[key]) for key in sorted(sites)}


def missing_channels(planes: Iterable[PlaneRef], channels: Sequence[str]) -> tuple[str, ...]:
    """Return the channels that a site does not have."""
    return tuple(sorted(set(channels) - {plane.channel for plane in planes}))


def survey_order(plate: PlannedPlate) -> list[tuple[str, int]]:
    """Return the complete sites of a plate in the order in which a survey takes them.

    The order is by a hash of each site's own planes, so it is scattered over the plate, the same on every machine,
    and looks at no label.
    """
    complete = {
        key: planes for key, planes in by_site(plate.planes).items() if not missing_channels(planes, plate.channels)
    }
    scattered = {
        key: hashlib.sha256(f"{plate.plate}/{key[0]}/{key[1]}/{manifest_digest(planes)}".encode()).hexdigest()
        for key, planes in complete.items()
    }
    return sorted(complete, key=lambda key: (scattered[key], key))


def survey_unit(plate: PlannedPlate, *, pixels: PixelsConfig, pin: RunPin, parts: PartsPlace) -> UnitSpec:
    """Return the unit that surveys a plate: twice the sites it needs, so that unreadable ones can be replaced."""
    order = survey_order(plate)[: 2 * SURVEY_SITES]
    sites = by_site(plate.planes)
    planes = tuple(plane for key in order for plane in sites[key])
    return _unit(plate, "survey", planes, pixels=pixels, encoders=(), pin=pin, parts=parts, survey=None)


def embed_units(
    plate: PlannedPlate,
    *,
    pixels: PixelsConfig,
    encoders: Sequence[EncoderInfo],
    pin: RunPin,
    parts: PartsPlace,
    survey: tuple[str, str],
) -> tuple[UnitSpec, ...]:
    """Return the units that embed a plate: whole wells, in their order, each well in exactly one unit.

    Args:
        plate: The plate with its planes.
        pixels: What is cut out of a site.
        encoders: All encoders of the run.
        pin: What workers must honour.
        parts: Where parts are written.
        survey: URI and SHA-256 of the plate's survey.
    """
    wells: dict[str, list[PlaneRef]] = defaultdict(list)
    for plane in plate.planes:
        wells[plane.well].append(plane)
    names = sorted(wells)
    size = wells_a_unit(len(names), n_sites=len(by_site(plate.planes)))
    groups = [names[start : start + size] for start in range(0, len(names), size)]
    return tuple(
        _unit(
            plate,
            "embed",
            tuple(plane for name in group for plane in wells[name]),
            pixels=pixels,
            encoders=encoders,
            pin=pin,
            parts=parts,
            survey=survey,
        )
        for group in groups
    )


def wells_a_unit(n_wells: int, *, n_sites: int) -> int:
    """Return how many wells make one unit: at least one, at most an eighth of the plate and `SITES_A_UNIT` sites."""
    if not n_wells:
        return 1
    sites_a_well = max(1.0, n_sites / n_wells)
    return max(1, min(n_wells // UNITS_A_PLATE, int(SITES_A_UNIT / sites_a_well)))


def _unit(
    plate: PlannedPlate,
    kind: str,
    planes: tuple[PlaneRef, ...],
    *,
    pixels: PixelsConfig,
    encoders: Sequence[EncoderInfo],
    pin: RunPin,
    parts: PartsPlace,
    survey: tuple[str, str] | None,
) -> UnitSpec:
    survey_uri, survey_sha256 = survey if survey else (None, None)
    key = unit_key(
        kind=kind,
        screen=plate.screen,
        plate=plate.plate,
        planes=planes,
        channels=plate.channels,
        pixels=pixels.model_dump(mode="json"),
        encoders=encoders,
        pin=pin,
        survey_sha256=survey_sha256,
    )
    return UnitSpec.model_validate(
        {
            "key": key,
            "kind": kind,
            "plate": plate.plate,
            "root": plate.root,
            "planes": planes,
            "channels": tuple(sorted(plate.channels)),
            "pixels": pixels,
            "encoders": tuple(encoders),
            "pin": pin,
            "survey_uri": survey_uri,
            "survey_sha256": survey_sha256,
            "parts_uri": parts.uri,
            "parts_folder": f"{parts.folder}/{quote(plate.plate, safe='')}",
        }
    )
