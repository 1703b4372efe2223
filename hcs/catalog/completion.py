"""Finishes units: their rows become visible in the transaction that calls them done, and in no other way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, Select, func, insert, literal, select, update
from sqlalchemy.orm import aliased

from hcs.catalog.bulk import insert_frame
from hcs.catalog.dialects import Now
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import canonical_json, checked
from hcs.catalog.ledger import change_held
from hcs.catalog.models import Part, Run, RunPlate, Site, SiteChannel, Unit
from hcs.catalog.names import check_name, check_texts, storable_reason
from hcs.catalog.patience import patient
from hcs.errors import CatalogError
from schemas.tables import ChannelQuality, SiteResults
from schemas.work import PartReceipt, Receipt, UnitSpec, UnitState


@dataclass(frozen=True)
class Adoptable:
    """A ready unit that is done in another run, with the files that the other run wrote."""

    key: str
    from_run: int
    parts: tuple[PartReceipt, ...]


@patient
def complete(
    catalog: Catalog,
    run_id: int,
    receipt: Receipt,
    *,
    fence: int,
    sites: pl.DataFrame | None = None,
    channels: pl.DataFrame | None = None,
) -> None:
    """Make a unit's files and rows visible and call it done, in one transaction.

    Args:
        catalog: Where the run is.
        run_id: The run.
        receipt: What the worker returned.
        fence: Of the lease under which the work was done.
        sites: `SiteResults` of an embed unit: every site, also those that failed.
        channels: `ChannelQuality` of its sites that could be read.

    Raises:
        LeaseLostError: If the lease went to someone else.
        CatalogError: If the counts are not those that were planned, or the rows break their contract.
        StorageError: If the catalog cannot be written. In every case nothing is.
    """
    site_rows, channel_rows = _checked_rows(receipt.key, sites, channels)  # before others have to wait
    done = {
        "state": UnitState.DONE,
        "owner": None,
        "lease_until": None,
        "reason": None,
        "n_failed_sites": receipt.n_failed_sites,
        "seconds": canonical_json(receipt.seconds),
        "finished_at": Now(),
    }
    with catalog.writing() as connection:
        change_held(connection, run_id, receipt.key, fence=fence, values=done)
        query = select(Unit.spec, Unit.n_sites).where(Unit.run_id == run_id, Unit.key == receipt.key)
        unit = connection.execute(query).one()
        spec = UnitSpec.model_validate_json(unit.spec)
        _check_counts(spec, receipt, planned=unit.n_sites, sites=site_rows, channels=channel_rows)
        owner = {"run_id": run_id, "unit_key": receipt.key}
        _insert_parts(connection, receipt.parts, owner)
        insert_frame(connection, Site, site_rows, **owner)
        insert_frame(connection, SiteChannel, channel_rows, run_id=run_id)
        _note_survey(connection, run_id, spec.plate, receipt.parts)


@patient
def adoptable(catalog: Catalog, run_id: int) -> list[Adoptable]:
    """Return the ready units of a run that another run of this catalog has done, with the files to look at first.

    The same key on the same plate is the same result; of several such runs the first counts.
    """
    with catalog.reading() as connection:
        sources = connection.execute(_sources(run_id)).all()
        return [Adoptable(row.key, row.source, _parts_of(connection, row.source, row.key)) for row in sources]


@patient
def adopt_finished(catalog: Catalog, run_id: int, *, keys: Collection[str] | None = None) -> int:
    """Return how many ready units took over the rows of another run that did them, and are done.

    Args:
        catalog: Where the runs are.
        run_id: The run that takes over.
        keys: Only these units: those of `adoptable` whose files are still there, which the caller looked at.
    """
    with catalog.writing() as connection:
        sources = [row for row in connection.execute(_sources(run_id)).all() if keys is None or row.key in keys]
        held = _hold_sources(connection, {row.source for row in sources})
        sources = [row for row in sources if row.source in held]
        adopted = [row for row in sources if _copy_unit(connection, run_id, source=row.source, key=row.key)]
        for row in adopted:
            _note_survey(connection, run_id, row.plate, _parts_of(connection, run_id, row.key))
    return len(adopted)


def _checked_rows(
    key: str, sites: pl.DataFrame | None, channels: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables by their contracts, sorted by their keys; empty ones where none came."""
    what = f"of unit {key[:12]}"
    site_rows = _empty(SiteResults) if sites is None else checked(sites, SiteResults, what=f"the sites {what}")
    channel_rows = (
        _empty(ChannelQuality) if channels is None else checked(channels, ChannelQuality, what=f"the channels {what}")
    )
    reasons = [None if reason is None else storable_reason(reason) for reason in site_rows["reason"]]
    site_rows = site_rows.with_columns(pl.Series("reason", reasons, dtype=pl.String)).sort("plate", "well", "site")
    channel_rows = check_texts(channel_rows, what="the quality of sites", names=["channel"])
    return site_rows, channel_rows.sort("plate", "well", "site", "channel")


def _empty(contract: type[SiteResults] | type[ChannelQuality]) -> pl.DataFrame:
    return contract.create_empty()


