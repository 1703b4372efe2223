"""Which screens and plates there are, and in which runs each plate took part."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, func, select

from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals, select_frame
from hcs.catalog.models import Plate, Run, RunPlate, Screen
from hcs.catalog.names import NAME_LIMIT
from hcs.catalog.patience import patient
from hcs.catalog.registration import DESCRIPTION
from hcs.catalog.runs import time_of
from hcs.errors import NotFoundError
from schemas.acceptance import AcceptanceReport
from schemas.work import RunState

_OFFERED = 3


@dataclass(frozen=True)
class PlateRun:
    """A plate as it took part in one run: how it was described and delivered then, and what the check said."""

    run_id: int
    screen: str
    state: RunState
    created_at: datetime
    finished_at: datetime | None
    description: dict[str, str | None]
    root_uri: str
    layout: str
    manifest_sha256: str
    report: AcceptanceReport

    @property
    def run(self) -> str:
        """What people call the run, such as run-12."""
        return f"run-{self.run_id}"


@patient
def list_screens(catalog: Catalog) -> pl.DataFrame:
    """Return one row a screen, by name: how many plates and runs it has, its newest run, and when it was made (UTC)."""
    columns: dict[str, tuple[Any, Any]] = {
        "screen": (Screen.name, pl.String),
        "plates": (_count(Plate, Plate.screen_id == Screen.id), pl.Int64),
        "runs": (_count(Run, Run.screen_id == Screen.id), pl.Int64),
        "newest_run": (select(func.max(Run.id)).where(Run.screen_id == Screen.id).scalar_subquery(), pl.Int64),
        "created_at": (Screen.created_at, pl.Float64),
    }
    with catalog.reading() as connection:
        frame = _frame(connection, select(*_labelled(columns)), columns, by=["screen"])
    made = (pl.col("created_at") * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    return frame.with_columns(made)


@patient
def find_plates(catalog: Catalog, screen: str | None = None) -> pl.DataFrame:
    """Return one row a plate, by screen and barcode: as it was last described, its number of runs and the newest.

    Args:
        catalog: Where to look.
        screen: Only the plates of this screen.

    Raises:
        NotFoundError: If there is no such screen; it offers the nearest.
    """
    newest = select(func.max(RunPlate.run_id)).where(RunPlate.plate_id == Plate.id).scalar_subquery()
    columns: dict[str, tuple[Any, Any]] = {
        "screen": (Screen.name, pl.String),
        "plate": (Plate.barcode, pl.String),
        **{name: (getattr(Plate, name), pl.String) for name in DESCRIPTION},
        "runs": (_count(RunPlate, RunPlate.plate_id == Plate.id), pl.Int64),
        "newest_run": (newest, pl.Int64),
    }
    query = select(*_labelled(columns)).join(Screen, Screen.id == Plate.screen_id)
    with catalog.reading() as connection:
        if screen is not None:
            query = query.where(Plate.screen_id == _screen_id(connection, screen))
        return _frame(connection, query, columns, by=["screen", "plate"])


@patient
def plate_runs(catalog: Catalog, barcode: str, *, screen: str | None = None) -> tuple[PlateRun, ...]:
    """Return the runs that a plate took part in, newest first; none where all of them were deleted.

    Args:
        catalog: Where to look.
        barcode: The plate. Two screens may have one of the same barcode: then the runs of both are returned.
        screen: Only the plate of this screen.

    Raises:
        NotFoundError: If there is no such plate or screen; it offers the nearest.
    """
    with catalog.reading() as connection:
        plates = select(Plate.id).where(equals(Plate.barcode, barcode))
        if screen is not None:
            plates = plates.where(Plate.screen_id == _screen_id(connection, screen))
        found = connection.scalars(plates).all()
        if not found:
            raise NotFoundError(_no_such_plate(connection, barcode, screen))
        names = ("root_uri", "layout", "manifest_sha256", "report", *DESCRIPTION)
        query = (
            select(
                Run.id, Run.state, Run.created_at, Run.finished_at, Screen.name.label("screen"),
                *(getattr(RunPlate, name) for name in names),
            )
            .join(Run, Run.id == RunPlate.run_id)
            .join(Screen, Screen.id == Run.screen_id)
            .where(RunPlate.plate_id.in_(found))
            .order_by(Run.id.desc())
        )  # fmt: skip
        return tuple(_plate_run(row) for row in connection.execute(query))


def _plate_run(row: Any) -> PlateRun:
    return PlateRun(
        run_id=row.id,
        screen=row.screen,
        state=row.state,
        created_at=time_of(row.created_at),
        finished_at=None if row.finished_at is None else time_of(row.finished_at),
        description={name: getattr(row, name) for name in DESCRIPTION},
        root_uri=row.root_uri,
        layout=row.layout,
        manifest_sha256=row.manifest_sha256,
        report=AcceptanceReport.model_validate_json(row.report),
    )


def _count(model: type[Any], condition: Any) -> Any:
    return select(func.count()).select_from(model).where(condition).scalar_subquery()


def _labelled(columns: dict[str, tuple[Any, Any]]) -> list[Any]:
    return [column.label(name) for name, (column, _) in columns.items()]


def _frame(
    connection: Connection, query: Select[*tuple[Any, ...]], columns: dict[str, tuple[Any, Any]], *, by: list[str]
) -> pl.DataFrame:
    """Return the answer, with the newest run as people call it."""
    frame = select_frame(connection, query, {name: dtype for name, (_, dtype) in columns.items()}, by=by)
    return frame.with_columns(pl.format("run-{}", "newest_run").alias("newest_run"))


def _screen_id(connection: Connection, name: str) -> int:
    found = connection.scalar(select(Screen.id).where(equals(Screen.name, name)))
    if found is None:
        near = _nearest(name, connection.scalars(select(Screen.name)).all())
        raise NotFoundError(f"the catalog holds no screen {name[:80]!r}{near}")
    return found


def _no_such_plate(connection: Connection, barcode: str, screen: str | None) -> str:
    known = select(Plate.barcode)
    if screen is not None:
        known = known.where(Plate.screen_id == _screen_id(connection, screen))
    where = "catalog" if screen is None else f"screen {screen[:80]!r}"
    return f"the {where} holds no plate {barcode[:80]!r}{_nearest(barcode, connection.scalars(known).all())}"


def _nearest(wanted: str, known: Any) -> str:
    """Return the end of a sentence: what may have been meant, else some of what there is."""
    names = sorted(set(known))
    near = difflib.get_close_matches(wanted[:NAME_LIMIT], names, n=_OFFERED)
    if near:
        return f"; did you mean {', '.join(near)}?"
    more = f" and {len(names) - _OFFERED} more" if len(names) > _OFFERED else ""
    return f"; it has {', '.join(name[:80] for name in names[:_OFFERED])}{more}." if names else "; it has none."
