"""Registers screens, plates and wells with a new run, or finds the run of the same configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, func, insert, select, update

from hcs.catalog.bulk import insert_frame
from hcs.catalog.dialects import Now, insert_missing, upsert
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import canonical_json, checked, sha256_of_json
from hcs.catalog.models import Plate, PlateDescription, Run, RunPlate, RunWell, Screen
from hcs.catalog.names import TEXT_LIMIT, check_name, check_texts
from hcs.catalog.patience import patient
from hcs.catalog.runs import ENCODERS, FINISHED, RunRecord, hold_run, move, run_record
from hcs.errors import CancelledError, CatalogError, EngineError, InputChangedError, UsageError
from schemas.acceptance import AcceptanceReport
from schemas.encoders import EncoderInfo
from schemas.screen import PlateEntry, ScreenConfig
from schemas.tables import PlateWells
from schemas.treatments import with_treatment_keys
from schemas.work import RunPin, RunState

DESCRIPTION = tuple(PlateDescription.__annotations__)
WELL_NAMES = ("plate", "well", "perturbation", "name", "inchikey")


@dataclass(frozen=True)
class PlateOfRun:
    """One accepted plate: its entry (with the barcode that counts), how it lies there, and what the check said."""

    entry: PlateEntry
    layout: str
    manifest_sha256: str
    report: AcceptanceReport

    @property
    def barcode(self) -> str:
        """The entry's barcode, or the one that the check found."""
        return self.entry.barcode or self.report.plate


@dataclass(frozen=True)
class Registration:
    """A registered run, and whether this registration made it."""

    run: RunRecord
    is_new: bool


def configuration_sha256(
    config: ScreenConfig,
    *,
    plates: Sequence[PlateOfRun],
    wells: pl.DataFrame,
    encoders: Sequence[EncoderInfo],
    pin: RunPin,
) -> str:
    """Return the hash of everything that determines a run's results.

    URIs and paths are no part of it: a delivery that moved, platemaps that were renamed and weights from another folder
    are the same configuration as long as they hold the same. Neither is the order of plates and encoders.
    """
    where = {"plates", "platemaps", "annotations", "encoders"}
    rows = wells.select(sorted(wells.columns)).sort("plate", "well").to_dicts()
    return sha256_of_json(
        {
            "config": config.model_dump(mode="json", exclude=where),
            "plates": [
                (p.barcode, p.layout, p.manifest_sha256, p.entry.model_dump(mode="json", include=set(DESCRIPTION)))
                for p in sorted(plates, key=lambda plate: plate.barcode)
            ],
            "wells": rows,
            "encoders": [
                e.model_dump(mode="json", exclude={"weights_origin", "weights_uri", "licence"})
                for e in sorted(encoders, key=lambda encoder: encoder.name)
            ],
            "pin": pin.model_dump(mode="json", exclude_none=True),
        }
    )


@patient
def register_run(
    catalog: Catalog,
    config: ScreenConfig,
    *,
    plates: Sequence[PlateOfRun],
    wells: pl.DataFrame,
    encoders: Sequence[EncoderInfo],
    pin: RunPin,
    code_version: str,
    new: bool = False,
    submitted: int | None = None,
) -> Registration:
    """Return the run of this configuration: the newest that exists, with the plates' present URIs, or a new one.

    Args:
        catalog: Where to register.
        config: The screen as its SCREEN.yaml says.
        plates: The accepted plates, each barcode once.
        wells: `PlateWells` of these plates.
        encoders: As resolved, with the hashes of their weights.
        pin: What the run's workers must honour.
        code_version: Recorded beside the run; no part of the configuration.
        new: Whether a new run is made even if one exists.
        submitted: A submitted run that a dispatcher has claimed: it is this one, running from now on, and no other.

    Raises:
        UsageError: If two plates share a barcode, or a name cannot be stored.
        CatalogError: If the wells break their contract or lie on other plates.
        CancelledError: If the submitted run was cancelled meanwhile, or ended otherwise.
        InputChangedError: If what was delivered is not what the submitted run has begun with.
        EngineError: If the submitted run has begun with another pin.
    """
    wells = _checked_wells(wells, plates=plates)
    _check_names(config, plates)
    digest = configuration_sha256(config, plates=plates, wells=wells, encoders=encoders, pin=pin)
    with catalog.writing() as connection:
        screen_id = hold_screen(connection, config.screen)
        known = _begun(connection, submitted, digest, pin=pin) if submitted else _newest(connection, digest, new=new)
        if known is not None:
            _refresh_roots(connection, known, plates)
            return Registration(run_record(connection, known), is_new=False)
        values = {
            "config_sha256": digest,
            "repetition": next_repetition(connection, digest),
            "code_version": code_version,
            "pin": pin.model_dump_json(),
            "encoders": ENCODERS.dump_json(tuple(encoders)).decode(),
        }
        if submitted is None:
            content = canonical_json(config.model_dump(mode="json"))
            run_id = insert_run(connection, {**values, "screen_id": screen_id, "config": content})
        else:
            run_id = submitted
            connection.execute(update(Run).where(Run.id == run_id).values(**values))
            move(connection, run_id, RunState.RUNNING)
        _insert_plates(connection, run_id, screen_id, plates)
        insert_frame(connection, RunWell, _with_exclusions(with_treatment_keys(wells), config), run_id=run_id)
        return Registration(run_record(connection, run_id), is_new=True)


def next_repetition(connection: Connection, digest: str) -> int:
    """Return the number of the next run of a configuration whose screen is held."""
    last = connection.scalar(select(func.max(Run.repetition)).where(Run.config_sha256 == digest))
    return 0 if last is None else last + 1


