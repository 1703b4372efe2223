"""Asks for what finished runs found: hits by mechanism, one perturbation, its neighbours, its wells."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, select

from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals, schema_of, select_frame
from hcs.catalog.measurements import sites_in
from hcs.catalog.models import Call, CallMechanism, Neighbour, Profile, RunWell
from hcs.catalog.names import NAME_LIMIT
from hcs.catalog.patience import patient
from hcs.catalog.runs import RunRecord, resolve, run_record
from hcs.errors import NotFoundError, UsageError
from schemas.results import ProfileReceipt, PublishedCalls, TreatmentNeighbours
from schemas.tables import PlateWells

NOT_TOXIC = 0.5
"""A treatment is not toxic when it leaves at least this share of the controls' cells."""

TREATMENT_TYPES = ("treatment", "poscon")
CALLS = {"treatment": pl.String, **schema_of(PublishedCalls)}
WELLS = {**schema_of(PlateWells), "treatment": pl.String, "excluded_reason": pl.String}
NEIGHBOURS = {
    **schema_of(TreatmentNeighbours),
    **{name: CALLS[name] for name in ("perturbation", "concentration_micromolar", "dose_step", "control_type", "name")},
    **{name: CALLS[name] for name in ("mechanism", "mechanism_source", "q_value", "call")},
}
"""A neighbour's rank and similarity, and from `perturbation` on what is known of the neighbour."""

_CALL_ORDER = ("perturbation", "concentration_micromolar", "dose_step", "control_type", "profile")


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
def find_hits(
    catalog: Catalog,
    *,
    run: str | int = "latest",
    mechanism: str | None = None,
    q_max: float = 0.05,
    not_toxic: bool = False,
    min_batches: int | None = None,
    profile: str = "combined",
    control_types: Sequence[str] = TREATMENT_TYPES,
) -> pl.DataFrame:
    """Return the calls that pass, one row a treatment, by perturbation and dose.

    Args:
        catalog: Where to look.
        run: A run; by default the one that finished last.
        mechanism: One label, in any case; it is compared with each label of `a|b`. What was predicted counts too, and
            `mechanism_source` tells the two apart.
        q_max: Largest q value; 1 keeps also the rows without one.
        not_toxic: Whether `cell_count_ratio` must be known and at least 0.5.
        min_batches: Smallest number of batches that the treatment was seen in.
        profile: The profile that the calls were made on.
        control_types: `treatment`, `poscon` or both: two families, each with its own q values.

    Returns:
        `treatment` and the columns of `PublishedCalls`.

    Raises:
        NotFoundError: If there is no such run, or it has no calls on this profile.
        UsageError: If a limit makes no sense.
    """
    _check_limits(q_max, min_batches, control_types)
    with catalog.reading() as connection:
        run_id = resolve(connection, run)
        _check_profile(connection, run_id, profile)
        wanted = [Call.run_id == run_id, Call.profile == profile, Call.control_type.in_(control_types)]
        if q_max < 1:
            wanted.append(Call.q_value <= q_max)
        if not_toxic:
            wanted.append(Call.cell_count_ratio >= NOT_TOXIC)
        if min_batches is not None:
            wanted.append(Call.n_batches >= min_batches)
        if mechanism is not None:
            wanted.append(_has_label(mechanism))
        return _calls(connection, *wanted)


