"""A run's results as files. Equal runs give equal bytes: nothing of time, place, attempt or machine is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.catalog import (
    EVERY_CALL,
    Catalog,
    RunRecord,
    channel_rows,
    failures_of,
    find_hits,
    neighbour_rows,
    plates_of,
    profiles_of,
    site_rows,
    visible_parts,
    wells_of,
)
from hcs.imaging.features import FEATURE_NAMES
from hcs.io.storage import join, write_atomically
from hcs.io.tables import embedding_table_bytes, read_embedding_table, table_bytes
from hcs.pipeline.flags import flag_sites
from hcs.pipeline.keys import encoder_identity
from hcs.pipeline.parts import read_parts
from hcs.pipeline.well_table import read_plate_embedding
from schemas.results import PublishedCalls

SITE = ["plate", "well", "site"]


def export_run(catalog: Catalog, run: RunRecord, folder: str, *, ending: str) -> list[str]:
    """Write a run's tables into a folder and return the names of the files.

    Args:
        catalog: Where the run is.
        run: A finished run.
        folder: A folder or URI.
        ending: `parquet`, or `csv`: then vectors become columns `feature_0000` ..., gzipped.

    Raises:
        ConflictError: If nobody has looked at its plates yet, so that there is nothing to write.
    """
    run.known_pin()
    written = []
    for name, content in _files(catalog, run, ending):
        write_atomically(join(folder, name), content)
        written.append(name)
    return written


def _files(catalog: Catalog, run: RunRecord, ending: str) -> Iterator[tuple[str, bytes]]:
    yield "run.json", _described(catalog, run)
    for name, frame in tables_of(catalog, run).items():
        yield f"{name}.{ending}", table_bytes(frame, ending=ending)
    for receipt in profiles_of(catalog, run.id):
        uri = join(catalog.parts_uri, receipt.relative_path)
        yield _matrix_file(
            f"profiles-{receipt.name}", *read_embedding_table(uri, expected_sha256=receipt.sha256), ending
        )
    plates = sorted(plates_of(catalog, run.id)["plate"].to_list())
    for info in run.encoders:
        for plate in plates:
            keys, vectors = read_plate_embedding(catalog, run, plate, info.name)
            if keys.height:
                yield _matrix_file(f"embeddings/{quote(plate, safe='')}-{info.name}", keys, vectors, ending)


def tables_of(catalog: Catalog, run: RunRecord) -> dict[str, pl.DataFrame]:
    """Return the tables of a run, each sorted by its key."""
    channels = channel_rows(catalog, run.id)
    sites = site_rows(catalog, run.id).join(flag_sites(channels), on=SITE, how="left", maintain_order="left")
    return {
        "hits": calls_of(catalog, run),
        "neighbours": neighbour_rows(catalog, run.id),
        "wells": wells_of(catalog, run=run.id),
        "sites": sites.sort(SITE),
        "channels": channels.sort(*SITE, "channel"),
        "images": images_of(catalog, run),
        "failures": failures_of(catalog, run.id).drop("unit_key", strict=False),
    }


def calls_of(catalog: Catalog, run: RunRecord) -> pl.DataFrame:
    """Return the calls of every profile of a run."""
    names = [receipt.name for receipt in profiles_of(catalog, run.id)]
    if not names:
        return PublishedCalls.create_empty()
    return pl.concat([find_hits(catalog, EVERY_CALL, run=run.id, profile=name) for name in sorted(names)])


def images_of(catalog: Catalog, run: RunRecord) -> pl.DataFrame:
    """Return every file that was read: of which site and channel it is, its relative path, size and SHA-256."""
    parts = visible_parts(catalog, run.id, kind="images")
    columns = ["plate", "well", "site", "channel", "relative_path", "size_bytes", "sha256"]
    if parts.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return pl.concat(table.select(columns) for table in read_parts(catalog.parts_uri, parts)).sort(
        "plate", "relative_path"
    )


def _matrix_file(name: str, keys: pl.DataFrame, vectors: NDArray[np.float32], ending: str) -> tuple[str, bytes]:
    if ending == "parquet":
        return f"{name}.parquet", embedding_table_bytes(keys, vectors)
    features = pl.DataFrame(vectors, schema=[f"feature_{index:04d}" for index in range(vectors.shape[1])])
    return f"{name}.csv.gz", table_bytes(pl.concat([keys, features], how="horizontal"), ending="csv.gz")


def _described(catalog: Catalog, run: RunRecord) -> bytes:
    """Return what determines the run: its configuration without places, its encoders, its pin; and what a vector is."""
    channels = channel_rows(catalog, run.id)["channel"].unique().sort().to_list()
    config = run.config.model_dump(mode="json", include={"screen", "pixels", "profile", "hits", "quality", "controls"})
    described = {
        "configuration": config,
        "encoders": [
            {**encoder_identity(info), "features_a_channel": info.embedding_size, "channels": channels}
            for info in run.encoders
        ],
        "named_features": list(FEATURE_NAMES),
        "pin": run.known_pin().model_dump(mode="json", exclude_none=True),
        "code_version": run.code_version,
        "notes": list(run.notes),
    }
    return (json.dumps(described, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