def _newest(connection: Connection, digest: str, *, new: bool) -> int | None:
    """Return the newest run of a configuration, unless a new one is wanted."""
    query = select(Run.id).where(Run.config_sha256 == digest).order_by(Run.repetition.desc()).limit(1)
    return None if new else connection.scalar(query)


def _begun(connection: Connection, run_id: int, digest: str, *, pin: RunPin) -> int | None:
    """Return a submitted run that was begun before with the same configuration, None if nobody has looked at it yet.

    Raises:
        CancelledError: If it was cancelled meanwhile, or ended otherwise.
        EngineError: If it was begun with another pin.
        InputChangedError: If what was delivered has changed since.
    """
    hold_run(connection, run_id)
    run = run_record(connection, run_id)
    if run.state not in (RunState.SUBMITTED, RunState.RUNNING, *FINISHED):
        raise CancelledError(
            f"{run.name} is {run.state.value}: it was to be performed, but somebody ended it meanwhile"
        )
    if run.pin is None:
        return None
    if run.pin != pin:
        raise EngineError(
            f"{run.name} was begun with {_said(run.pin)}, but here is {_said(pin)}: its results would be mixed. It is "
            "left to a dispatcher like the one that began it; submit it again with --new to have it computed here"
        )
    if run.config_sha256 != digest:
        raise InputChangedError(
            f"{run.name}: expected the images, platemaps and encoders that it was begun with, but they are others now; "
            "put them back, or submit it again with --new"
        )
    if run.state is RunState.SUBMITTED:  # a driver registered it and went no further
        move(connection, run_id, RunState.RUNNING)
    return run_id


def _said(pin: RunPin) -> str:
    return " ".join(f"{name} {value}" for name, value in pin.model_dump(exclude_none=True).items())


def _check_names(config: ScreenConfig, plates: Sequence[PlateOfRun]) -> None:
    check_name(config.screen, what="screen's name")
    for plate in plates:
        check_name(plate.barcode, what="plate's barcode")
        check_name(plate.entry.uri, what="delivery's URI", limit=TEXT_LIMIT)
        for field in DESCRIPTION:
            check_name(getattr(plate.entry, field) or "", what=f"plate's {field}")
    barcodes = [plate.barcode for plate in plates]
    if repeated := sorted({barcode for barcode in barcodes if barcodes.count(barcode) > 1}):
        raise UsageError(
            f"every plate of a screen has its own barcode, but {', '.join(repeated)} comes more than once. "
            "Give each plate a `barcode` in the SCREEN.yaml."
        )


def _checked_wells(wells: pl.DataFrame, *, plates: Sequence[PlateOfRun]) -> pl.DataFrame:
    wells = check_texts(checked(wells, PlateWells, what="the wells of the plates"), what="platemaps", names=WELL_NAMES)
    elsewhere = wells.filter(~pl.col("plate").is_in([plate.barcode for plate in plates]))["plate"].unique().sort()
    if len(elsewhere):
        raise CatalogError(f"the wells of a run lie on its plates, but {', '.join(elsewhere[:5])} are none of them.")
    return wells.sort("plate", "well")


def _with_exclusions(wells: pl.DataFrame, config: ScreenConfig) -> pl.DataFrame:
    """Return the wells as rows to insert, with the reason why a person took a well out."""
    reasons = {(excluded.plate, excluded.well): excluded.reason for excluded in config.exclude_wells}
    places = wells.select("plate", "well").iter_rows()
    excluded = pl.Series("excluded_reason", [reasons.get(place) for place in places], dtype=pl.String)
    return wells.with_columns(excluded)


def hold_screen(connection: Connection, name: str) -> int:
    """Return the number of a screen, held to the end of the transaction: registrations of a screen wait in line."""
    now = connection.scalar(select(Now()))
    insert_missing(connection, Screen, [{"name": name, "created_at": now}], key=["name"])
    return connection.execute(select(Screen.id).where(Screen.name == name).with_for_update(key_share=True)).scalar_one()


def insert_run(connection: Connection, values: dict[str, Any]) -> int:
    """Return the number of a new run with these values, submitted."""
    query = insert(Run).values(state=RunState.SUBMITTED, notes="[]", created_at=Now(), **values)
    return connection.execute(query.returning(Run.id)).scalar_one()


def _insert_plates(connection: Connection, run_id: int, screen_id: int, plates: Sequence[PlateOfRun]) -> None:
    plates = sorted(plates, key=lambda plate: plate.barcode)
    described = [{name: getattr(plate.entry, name) for name in DESCRIPTION} for plate in plates]
    rows = [
        {"screen_id": screen_id, "barcode": plate.barcode, **description}
        for plate, description in zip(plates, described, strict=True)
    ]
    upsert(connection, Plate, rows, key=["screen_id", "barcode"])
    ids = connection.execute(select(Plate.barcode, Plate.id).where(Plate.screen_id == screen_id)).all()
    number = {row.barcode: row.id for row in ids}
    of_run = [
        {
            "run_id": run_id,
            "plate": plate.barcode,
            "plate_id": number[plate.barcode],
            "root_uri": plate.entry.uri,
            "layout": plate.layout,
            "manifest_sha256": plate.manifest_sha256,
            "report": plate.report.model_dump_json(),
            **description,
        }
        for plate, description in zip(plates, described, strict=True)
    ]
    connection.execute(insert(RunPlate), of_run)


def _refresh_roots(connection: Connection, run_id: int, plates: Sequence[PlateOfRun]) -> None:
    for plate in sorted(plates, key=lambda plate: plate.barcode):
        row = (RunPlate.run_id == run_id) & (RunPlate.plate == plate.barcode)
        connection.execute(update(RunPlate).where(row).values(root_uri=plate.entry.uri))
