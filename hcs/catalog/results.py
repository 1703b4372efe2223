"""Asks what finished runs found of a perturbation: its wells, its calls, its neighbours."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, select

from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals, schema_of, select_frame
from hcs.catalog.hits import CALLS, calls_where, check_profile
from hcs.catalog.measurements import sites_in
from hcs.catalog.models import Call, Neighbour, Profile, RunWell
from hcs.catalog.names import NAME_LIMIT
from hcs.catalog.patience import patient
from hcs.catalog.runs import RunRecord, resolve, run_record
from hcs.errors import NotFoundError, UsageError
from schemas.results import ProfileReceipt, TreatmentNeighbours
from schemas.tables import PlateWells

WELLS = {**schema_of(PlateWells), "treatment": pl.String, "excluded_reason": pl.String}
NEIGHBOURS = {
    **schema_of(TreatmentNeighbours),
    **{name: CALLS[name] for name in ("perturbation", "concentration_micromolar", "dose_step", "control_type", "name")},
    **{name: CALLS[name] for name in ("mechanism", "mechanism_source", "q_value", "call")},
}
"""A neighbour's rank and similarity, and from `perturbation` on what is known of the neighbour."""

_CALL_ORDER = ("perturbation", "concentration_micromolar", "dose_step", "control_type")


@dataclass(frozen=True)
class PerturbationView:
    """Everything that a run holds of one perturbation; fields that no platemap gave are None."""

    run: RunRecord
    perturbation: str
    name: str | None
    smiles: str | None
    inchikey: str | None
    mechanism: str | None
    wells: pl.DataFrame
    sites: pl.DataFrame
    calls: pl.DataFrame
    neighbours: pl.DataFrame


@patient
def show_perturbation(catalog: Catalog, perturbation: str, *, run: str | int = "latest") -> PerturbationView:
    """Return everything that a run holds of one perturbation: its wells, its calls on every profile, its neighbours.

    Args:
        catalog: Where to look.
        perturbation: As the platemap calls it, or its name, in any case.
        run: A run; by default the one that finished last.

    Raises:
        NotFoundError: If the run has no such perturbation; it offers the nearest.
    """
    with catalog.reading() as connection:
        run_id = resolve(connection, run)
        found = _find_perturbation(connection, run_id, perturbation)
        wells = _wells(connection, RunWell.run_id == run_id, RunWell.perturbation == found)
        calls = calls_where(connection, Call.run_id == run_id, Call.perturbation == found)
        doses = wells["treatment"].drop_nulls().unique().to_list()
        known = {name: _first(wells[name]) for name in ("name", "smiles", "inchikey", "mechanism")}
        return PerturbationView(
            run=run_record(connection, run_id),
            perturbation=found,
            wells=wells,
            sites=sites_in(connection, run_id, wells),
            calls=calls,
            neighbours=_neighbours(connection, run_id, doses, calls["profile"].unique().to_list()),
            **known,
        )


@patient
def neighbours_of(
    catalog: Catalog, perturbation: str, *, run: str | int = "latest", profile: str = "combined", top: int = 10
) -> pl.DataFrame:
    """Return the most similar treatments of each dose of a perturbation, nearest first, with their annotation.

    Raises:
        NotFoundError: If the run has no such perturbation, or no calls on this profile.
        UsageError: If `top` is not positive.
    """
    if top < 1:
        raise UsageError(f"at least one neighbour is asked for, but {top} came; give --top a positive number.")
    with catalog.reading() as connection:
        run_id = resolve(connection, run)
        check_profile(connection, run_id, profile)
        found = _find_perturbation(connection, run_id, perturbation)
        doses = _doses(connection, run_id, found)
        return _neighbours(connection, run_id, doses, [profile]).filter(pl.col("rank") <= top)


@patient
def wells_of(catalog: Catalog, *, run: str | int = "latest", plate: str | None = None) -> pl.DataFrame:
    """Return what was done to the wells of a run, with the treatment's key and why a person took a well out.

    Raises:
        NotFoundError: If there is no such run.
    """
    with catalog.reading() as connection:
        here = [RunWell.run_id == resolve(connection, run)]
        if plate is not None:
            here.append(equals(RunWell.plate, plate))
        return _wells(connection, *here)