def _check_counts(
    spec: UnitSpec, receipt: Receipt, *, planned: int, sites: pl.DataFrame, channels: pl.DataFrame
) -> None:
    """Refuse a result that is not all of the unit, or more than it.

    Raises:
        CatalogError: With what was expected and what came.
    """
    # A survey is given more sites than it takes, so that unreadable ones can be replaced.
    expected: list[tuple[str, object, object]] = []
    if spec.kind == "embed":
        places = {(spec.plate, plane.well, plane.site) for plane in spec.planes}
        read = sites.filter(pl.col("status") == "ok").select("plate", "well", "site")
        n_read = receipt.n_sites - receipt.n_failed_sites
        with_channels = channels.select("plate", "well", "site").unique()
        expected += [
            ("sites", planned, receipt.n_sites),
            ("rows of sites", planned, len(sites)),
            ("sites of the unit among them", planned, len(places & set(sites.select(read.columns).iter_rows()))),
            ("sites that were read", n_read, len(read)),
            ("sites with channels that were not read", 0, len(with_channels.join(read, on=read.columns, how="anti"))),
            *_expected_parts(spec, receipt, n_read=n_read, n_sites=len(sites), n_channels=len(channels)),
        ]
    for what, wanted, came in expected:
        if wanted != came:
            raise CatalogError(
                f"unit {spec.key[:12]} ({spec.kind}, plate {spec.plate}) cannot be finished: {wanted} {what} "
                f"were expected, and {came} came. Nothing was written; its files may have been changed on the way."
            )


def _expected_parts(
    spec: UnitSpec, receipt: Receipt, *, n_read: int, n_sites: int, n_channels: int
) -> list[tuple[str, object, object]]:
    """Return what is counted of an embed unit's files: one of vectors an encoder, unless every site failed."""
    embedded = sorted(part.encoder or "" for part in receipt.parts if part.kind == "embedding")
    wanted = sorted(encoder.name for encoder in spec.encoders)
    n_rows = {"embedding": n_read, "sites": n_sites, "channels": n_channels}
    rows: list[tuple[str, object, object]] = [
        (f"rows in {part.relative_path}", n_rows[part.kind], part.n_rows)
        for part in receipt.parts
        if part.kind in n_rows
    ]
    return rows if n_read == 0 and not embedded else [("as encoders with vectors", wanted, embedded), *rows]


def _insert_parts(connection: Connection, parts: Sequence[PartReceipt], owner: dict[str, object]) -> None:
    rows = [{**owner, **part.model_dump(), "encoder": part.encoder or ""} for part in parts]
    for part in parts:
        check_name(part.relative_path, what="part's path")
    if rows:
        connection.execute(insert(Part), sorted(rows, key=lambda row: (str(row["kind"]), str(row["encoder"]))))


def _note_survey(connection: Connection, run_id: int, plate: str, parts: Sequence[PartReceipt]) -> None:
    for part in parts:
        if part.kind == "survey":
            of_plate = (RunPlate.run_id == run_id) & (RunPlate.plate == plate)
            connection.execute(update(RunPlate).where(of_plate).values(survey_sha256=part.sha256))


def _sources(run_id: int) -> Select[str, str, int]:
    """Return the query for the ready units of a run that are done elsewhere, each with the first run that did it."""
    mine, theirs = aliased(Unit), aliased(Unit)
    return (
        select(mine.key, mine.plate, func.min(theirs.run_id).label("source"))
        .join(theirs, (theirs.key == mine.key) & (theirs.plate == mine.plate) & (theirs.run_id != mine.run_id))
        .where(mine.run_id == run_id, mine.state == UnitState.READY, theirs.state == UnitState.DONE)
        .group_by(mine.key, mine.plate, mine.ordinal)
        .order_by(mine.ordinal)
    )


def _hold_sources(connection: Connection, run_ids: set[int]) -> set[int]:
    """Return those of the runs that are still there, and will be to the end of the transaction.

    Who deletes one waits until then, and sees which of its files are another run's too.
    """
    query = select(Run.id).where(Run.id.in_(run_ids)).order_by(Run.id).with_for_update(read=True, key_share=True)
    return set(connection.scalars(query)) if run_ids else set()


def _parts_of(connection: Connection, run_id: int, key: str) -> tuple[PartReceipt, ...]:
    query = select(Part).where(Part.run_id == run_id, Part.unit_key == key)
    receipts = [
        PartReceipt(
            kind=row.kind,
            encoder=row.encoder or None,
            relative_path=row.relative_path,
            sha256=row.sha256,
            n_bytes=row.n_bytes,
            n_rows=row.n_rows,
        )
        for row in connection.execute(query)
    ]
    return tuple(sorted(receipts, key=lambda part: (part.kind, part.encoder or "")))


def _copy_unit(connection: Connection, run_id: int, *, source: int, key: str) -> bool:
    """Copy the rows of one finished unit from one run to another inside the database, and call it done there.

    Return whether it was still ready: another driver may have leased or adopted it just now.
    """
    theirs = select(Unit.n_failed_sites).where(Unit.run_id == source, Unit.key == key).scalar_subquery()
    done = {"state": UnitState.DONE, "reason": None, "n_failed_sites": theirs, "finished_at": Now()}
    ready = (Unit.run_id == run_id, Unit.key == key, Unit.state == UnitState.READY)
    if connection.execute(update(Unit).where(*ready).values(**done)).rowcount != 1:
        return False
    of_unit = (Site.run_id == source, Site.unit_key == key)
    _copy_rows(connection, Part, run_id, Part.run_id == source, Part.unit_key == key)
    _copy_rows(connection, Site, run_id, *of_unit)
    same = [getattr(SiteChannel, name) == getattr(Site, name) for name in ("run_id", "plate", "well", "site")]
    _copy_rows(connection, SiteChannel, run_id, *same, *of_unit)
    return True


def _copy_rows(connection: Connection, model: type[Any], run_id: int, *conditions: ColumnElement[bool]) -> None:
    names = [column.name for column in model.__table__.columns if column.name != "run_id"]
    rows = select(literal(run_id), *(getattr(model, name) for name in names)).where(*conditions)
    connection.execute(insert(model).from_select(["run_id", *names], rows))
