"""What one site gives: read, corrected, measured and cut in one step, embedded in the next.

The first step waits for storage and decodes, so that threads may do it ahead; the second holds the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs.embedding.names import NAMED
from hcs.errors import UnreadableImageError
from hcs.imaging.correct import correct_site, scale_site
from hcs.imaging.features import named_features
from hcs.imaging.nuclei import count_nuclei, nuclear_channel
from hcs.imaging.quality import measure_channel
from hcs.imaging.survey import PlateSurvey
from hcs.imaging.tiles import cut_tiles
from hcs.io.pixels import Fetched, Site, read_site
from hcs.pipeline.plan import missing_channels
from hcs.pipeline.stopwatch import Stopwatch
from schemas.encoders import Encoder
from schemas.work import PlaneRef, UnitSpec


@dataclass(frozen=True, eq=False)
class PreparedSite:
    """A site before its embedding: its rows, its named features, and tiles (T, C, t, t). A failed one has neither."""

    result: dict[str, Any]
    channels: list[dict[str, Any]]
    images: list[dict[str, Any]]
    named: NDArray[np.float32] | None = None
    tiles: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class SiteRows:
    """What one site gave: its rows, and one vector an encoder."""

    result: dict[str, Any]
    channels: list[dict[str, Any]]
    images: list[dict[str, Any]]
    vectors: dict[str, NDArray[np.float32]]


def prepare_site(
    spec: UnitSpec,
    well: str,
    site: int,
    planes: Sequence[PlaneRef],
    *,
    survey: PlateSurvey,
    watch: Stopwatch,
    fetched: Mapping[str, Fetched] | None = None,
) -> PreparedSite:
    """Return a site ready to be embedded; one that cannot be used is a row with its reason and no tiles.

    Args:
        spec: The unit.
        well: Of the site.
        site: Its number.
        planes: Its planes.
        survey: Of its plate.
        watch: Counts its steps and tells it to stop.
        fetched: The content of its files; None reads them now.
    """
    keys = {"plate": spec.plate, "well": well, "site": site}
    place = _place(keys)
    watch.stop_if_cancelled()
    try:
        missing = missing_channels(planes, spec.channels)
        if missing:
            raise UnreadableImageError(f"{spec.plate} {well} site {site}: no image of channel {', '.join(missing)}")
        with watch.time("read", place):
            read = read_site(
                spec.root, planes, channels=spec.channels, projection=spec.pixels.projection, fetched=fetched
            )
        with watch.time("correct", place):
            corrected = correct_site(read.pixels, survey)
        return _measured(spec, keys, planes, read, corrected, survey=survey, watch=watch)
    except UnreadableImageError as error:
        reason = str(error).replace(spec.root.rstrip("/") + "/", "")  # a delivery that moves keeps its reasons
        return PreparedSite(result={**keys, **_failed(reason)}, channels=[], images=[])


def _measured(
    spec: UnitSpec,
    keys: dict[str, Any],
    planes: Sequence[PlaneRef],
    read: Site,
    corrected: NDArray[np.float32],
    *,
    survey: PlateSurvey,
    watch: Stopwatch,
) -> PreparedSite:
    with watch.time("measure", _place(keys)):
        channels = [
            {**keys, "channel": name, **_asdict(measure_channel(plane, top_of_range=read.top_of_range))}
            for name, plane in zip(read.channels, read.pixels, strict=True)
        ]
        nuclear = nuclear_channel(read.channels)
        count = None if nuclear is None else count_nuclei(corrected[read.channels.index(nuclear)])
        named = named_features(corrected).ravel()
    with watch.time("tile", _place(keys)):
        tiles = cut_tiles(scale_site(corrected, survey), spec.pixels.tile)
    height, width = read.pixels.shape[1:]
    result = {
        **keys,
        "status": "ok",
        "reason": None,
        "cell_count": count,
        "n_tiles": len(tiles),
        "height": height,
        "width": width,
    }
    return PreparedSite(result, channels, _image_rows(spec, planes, read), named=named, tiles=tiles)


def embed_site(spec: UnitSpec, site: PreparedSite, *, encoders: Mapping[str, Encoder], watch: Stopwatch) -> SiteRows:
    """Return the rows of a site with its vector by every encoder of the unit."""
    watch.stop_if_cancelled()
    vectors: dict[str, NDArray[np.float32]] = {}
    if site.tiles is not None and site.named is not None:
        for info in spec.encoders:
            with watch.time(f"embed {info.name}", _place(site.result)):
                vectors[info.name] = (
                    site.named
                    if info.name == NAMED
                    else embed_tiles(site.tiles, encoders[info.name], batch_size=spec.pin.batch_size)
                )
    return SiteRows(result=site.result, channels=site.channels, images=site.images, vectors=vectors)


def embed_tiles(tiles: NDArray[np.float32], encoder: Encoder, *, batch_size: int) -> NDArray[np.float32]:
    """Return the vector of one site: each channel as its own grey image, averaged over tiles, channels concatenated.

    Args:
        tiles: (T, C, t, t), float32 in [0, 1], channels in the order of their names.
        encoder: A loaded encoder.
        batch_size: The pinned one.

    Returns:
        (C x D), float32.
    """
    n_tiles, n_channels, side, _ = tiles.shape
    planes = np.ascontiguousarray(tiles.swapaxes(0, 1)).reshape(n_channels * n_tiles, side, side)
    vectors = encoder.embed(planes, batch_size=batch_size).reshape(n_channels, n_tiles, -1)
    means: NDArray[np.float64] = vectors.mean(axis=1, dtype=np.float64)
    return means.astype(np.float32).ravel()


def _place(keys: Mapping[str, Any]) -> str:
    return f"{keys['well']} site {keys['site']}"


def _asdict(measures: Any) -> dict[str, Any]:
    return {name: getattr(measures, name) for name in measures.__dataclass_fields__}


def _failed(reason: str) -> dict[str, Any]:
    return {"status": "failed", "reason": reason, "cell_count": None, "n_tiles": 0, "height": None, "width": None}


def _image_rows(spec: UnitSpec, planes: Sequence[PlaneRef], read: Site) -> list[dict[str, Any]]:
    of_path = {plane.relative_path: plane for plane in planes}
    return [
        {
            "plate": spec.plate,
            "relative_path": path,
            "well": of_path[path].well,
            "site": of_path[path].site,
            "channel": of_path[path].channel,
            "size_bytes": size,
            "witness": of_path[path].witness,
            "sha256": sha256,
        }
        for path, size, sha256 in read.witnesses
    ]
