"""How far the wells of one plate of a run are, from the ledger alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, null, select

from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals
from hcs.catalog.models import RunPlate, RunWell, Site, Unit
from hcs.catalog.patience import patient
from hcs.catalog.runs import run_record
from hcs.errors import NotFoundError
from schemas.work import UnitState, WellState

_GIVEN_UP = (UnitState.FAILED, UnitState.QUARANTINED)


_OF_UNIT = {
    UnitState.READY: WellState.WAITING,
    UnitState.LEASED: WellState.RUNNING,
    UnitState.FAILED: WellState.FAILED,
    UnitState.QUARANTINED: WellState.FAILED,
}


@dataclass(frozen=True)
class WellStanding:
    """How far one well is. Failed is one of which no site could be used, or whose unit is given up."""

    well: str
    state: WellState
    sites: int
    sites_failed: int


@dataclass(frozen=True)
class PlateStanding:
    """The wells of a plate by row and column, and the names of all that a platemap or an image makes known.

    Until the embedding of the plate is planned, the wells are those that are described or were surveyed, without sites.
    """

    wells: tuple[WellStanding, ...]
    known: tuple[str, ...]


@patient
def plate_standing(catalog: Catalog, run_id: int, plate: str) -> PlateStanding:
    """Return how far every well of a plate is.

    Raises:
        NotFoundError: If the run has no such plate.
    """
    with catalog.reading() as connection:
        described = connection.scalars(
            select(RunWell.well).where(RunWell.run_id == run_id, equals(RunWell.plate, plate))
        ).all()
        _check_plate(connection, run_id, plate)
        units = _units(connection, run_id, plate)
        embeds = [unit for unit in units if unit.kind == "embed"]
        wells = (
            [*_finished(connection, run_id, plate), *_unfinished(embeds)] if embeds else _unplanned(units, described)
        )
    return PlateStanding(
        wells=tuple(sorted(wells, key=lambda one: _place(one.well))),
        known=tuple(sorted({*described, *(one.well for one in wells)}, key=_place)),
    )


def _units(connection: Connection, run_id: int, plate: str) -> list[Any]:
    """Return kind, state and spec of the units of a plate; of one that is done the spec is left where it is."""
    spec = case((Unit.state != UnitState.DONE, Unit.spec), else_=null()).label("spec")
    query = select(Unit.kind, Unit.state, spec).where(Unit.run_id == run_id, equals(Unit.plate, plate))
    return list(connection.execute(query))


def _finished(connection: Connection, run_id: int, plate: str) -> list[WellStanding]:
    """Return the wells of units that are done: nothing else has rows of sites."""
    failed = func.sum(case((Site.status == "failed", 1), else_=0))
    query = select(Site.well, func.count(), failed).where(Site.run_id == run_id, equals(Site.plate, plate))
    return [
        WellStanding(well, WellState.FAILED if n_failed == n_sites else WellState.DONE, n_sites, n_failed)
        for well, n_sites, n_failed in connection.execute(query.group_by(Site.well))
    ]


def _unfinished(units: Iterable[Any]) -> list[WellStanding]:
    wells = []
    for unit in units:
        if unit.state is not UnitState.DONE:
            state = _OF_UNIT[unit.state]
            for well, n_sites in _sites_of_wells(unit.spec).items():
                wells.append(WellStanding(well, state, n_sites, n_sites if state is WellState.FAILED else 0))
    return wells


def _unplanned(units: Iterable[Any], described: Iterable[str]) -> list[WellStanding]:
    """Return the wells of a plate that is not surveyed; where it could not be, nothing will become of them."""
    surveys = [unit for unit in units if unit.kind == "survey"]
    state = WellState.FAILED if any(unit.state in _GIVEN_UP for unit in surveys) else WellState.WAITING
    seen = {well for unit in surveys if unit.spec is not None for well in _sites_of_wells(unit.spec)}
    return [WellStanding(well, state, 0, 0) for well in {*described, *seen}]


def _sites_of_wells(spec: str) -> Counter[str]:
    """Return how many sites of each well a unit's planes belong to. Only they are read: a spec has many of them."""
    return Counter(well for well, _ in {(plane["well"], plane["site"]) for plane in json.loads(spec)["planes"]})


def _check_plate(connection: Connection, run_id: int, plate: str) -> None:
    held = connection.scalars(select(RunPlate.plate).where(RunPlate.run_id == run_id)).all()
    if plate not in held:
        run = run_record(connection, run_id)
        why = "" if run.is_looked_at else ": nobody has looked at what was delivered so far"
        there_are = f"; it has {', '.join(sorted(held)[:10])}" if held else why
        raise NotFoundError(f"{run.name} has no plate {plate[:80]!r}{there_are}")


def _place(well: str) -> tuple[int, str]:
    return len(well), well
