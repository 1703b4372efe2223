"""Performs one unit of work: reads, corrects, measures and embeds a few wells, and writes their parts.

One workbench serves one process: it holds every encoder of the run and the surveys it has met. It needs no database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
import polars as pl

from hcs.embedding.engine import honour_pin
from hcs.embedding.names import NAMED
from hcs.errors import HcsError
from hcs.imaging.survey import PlateSurvey
from hcs.io.pixels import Fetched
from hcs.io.storage import join, sha256_of_bytes, write_atomically
from hcs.io.tables import embedding_table_bytes, table_bytes
from hcs.pipeline.ahead import in_order
from hcs.pipeline.fetching import fetch_sites
from hcs.pipeline.keys import short_name
from hcs.pipeline.plan import by_site
from hcs.pipeline.sites import PreparedSite, SiteRows, embed_site, prepare_site
from hcs.pipeline.stopwatch import Stopwatch
from hcs.pipeline.surveys import read_survey, survey_bytes, survey_of
from hcs.pipeline.weights import load_described
from schemas.encoders import Encoder, EncoderInfo
from schemas.tables import ChannelQuality, EmbeddingPart, ImageWitnesses, SiteResults
from schemas.work import PartReceipt, PlaneRef, Receipt, RunPin, UnitSpec

SURVEYS_KEPT = 2
"""Units come plate by plate: few surveys at a time keep memory flat, and two let plates meet."""


class Workbench:
    """Performs units in this process. Threads may share one."""

    def __init__(self, *, readers: int = 1) -> None:
        """Make an empty bench; encoders and surveys are loaded when the first unit needs them.

        Args:
            readers: Threads a unit that read and prepare sites ahead of the engine. They change no byte.
        """
        self._readers = readers
        self._encoders: dict[str, Encoder] = {}
        self._surveys: dict[str, PlateSurvey] = {}
        self._lock = Lock()

    def load(self, encoders: Sequence[EncoderInfo], *, pin: RunPin) -> None:
        """Load every encoder of a run, so that what is wrong with one is said before any work.

        Raises:
            EngineError: If this process cannot honour the pin.
            WeightsError: If weights are gone, are others than those described, or do not fit.
        """
        honour_pin(pin)
        for info in encoders:
            if info.name != NAMED:
                self._encoder(info, pin)

    def perform(self, spec: UnitSpec, *, watch: Stopwatch | None = None) -> Receipt:
        """Return the receipt of a unit whose parts are written.

        Args:
            spec: The unit.
            watch: Counts its steps and tells it to stop; by default one of its own.

        Raises:
            HcsError: If the unit as a whole cannot be done; a site that cannot be read is a row, not an error.
        """
        honour_pin(spec.pin)
        watch = watch or Stopwatch()
        return self._survey(spec, watch) if spec.kind == "survey" else self._embed(spec, watch)

    def _survey(self, spec: UnitSpec, watch: Stopwatch) -> Receipt:
        survey, n_failed = survey_of(spec, watch=watch, readers=self._readers)
        with watch.time("write"):
            part = _write(spec, "survey", survey_bytes(survey), n_rows=survey.n_sites)
        return Receipt(
            key=spec.key, parts=(part,), n_sites=survey.n_sites, n_failed_sites=n_failed, seconds=dict(watch.seconds)
        )

    def _embed(self, spec: UnitSpec, watch: Stopwatch) -> Receipt:
        survey = self._survey_for(spec)
        encoders = {info.name: self._encoder(info, spec.pin) for info in spec.encoders if info.name != NAMED}
        prepare = partial(_prepare, spec, survey, watch)
        with (
            closing(fetch_sites(spec, by_site(spec.planes).items(), watch=watch)) as fetched,
            closing(in_order(prepare, fetched, threads=self._readers)) as prepared,
        ):
            rows = [embed_site(spec, site, encoders=encoders, watch=watch) for site in prepared]
        watch.stop_if_cancelled()
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
                while len(self._surveys) >= SURVEYS_KEPT:
                    del self._surveys[next(iter(self._surveys))]
                self._surveys[spec.survey_sha256] = read_survey(spec.survey_uri, expected_sha256=spec.survey_sha256)
            return self._surveys[spec.survey_sha256]

    def _encoder(self, info: EncoderInfo, pin: RunPin) -> Encoder:
        with self._lock:
            identity = f"{info.name}/{info.weights_sha256}/{info.mean}/{info.std}/{pin.device}"
            if identity not in self._encoders:
                self._encoders[identity] = load_described(info, device=pin.device)
            return self._encoders[identity]


def _prepare(
    spec: UnitSpec,
    survey: PlateSurvey,
    watch: Stopwatch,
    site: tuple[tuple[str, int], tuple[PlaneRef, ...], Mapping[str, Fetched] | None],
) -> PreparedSite:
    (well, number), planes, fetched = site
    return prepare_site(spec, well, number, planes, survey=survey, watch=watch, fetched=fetched)


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
