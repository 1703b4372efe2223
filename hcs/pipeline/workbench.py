"""Performs one unit of work: reads, corrects, measures and embeds a few wells, and writes their parts.

One workbench serves one process: it holds every encoder of the run and the surveys it has met. It needs no database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.embedding.engine import check_pin, use_one_thread
from hcs.embedding.loading import load_encoder
from hcs.errors import HcsError, UnreadableImageError
from hcs.imaging.correct import correct_site, scale_site
from hcs.imaging.features import named_features
from hcs.imaging.nuclei import count_nuclei, nuclear_channel
from hcs.imaging.quality import measure_channel
from hcs.imaging.survey import PlateSurvey
from hcs.imaging.tiles import cut_tiles
from hcs.io.pixels import Site, read_site
from hcs.io.storage import join, sha256_of_bytes, write_atomically
from hcs.io.tables import embedding_table_bytes, table_bytes
from hcs.pipeline.keys import short_name
from hcs.pipeline.plan import by_site, missing_channels
from hcs.pipeline.stopwatch import Stopwatch, stop_if
from hcs.pipeline.surveys import read_survey, survey_bytes, survey_of
from schemas.encoders import Encoder, EncoderInfo
from schemas.tables import ChannelQuality, EmbeddingPart, ImageWitnesses, SiteResults
from schemas.work import PartReceipt, PlaneRef, Receipt, UnitSpec

NAMED = "named"
"""The encoder whose vector is `hcs.imaging.features`: nothing is loaded for it."""


@dataclass(frozen=True)
class SiteRows:
    """What one site gave: its rows, and one vector an encoder."""

    result: dict[str, Any]
    channels: list[dict[str, Any]]
    images: list[dict[str, Any]]
    vectors: dict[str, NDArray[np.float32]]


class Workbench:
    """Performs units in this process. Threads may share one."""

    def __init__(self, *, cancelled: Event | None = None) -> None:
        """Make an empty bench; encoders and surveys are loaded when the first unit needs them."""
        self._cancelled = cancelled or Event()
        self._encoders: dict[str, Encoder] = {}
        self._surveys: dict[str, PlateSurvey] = {}
        self._lock = Lock()

    def perform(self, spec: UnitSpec) -> Receipt:
        """Return the receipt of a unit whose parts are written.

        Raises:
            HcsError: If the unit as a whole cannot be done; a site that cannot be read is a row, not an error.
        """
        use_one_thread()
        check_pin(spec.pin)
        return self._survey(spec) if spec.kind == "survey" else self._embed(spec)

    def _survey(self, spec: UnitSpec) -> Receipt:
        watch = Stopwatch()
        survey, n_failed = survey_of(spec, cancelled=self._cancelled, watch=watch)
        with watch.time("write"):
            part = _write(spec, "survey", survey_bytes(survey), n_rows=survey.n_sites)
        return Receipt(
            key=spec.key, parts=(part,), n_sites=survey.n_sites, n_failed_sites=n_failed, seconds=dict(watch.seconds)
        )

    def _embed(self, spec: UnitSpec) -> Receipt:
        watch = Stopwatch()
        survey = self._survey_for(spec)
        encoders = {info.name: self._encoder(info) for info in spec.encoders if info.name != NAMED}
        rows = []
        for (well, site), planes in by_site(spec.planes).items():
            stop_if(self._cancelled)
            rows.append(perform_site(spec, well, site, planes, survey=survey, encoders=encoders, watch=watch))
        with watch.time("write"):
            parts = tuple(_write_rows(spec, rows))
        n_failed = sum(row.result["status"] == "failed" for row in rows)
        return Receipt(
            key=spec.key, parts=parts, n_sites=len(rows), n_failed_sites=n_failed, seconds=dict(watch.seconds)
        )

    def _survey_for(self, spec: UnitSpec) -> PlateSurvey:
        if spec.survey_uri is None or spec.survey_sha256 is None:
            raise HcsError(f"plate {spec.plate}: a unit that embeds needs the plate's survey, but was given none")
        with self._lock:
            if spec.survey_sha256 not in self._surveys:
                self._surveys.clear()  # units come plate by plate: one survey at a time keeps memory flat
                self._surveys[spec.survey_sha256] = read_survey(spec.survey_uri, expected_sha256=spec.survey_sha256)
            return self._surveys[spec.survey_sha256]

    def _encoder(self, info: EncoderInfo) -> Encoder:
        with self._lock:
            identity = f"{info.name}/{info.weights_sha256}/{info.mean}/{info.std}"
            if identity not in self._encoders:
                self._encoders[identity] = load_encoder(info)
            return self._encoders[identity]


def perform_site(
    spec: UnitSpec,
    well: str,
    site: int,
    planes: Sequence[PlaneRef],
    *,
    survey: PlateSurvey,
    encoders: dict[str, Encoder],
    watch: Stopwatch,
) -> SiteRows:
    """Return the rows of one site; a site that cannot be used is a row with its reason and no vector."""
    keys = {"plate": spec.plate, "well": well, "site": site}
    try:
        missing = missing_channels(planes, spec.channels)
        if missing:
            raise UnreadableImageError(f"{spec.plate} {well} site {site}: no image of channel {', '.join(missing)}")
        with watch.time("read"):
            read = read_site(spec.root, planes, channels=spec.channels, projection=spec.pixels.projection)
        with watch.time("correct"):
            corrected = correct_site(read.pixels, survey)
        return _measured(spec, keys, planes, read, corrected, survey=survey, encoders=encoders, watch=watch)
    except UnreadableImageError as error:
        reason = str(error).replace(spec.root.rstrip("/") + "/", "")  # a delivery that moves keeps its reasons
        return SiteRows(result={**keys, **_failed(reason)}, channels=[], images=[], vectors={})


def _measured(
    spec: UnitSpec,
    keys: dict[str, Any],
    planes: Sequence[PlaneRef],
    read: Site,
    corrected: NDArray[np.float32],
    *,
    survey: PlateSurvey,
    encoders: dict[str, Encoder],
    watch: Stopwatch,
) -> SiteRows:
    with watch.time("measure"):
        channels = [
            {**keys, "channel": name, **_asdict(measure_channel(plane, top_of_range=read.top_of_range))}
            for name, plane in zip(read.channels, read.pixels, strict=True)
        ]
        nuclear = nuclear_channel(read.channels)
        count = None if nuclear is None else count_nuclei(corrected[read.channels.index(nuclear)])
        named = named_features(corrected).ravel()
    with watch.time("tile"):
        tiles = cut_tiles(scale_site(corrected, survey), spec.pixels.tile)
    vectors = {}
    for info in spec.encoders:
        with watch.time(f"embed {info.name}"):
            vectors[info.name] = (
                named if info.name == NAMED else embed_tiles(tiles, encoders[info.name], batch_size=spec.pin.batch_size)
            )
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
    return SiteRows(result=result, channels=channels, images=_image_rows(spec, planes, read), vectors=vectors)


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


def _write_rows(spec: UnitSpec, rows: Sequence[SiteRows]) -> Iterator[PartReceipt]:
    """Write the parts of a unit: sites, channels, images, and one embedding an encoder."""
    tables: tuple[tuple[str, Any, list[dict[str, Any]]], ...] = (
        ("sites", SiteResults, [row.result for row in rows]),
        ("channels", ChannelQuality, [entry for row in rows for entry in row.channels]),
        ("images", ImageWitnesses, [entry for row in rows for entry in row.images]),
    )
    for kind, contract, entries in tables:
        frame = contract.validate(pl.DataFrame(entries, schema=contract.create_empty().schema))
        yield _write(spec, kind, table_bytes(frame, ending="parquet"), n_rows=frame.height)
    good = [row for row in rows if row.result["status"] == "ok"]
    if not good:
        return
    for info in spec.encoders:
        yield _write_embedding(spec, info, good)


def _write_embedding(spec: UnitSpec, info: EncoderInfo, good: Sequence[SiteRows]) -> PartReceipt:
    keys = pl.DataFrame(
        [{name: row.result[name] for name in ("plate", "well", "site", "n_tiles")} for row in good],
        schema_overrides={"site": pl.Int32, "n_tiles": pl.Int32},
    ).with_columns(encoder=pl.lit(info.name), weights_sha256=pl.lit(info.weights_sha256))
    ordered = EmbeddingPart.validate(keys.select(EmbeddingPart.column_names()))
    content = embedding_table_bytes(ordered, np.stack([row.vectors[info.name] for row in good]))
    return _write(spec, "embedding", content, n_rows=len(good), encoder=info.name)


def _write(spec: UnitSpec, kind: str, content: bytes, *, n_rows: int, encoder: str | None = None) -> PartReceipt:
    ending = "safetensors" if kind == "survey" else "parquet"
    name = f"{kind}-{encoder}" if encoder else kind
    relative_path = f"{spec.parts_folder}/{short_name(spec)}-{name}.{ending}"
    write_atomically(join(spec.parts_uri, relative_path), content)
    return PartReceipt.model_validate(
        {
            "kind": kind,
            "encoder": encoder,
            "relative_path": relative_path,
            "sha256": sha256_of_bytes(content),
            "n_bytes": len(content),
            "n_rows": n_rows,
        }
    )