@patient
def neighbour_rows(catalog: Catalog, run_id: int) -> pl.DataFrame:
    """Return the neighbours of all treatments of a run, on every profile: the columns of `TreatmentNeighbours`."""
    schema = {name: NEIGHBOURS[name] for name in ("profile", "treatment", "rank", "neighbour", "similarity")}
    query = select(*(getattr(Neighbour, name) for name in schema)).where(Neighbour.run_id == run_id)
    with catalog.reading() as connection:
        return select_frame(connection, query, schema, by=["profile", "treatment", "rank"])


@patient
def profiles_of(catalog: Catalog, run_id: int) -> tuple[ProfileReceipt, ...]:
    """Return the files of profiles that a run published, by name."""
    names = ProfileReceipt.model_fields
    query = select(*(getattr(Profile, name) for name in names)).where(Profile.run_id == run_id)
    with catalog.reading() as connection:
        receipts = [ProfileReceipt(**dict(zip(names, row, strict=True))) for row in connection.execute(query)]
    return tuple(sorted(receipts, key=lambda receipt: receipt.name))


def _wells(connection: Connection, *where: ColumnElement[bool]) -> pl.DataFrame:
    columns = (RunWell.platemap_columns if name == "metadata" else getattr(RunWell, name) for name in WELLS)
    return select_frame(connection, select(*columns).where(*where), WELLS, by=["plate", "well"])


def _doses(connection: Connection, run_id: int, perturbation: str) -> set[str]:
    """Return the treatments of a perturbation. Asked for distinct ones, SQLite would read all wells of the run."""
    of_wells = select(RunWell.treatment).where(RunWell.run_id == run_id, RunWell.perturbation == perturbation)
    return {key for key in connection.scalars(of_wells) if key is not None}


def _neighbours(
    connection: Connection, run_id: int, treatments: Collection[str], profiles: Collection[str]
) -> pl.DataFrame:
    """Return the neighbours of treatments on some profiles, beside what is known of each neighbour."""
    asked = (Neighbour.profile.in_(sorted(profiles)), Neighbour.treatment.in_(sorted(treatments)))
    same = (Call.run_id == Neighbour.run_id, Call.profile == Neighbour.profile, Call.treatment == Neighbour.neighbour)
    near = list(schema_of(TreatmentNeighbours))
    query = (
        select(*(getattr(Neighbour if name in near else Call, name) for name in NEIGHBOURS))
        .join(Call, and_(*same), isouter=True)
        .where(Neighbour.run_id == run_id, *asked)
    )
    keys = ["profile", "treatment", "rank"]
    frame = select_frame(connection, query, NEIGHBOURS, by=[*keys, *_CALL_ORDER])
    return frame.unique(keys, keep="first", maintain_order=True)  # a neighbour may be called as two kinds of control


def _find_perturbation(connection: Connection, run_id: int, wanted: str) -> str:
    """Return the perturbation of that identifier, else the only one of that name or identifier in any case."""
    exact = select(RunWell.perturbation).where(RunWell.run_id == run_id, equals(RunWell.perturbation, wanted)).limit(1)
    if connection.scalar(exact) is not None:
        return wanted
    pairs = select(RunWell.perturbation, RunWell.name).where(RunWell.run_id == run_id).distinct()
    rows = [(identifier, name) for identifier, name in connection.execute(pairs) if identifier is not None]
    fold = wanted.strip().casefold()
    found = sorted(
        {identifier for identifier, name in rows if fold in (identifier.casefold(), (name or "").casefold())}
    )
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFoundError(f"{wanted[:80]!r} names several perturbations of run-{run_id}: {', '.join(found[:10])}.")
    spelling = {word.casefold(): word for pair in sorted(rows, key=str) for word in pair if word}
    near = difflib.get_close_matches(fold[:NAME_LIMIT], sorted(spelling), n=3)
    meant = ", ".join(spelling[word] for word in near)
    hint = f"; did you mean {meant}?" if near else f"; `hcs hits --run run-{run_id} --q-max 1` lists what it holds."
    raise NotFoundError(f"run-{run_id} holds no perturbation {wanted[:80]!r}{hint}")


def _first(values: pl.Series) -> str | None:
    """Return the first value that is known, in the order of plates and wells."""
    known = values.drop_nulls()
    return str(known[0]) if len(known) else None
