"""A delivered plate as one table of image planes, whatever its layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import dataframely as dy
import polars as pl

from hcs.errors import DeliveryError
from hcs.io.layouts.folder import DeliveryFolder
from schemas.acceptance import Finding, FindingKind, Severity
from schemas.tables import SiteImages

KEY = ("well", "site", "channel", "z", "timepoint")
NUMBERS = ("site", "z", "timepoint")


@dataclass(frozen=True)
class Delivery:
    """One delivered plate.

    `images` holds one row an image plane; where a file that the delivery names is missing, its size is null.
    `duplicates` has the same columns: the further files of planes that have one already (the first by path is in
    `images`). `unrecognised` are the files that no rule of the layout uses. `declared_channels` are the stains that
    the screen says there are; `findings` is what reading the layout already found.
    """

    plate: str
    uri: str
    layout: str
    images: dy.DataFrame[SiteImages]
    duplicates: pl.DataFrame
    unrecognised: tuple[str, ...]
    declared_channels: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


class DeliveredPlane(NamedTuple):
    """One image plane as its layout names it: the channel is the delivery's own key."""

    well: str
    site: int
    channel: str
    z: int
    timepoint: int
    relative_path: str
    size_bytes: int | None
    witness: str | None


@dataclass(frozen=True)
class PlaneList:
    """What a layout makes of a folder, before channels get the names of stains."""

    plate: str
    layout: str
    planes: Sequence[DeliveredPlane]
    unrecognised: tuple[str, ...]
    findings: tuple[Finding, ...] = field(default=())


def assemble(listed: PlaneList, folder: DeliveryFolder, *, channels: Mapping[str, str] | None) -> Delivery:
    """Return the delivery of a list of planes.

    Args:
        listed: What the layout found.
        folder: Where it found it.
        channels: The delivery's channel key -> the stain. Keys that are not in it are left out and reported; where the
            delivery uses none of the keys but the stains' own names, those are taken.

    Raises:
        DeliveryError: If no channel is left, or two channels of the delivery would be one stain.
    """
    planes, unmapped = _with_stains(listed.planes, channels, place=folder.uri)
    planes, renumbered = _from_one(planes)
    rows = pl.DataFrame(planes, schema=_schema(), orient="row").insert_column(0, pl.lit(listed.plate).alias("plate"))
    rows = rows.unique(maintain_order=True).sort(*KEY, pl.col("size_bytes").is_null(), "relative_path")
    is_first = rows.select(pl.struct(KEY).is_first_distinct()).to_series()
    used = [channels[key] for key in channels] if channels else []
    return Delivery(
        plate=listed.plate,
        uri=folder.uri,
        layout=listed.layout,
        images=SiteImages.validate(rows.filter(is_first)),
        duplicates=rows.filter(~is_first & pl.col("size_bytes").is_not_null()),
        unrecognised=listed.unrecognised,
        declared_channels=tuple(sorted(set(used))),
        findings=(*listed.findings, *_folder_findings(folder), *unmapped, *renumbered),
    )


def _schema() -> dict[str, pl.DataType]:
    names = ("well", "site", "channel", "z", "timepoint", "relative_path", "size_bytes", "witness")
    return {name: SiteImages.columns()[name].dtype for name in names}


def _with_stains(
    planes: Sequence[DeliveredPlane], channels: Mapping[str, str] | None, *, place: str
) -> tuple[Sequence[DeliveredPlane], list[Finding]]:
    keys = Counter(plane.channel for plane in planes)
    if not channels:
        return planes, []
    names = dict(channels) if any(key in channels for key in keys) else {name: name for name in channels.values()}
    named = {key: names[key] for key in sorted(keys) if key in names}
    if not named:
        raise DeliveryError(
            f"{place}: expected the channels {', '.join(sorted(channels))} of `channels`, the delivery has "
            f"{', '.join(sorted(keys))}; write its keys into `channels`"
        )
    twice = [name for name, count in Counter(named.values()).items() if count > 1]
    if twice:
        both = ", ".join(key for key, name in named.items() if name in twice)
        raise DeliveryError(
            f"{place}: the channels {both} are all named {twice[0]} by `channels`; expected one of them"
        )
    left_out = [
        Finding(
            kind=FindingKind.UNMAPPED_CHANNEL,
            severity=Severity.NOTE,
            place=f"channel {key}",
            count=keys[key],
            examples=tuple(plane.relative_path for plane in planes if plane.channel == key)[:3],
            consequence="`channels` does not name it, so its images are left out; name it there to use them.",
        )
        for key in sorted(keys)
        if key not in named
    ]
    return [plane._replace(channel=named[plane.channel]) for plane in planes if plane.channel in named], left_out


def _from_one(planes: Sequence[DeliveredPlane]) -> tuple[Sequence[DeliveredPlane], list[Finding]]:
    """Return the planes with sites, z planes and time points counted from 1; some instruments count from 0."""
    findings = []
    for name in NUMBERS:
        if not any(getattr(plane, name) == 0 for plane in planes):
            continue
        planes = [plane._replace(**{name: getattr(plane, name) + 1}) for plane in planes]
        findings.append(
            Finding(
                kind=FindingKind.NUMBERED_FROM_ZERO,
                severity=Severity.NOTE,
                place=name,
                count=len(planes),
                consequence=f"The delivery counts {name} from 0; here it is counted from 1, so each is one higher.",
            )
        )
    return planes, findings


def _folder_findings(folder: DeliveryFolder) -> list[Finding]:
    if not folder.unreadable:
        return []
    return [
        Finding(
            kind=FindingKind.UNREADABLE_FOLDER,
            severity=Severity.HOLE,
            place=folder.uri,
            count=len(folder.unreadable),
            examples=tuple(f"{item.relative_path}: {item.reason}" for item in folder.unreadable[:10]),
            consequence="What lies in there is not seen; give the permission to read it and check again.",
        )
    ]


def unused(folder: DeliveryFolder, used: Iterable[str]) -> tuple[str, ...]:
    """Return the files of a folder that a layout has no use for, sorted."""
    known = set(used)
    return tuple(file.relative_path for file in folder.files if file.relative_path not in known)
