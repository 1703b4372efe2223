"""The wells of a run with their vectors, read from its visible parts plate by plate, and what is missing of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.catalog import Catalog, RunRecord, channels_of, plates_of, site_rows, visible_parts, wells_of
from hcs.io.storage import join
from hcs.io.tables import read_embedding_table
from hcs.pipeline.ahead import in_order
from hcs.pipeline.parts import readers_of
from hcs.profiling.aggregate import aggregate_sites


@dataclass(frozen=True)
class WellTable:
    """Every well of a run that has a vector, and its vector by each encoder: rows in the order of `wells`."""

    wells: pl.DataFrame
    """What was done to each, its mean `cell_count` a site, `n_sites`, and `is_flagged`: whether one looks wrong.
    There is no such column where nobody looked."""
    embeddings: dict[str, NDArray[np.float32]]
    channels: tuple[str, ...] = ()
    """In the order of an embedding's; none where they are not known."""


def read_wells(catalog: Catalog, run: RunRecord, *, flags: pl.DataFrame) -> tuple[WellTable, list[str]]:
    """Return the wells of a run with their vectors, and its holes. Plates are read one by one.

    Args:
        catalog: Where the run is.
        run: The run.
        flags: `flagged_in_run` of it.
    """
    sites = _usable_sites(catalog, run, flags=flags)
    channels = tuple(channels_of(catalog, run.id))
    plates = plates_of(catalog, run.id).sort("plate")
    layout = wells_of(catalog, run=run.id).join(plates.select("plate", "batch"), on="plate", how="left")
    names = [info.name for info in run.encoders]
    pieces = [
        piece
        for plate in plates["plate"].to_list()
        if (piece := _plate_wells(catalog, run, plate, names, sites)) is not None
    ]
    if not pieces:
        empty = {name: np.zeros((0, 1), dtype=np.float32) for name in names}
        return WellTable(wells=_described(layout.clear().select("plate", "well"), layout, sites), embeddings=empty), []
    keys = pl.concat([piece.wells for piece in pieces])
    embeddings = {name: np.concatenate([piece.embeddings[name] for piece in pieces]) for name in names}
    table = WellTable(_described(keys, layout, sites), embeddings, channels)
    return table, list(_holes(layout, sites, keys))


def _usable_sites(catalog: Catalog, run: RunRecord, *, flags: pl.DataFrame) -> pl.DataFrame:
    """Return the sites that enter profiles, measured and, if asked, not flagged.

    Returns:
        `plate, well, site, cell_count, is_flagged`.
    """
    keys = ["plate", "well", "site"]
    good = site_rows(catalog, run.id).filter(pl.col("status") == "ok").select(*keys, "cell_count")
    marked = flags.select(*keys, is_flagged=pl.lit(value=True))
    sites = good.join(marked, on=keys, how="left", maintain_order="left")
    sites = sites.with_columns(pl.col("is_flagged").fill_null(value=False))
    return sites if run.config.quality == "keep" else sites.filter(~pl.col("is_flagged"))


def _plate_wells(
    catalog: Catalog, run: RunRecord, plate: str, names: Sequence[str], sites: pl.DataFrame
) -> WellTable | None:
    """Return the wells of one plate, or nothing if none of its sites can be used."""
    embeddings: dict[str, NDArray[np.float32]] = {}
    wells = None
    for name in names:
        keys, vectors = read_plate_embedding(catalog, run, plate, name)
        rows = _rows_in(keys, sites)
        if not len(rows):
            return None
        aggregated, matrix = aggregate_sites(keys[rows], vectors[rows])
        wells = aggregated.select("plate", "well")
        embeddings[name] = matrix.astype(np.float32)
    return None if wells is None else WellTable(wells=wells, embeddings=embeddings)


def read_plate_embedding(
    catalog: Catalog, run: RunRecord, plate: str, encoder: str
) -> tuple[pl.DataFrame, NDArray[np.float32]]:
    """Return the sites of a plate, sorted, and their vectors (S, C x D) by one encoder.

    Raises:
        StorageError: If a part is not the file that was registered.
    """
    parts = visible_parts(catalog, run.id, kind="embedding", encoder=encoder, plate=plate)

    def one(row: tuple[str, str]) -> tuple[pl.DataFrame, NDArray[np.float32]]:
        return read_embedding_table(join(catalog.parts_uri, row[0]), expected_sha256=row[1])

    rows = parts.select("relative_path", "sha256").iter_rows()
    read = list(in_order(one, rows, threads=readers_of(catalog.parts_uri)))
    if not read:
        return pl.DataFrame(schema={"plate": pl.String, "well": pl.String, "site": pl.Int32}), np.zeros(
            (0, 1), np.float32
        )
    keys = pl.concat([frame for frame, _ in read]).with_row_index("row").sort("plate", "well", "site")
    vectors = np.concatenate([matrix for _, matrix in read])
    return keys.drop("row"), vectors[keys["row"].to_numpy()]


def _rows_in(keys: pl.DataFrame, sites: pl.DataFrame) -> NDArray[np.int64]:
    indexed = keys.select("plate", "well", "site").with_row_index("row")
    kept = indexed.join(sites, on=["plate", "well", "site"], how="semi")["row"]
    return np.sort(kept.to_numpy().astype(np.int64))


def _described(keys: pl.DataFrame, layout: pl.DataFrame, sites: pl.DataFrame) -> pl.DataFrame:
    """Return what was done to every well, with its mean cell count a site, in the order of `keys`."""
    counts = sites.group_by("plate", "well").agg(
        cell_count=pl.col("cell_count").mean(), n_sites=pl.len(), is_flagged=pl.col("is_flagged").any()
    )
    joined = keys.join(layout, on=["plate", "well"], how="left", maintain_order="left")
    return joined.join(counts, on=["plate", "well"], how="left", maintain_order="left")


def _holes(layout: pl.DataFrame, sites: pl.DataFrame, keys: pl.DataFrame) -> Iterator[str]:
    """Yield what a person must know is missing from the profiles, as sentences."""
    expected = layout.filter(pl.col("control_type") != "empty")
    without = expected.join(keys, on=["plate", "well"], how="anti").sort("plate", "well")
    if without.height:
        examples = ", ".join(f"{row['plate']}:{row['well']}" for row in without.head(5).iter_rows(named=True))
        yield f"{without.height} wells of the platemap have no usable site and no profile, first {examples}"
    unknown = keys.join(layout, on=["plate", "well"], how="anti")
    if unknown.height:
        yield f"{unknown.height} wells were embedded but are not in a platemap: they are stored and not called"
