"""What the units of a run measured, and which files they wrote: the tables that profiles and exports are made from."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl
from sqlalchemy import ColumnElement, Connection, Integer, case, func, select

from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals, schema_of, select_frame
from hcs.catalog.models import FlaggedSite, Part, Run, Site, SiteChannel, Unit
from hcs.catalog.patience import patient
from hcs.catalog.runs import FINISHED
from schemas.tables import ChannelQuality, SiteResults
from schemas.work import UnitState

SITES = schema_of(SiteResults)
CHANNELS = schema_of(ChannelQuality)
PARTS = {
    "plate": pl.String,
    "unit_key": pl.String,
    "kind": pl.String,
    "encoder": pl.String,
    "relative_path": pl.String,
    "sha256": pl.String,
    "n_bytes": pl.Int64,
    "n_rows": pl.Int32,
}
FLAGS = {"plate": pl.String, "well": pl.String, "site": pl.Int32, "flags": pl.String}
COUNTS = {"well": pl.String, **dict.fromkeys(("sites", "sites_failed", "cells", "counted"), pl.Int64)}
FOCUS = ("power_loglog_slope", "saturation_fraction")
SITE_ORDER = ("plate", "well", "site")
MEANS = ("power_loglog_slope", "mean", "saturation_fraction")
PartKind = Literal["survey", "embedding", "sites", "channels", "images"]


@patient
def site_rows(catalog: Catalog, run_id: int, *, plate: str | None = None) -> pl.DataFrame:
    """Return `SiteResults` of every finished unit, by plate, well and site."""
    query = select(*(getattr(Site, name) for name in SITES))
    query = query.where(Site.run_id == run_id, *_on_plate(Site.plate, plate))
    with catalog.reading() as connection:
        return select_frame(connection, query, SITES, by=SITE_ORDER)


@patient
def channel_rows(catalog: Catalog, run_id: int, *, plate: str | None = None) -> pl.DataFrame:
    """Return `ChannelQuality` of every finished unit, by plate, well, site and channel."""
    query = select(*(getattr(SiteChannel, name) for name in CHANNELS))
    query = query.where(SiteChannel.run_id == run_id, *_on_plate(SiteChannel.plate, plate))
    with catalog.reading() as connection:
        return select_frame(connection, query, CHANNELS, by=[*SITE_ORDER, "channel"])


@patient
def channels_of(catalog: Catalog, run_id: int) -> list[str]:
    """Return the channels that a run embeds, sorted: those of its first plate with a site that could be read."""
    first = select(func.min(SiteChannel.plate)).where(SiteChannel.run_id == run_id).scalar_subquery()
    query = select(SiteChannel.channel).where(SiteChannel.run_id == run_id, SiteChannel.plate == first).distinct()
    with catalog.reading() as connection:
        return sorted(connection.scalars(query))


@patient
def focus_rows(catalog: Catalog, run_id: int, plate: str) -> pl.DataFrame:
    """Return the columns of `channel_rows` that tell focus and saturation, of one plate and by site: half the work."""
    schema = {name: CHANNELS[name] for name in ("well", "site", "channel", *FOCUS)}
    query = select(*(getattr(SiteChannel, name) for name in schema))
    query = query.where(SiteChannel.run_id == run_id, equals(SiteChannel.plate, plate))
    with catalog.reading() as connection:
        frame = select_frame(connection, query, schema, by=["well", "site", "channel"])
    return frame.select(pl.lit(plate).alias("plate"), *schema)


@patient
def count_sites(catalog: Catalog, run_id: int, plate: str) -> pl.DataFrame:
    """Return `well`, `sites`, `sites_failed` and the mean `cell_count` of the sites counted, of every well read so far.

    Counts are whole numbers, whose sum is the same in whatever order a database adds.
    """
    failed = func.sum(case((Site.status == "failed", 1), else_=0), type_=Integer())
    query = select(
        Site.well, func.count(), failed, func.sum(Site.cell_count, type_=Integer()), func.count(Site.cell_count)
    )
    query = query.where(Site.run_id == run_id, equals(Site.plate, plate)).group_by(Site.well)
    with catalog.reading() as connection:
        sums = select_frame(connection, query, COUNTS, by=["well"])
    return sums.select("well", "sites", "sites_failed", (pl.col("cells") / pl.col("counted")).alias("cell_count"))


@patient
def stored_flags(catalog: Catalog, run_id: int, plate: str) -> pl.DataFrame | None:
    """Return the flagged sites of a plate, by well and site, as the run published them.

    The columns are `plate, well, site, flags`. None where a run has published no flags, or goes on: look at
    `focus_rows` then.
    """
    query = select(*(getattr(FlaggedSite, name) for name in FLAGS))
    query = query.where(FlaggedSite.run_id == run_id, equals(FlaggedSite.plate, plate))
    with catalog.reading() as connection:
        is_known = select(Run.has_flags).where(Run.id == run_id, Run.state.in_(FINISHED))
        if not connection.scalar(is_known):
            return None
        return select_frame(connection, query, FLAGS, by=SITE_ORDER)


@patient
def channel_means(catalog: Catalog, run_id: int, plate: str) -> pl.DataFrame:
    """Return `well`, `channel` and the means of `MEANS` over the sites of a well, added up by the database.

    In which order it adds is its own affair, so that the last digits are too.
    """
    schema = {"well": pl.String, "channel": pl.String, **dict.fromkeys(MEANS, pl.Float64)}
    query = select(SiteChannel.well, SiteChannel.channel, *(func.avg(getattr(SiteChannel, name)) for name in MEANS))
    query = query.where(SiteChannel.run_id == run_id, equals(SiteChannel.plate, plate))
    with catalog.reading() as connection:
        grouped = query.group_by(SiteChannel.well, SiteChannel.channel)
        return select_frame(connection, grouped, schema, by=["well", "channel"])


@patient
def parts_of_well(catalog: Catalog, run_id: int, plate: str, well: str, *, kind: PartKind) -> pl.DataFrame:
    """Return `relative_path` and `sha256` of the files of one kind that hold a well: those of the unit it was part of.

    There are none where the unit is not done.
    """
    names = ("relative_path", "sha256")
    units = select(Site.unit_key).where(Site.run_id == run_id, equals(Site.plate, plate), equals(Site.well, well))
    query = select(*(getattr(Part, name) for name in names))
    query = query.where(Part.run_id == run_id, Part.kind == kind, Part.unit_key.in_(units))
    with catalog.reading() as connection:
        return select_frame(connection, query, dict.fromkeys(names, pl.String), by=["relative_path"])


@patient
def visible_parts(
    catalog: Catalog,
    run_id: int,
    *,
    kind: PartKind | None = None,
    encoder: str | None = None,
    plate: str | None = None,
) -> pl.DataFrame:
    """Return one row a file that a finished unit wrote, by plate, kind, encoder and unit.

    A file in the parts folder without a row here is left over from work that was interrupted, and means nothing.
    `encoder` is null where none is meant; `relative_path` starts at `Catalog.parts_uri`.
    """
    columns = [Unit.plate, *(getattr(Part, name) for name in PARTS if name != "plate")]
    query = select(*columns).join(Unit, (Unit.run_id == Part.run_id) & (Unit.key == Part.unit_key))
    query = query.where(Part.run_id == run_id, *_on_plate(Unit.plate, plate))
    if kind is not None:
        query = query.where(Part.kind == kind)
    if encoder is not None:
        query = query.where(equals(Part.encoder, encoder))
    with catalog.reading() as connection:
        frame = select_frame(connection, query, PARTS, by=["plate", "kind", "encoder", "unit_key"])
    return frame.with_columns(pl.col("encoder").replace("", None))


@patient
def failures_of(catalog: Catalog, run_id: int) -> pl.DataFrame:
    """Return one row a thing that failed: a unit (`well` and `site` are null) or a site, with its reason.

    The columns are `plate`, `well`, `site`, `unit_key`, `n_sites` (that have no vectors because of it) and `reason`.
    """
    schema: dict[str, Any] = {
        "plate": pl.String,
        "well": pl.String,
        "site": pl.Int32,
        "unit_key": pl.String,
        "n_sites": pl.Int32,
        "reason": pl.String,
    }
    ended = (UnitState.FAILED, UnitState.QUARANTINED)
    of_units = select(Unit.plate, Unit.key.label("unit_key"), Unit.n_sites, Unit.reason)
    of_units = of_units.where(Unit.run_id == run_id, Unit.state.in_(ended))
    of_sites = select(Site.plate, Site.well, Site.site, Site.unit_key, Site.reason)
    of_sites = of_sites.where(Site.run_id == run_id, Site.status == "failed")
    with catalog.reading() as connection:
        units = select_frame(connection, of_units, _only(schema, without=("well", "site")), by=["plate", "unit_key"])
        failed = select_frame(connection, of_sites, _only(schema, without=("n_sites",)), by=SITE_ORDER)
    failed = failed.with_columns(pl.lit(1, pl.Int32).alias("n_sites"))
    return pl.concat([units, failed], how="diagonal").select(*schema).cast(pl.Schema(schema))


def sites_in(connection: Connection, run_id: int, wells: pl.DataFrame) -> pl.DataFrame:
    """Return the `SiteResults` of some wells (`plate`, `well`), as this transaction sees them."""
    query = select(*(getattr(Site, name) for name in SITES)).where(
        Site.run_id == run_id,
        Site.plate.in_(wells["plate"].unique().sort().to_list()),
        Site.well.in_(wells["well"].unique().sort().to_list()),
    )
    sites = select_frame(connection, query, SITES, by=SITE_ORDER)
    return sites.join(wells, on=["plate", "well"], how="semi", maintain_order="left")


def _on_plate(column: Any, plate: str | None) -> list[ColumnElement[bool]]:
    return [] if plate is None else [equals(column, plate)]


def _only(schema: dict[str, Any], *, without: tuple[str, ...]) -> dict[str, Any]:
    return {name: dtype for name, dtype in schema.items() if name not in without}