@patient
def known_mechanisms(catalog: Catalog, *, run: str | int = "latest", profile: str = "combined") -> list[str]:
    """Return the labels that `find_hits` finds something by, as they are written, in alphabetical order."""
    with catalog.reading() as connection:
        here = (CallMechanism.run_id == resolve(connection, run), CallMechanism.profile == profile)
        rows = connection.execute(select(CallMechanism.folded_label, CallMechanism.label).where(*here).distinct())
        spelling = dict(sorted((fold, label) for fold, label in rows))
    return list(spelling.values())


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
        calls = _calls(connection, Call.run_id == run_id, Call.perturbation == found)
        known = {name: _first(wells[name]) for name in ("name", "smiles", "inchikey", "mechanism")}
        near = [_neighbours(connection, run_id, found, profile) for profile in calls["profile"].unique().sort()]
        return PerturbationView(
            run=run_record(connection, run_id),
            perturbation=found,
            wells=wells,
            sites=sites_in(connection, run_id, wells),
            calls=calls,
            neighbours=pl.concat(near) if near else _neighbours(connection, run_id, found, ""),
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
        _check_profile(connection, run_id, profile)
        found = _find_perturbation(connection, run_id, perturbation)
        return _neighbours(connection, run_id, found, profile).filter(pl.col("rank") <= top)


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


def _check_limits(q_max: float, min_batches: int | None, control_types: Sequence[str]) -> None:
    if not 0 < q_max <= 1:
        raise UsageError(f"--q-max is above 0 and at most 1 (which keeps rows without a q), but {q_max} came.")
    if min_batches is not None and min_batches < 1:
        raise UsageError(f"--min-batches is at least 1, but {min_batches} came.")
    if unknown := sorted(set(control_types) - set(TREATMENT_TYPES)):
        raise UsageError(f"calls are made of {' and '.join(TREATMENT_TYPES)}, but {', '.join(unknown)} came.")


def _check_profile(connection: Connection, run_id: int, profile: str) -> None:
    """Refuse a profile that a run has no calls on; a finished run whose calls were refused has none on any."""
    known = sorted(connection.scalars(select(Call.profile).where(Call.run_id == run_id).distinct()))
    run = run_record(connection, run_id)
    if not known and not run.is_finished:
        raise NotFoundError(
            f"{run.name} is {run.state.value} and has published no results yet; see `hcs status {run.name}`, "
            "or ask an earlier run with --run."
        )
    if known and profile not in known:
        raise NotFoundError(f"{run.name} has no calls on the profile {profile[:80]!r}; it has {', '.join(known)}.")


def _has_label(mechanism: str) -> ColumnElement[bool]:
    """Return the condition that a call, joined with its labels, has one of them; a label stands once beside a call."""
    return and_(
        CallMechanism.run_id == Call.run_id,
        CallMechanism.profile == Call.profile,
        CallMechanism.treatment == Call.treatment,
        CallMechanism.control_type == Call.control_type,
        equals(CallMechanism.folded_label, mechanism.strip().casefold()),
    )


def _calls(connection: Connection, *where: ColumnElement[bool]) -> pl.DataFrame:
    query = select(*(getattr(Call, name) for name in CALLS)).where(*where)
    return select_frame(connection, query, CALLS, by=_CALL_ORDER)


def _wells(connection: Connection, *where: ColumnElement[bool]) -> pl.DataFrame:
    columns = (RunWell.platemap_columns if name == "metadata" else getattr(RunWell, name) for name in WELLS)
    return select_frame(connection, select(*columns).where(*where), WELLS, by=["plate", "well"])


def _neighbours(connection: Connection, run_id: int, perturbation: str, profile: str) -> pl.DataFrame:
    """Return the neighbours of each dose of a perturbation, beside what is known of each neighbour."""
    doses = select(RunWell.treatment).where(RunWell.run_id == run_id, RunWell.perturbation == perturbation).distinct()
    treatments = sorted(key for key in connection.scalars(doses) if key is not None)
    schema = {name: NEIGHBOURS[name] for name in ("profile", "treatment", "rank", "neighbour", "similarity")}
    query = select(*(getattr(Neighbour, name) for name in schema)).where(
        Neighbour.run_id == run_id, Neighbour.profile == profile, Neighbour.treatment.in_(treatments)
    )
    near = select_frame(connection, query, schema, by=["treatment", "rank"])
    named = near["neighbour"].unique().sort().to_list()
    known = _calls(connection, Call.run_id == run_id, Call.profile == profile, Call.treatment.in_(named))
    known = known.unique("treatment", keep="first", maintain_order=True).rename({"treatment": "neighbour"})
    return near.join(known, on="neighbour", how="left", maintain_order="left").select(*NEIGHBOURS)


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
    hint = f"; did you mean {', '.join(spelling[word] for word in near)}?" if near else "."
    raise NotFoundError(f"run-{run_id} holds no perturbation {wanted[:80]!r}{hint}")


def _first(values: pl.Series) -> str | None:
    """Return the first value that is known, in the order of plates and wells."""
    known = values.drop_nulls()
    return str(known[0]) if len(known) else None
