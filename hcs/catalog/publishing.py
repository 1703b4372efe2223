"""Publishes the results of a run, and finishes it in the same transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
from sqlalchemy import Connection, delete, insert, select, update

from hcs.catalog.bulk import insert_frame
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import checked, sha256_of_json
from hcs.catalog.ledger import counts
from hcs.catalog.models import Call, CallMechanism, FlaggedSite, Grouping, Neighbour, Profile, Run
from hcs.catalog.names import check_name, check_texts
from hcs.catalog.patience import patient
from hcs.catalog.runs import FINISHED, hold_run, move, replace_notes, run_record
from hcs.errors import CancelledError, CatalogError
from schemas.results import ProfileReceipt, PublishedCalls, TreatmentNeighbours
from schemas.treatments import with_treatment_keys
from schemas.work import RunState, UnitState

CALL_KEY = ("profile", "treatment", "control_type")
CALL_NAMES = ("perturbation", "profile", "name", "mechanism", "predicted_mechanism", "channel", "treatment")


@patient
def publish(
    catalog: Catalog,
    run_id: int,
    *,
    calls: pl.DataFrame,
    neighbours: pl.DataFrame,
    profiles: Sequence[ProfileReceipt],
    state: RunState,
    notes: Sequence[str] = (),
    flags: pl.DataFrame | None = None,
) -> bool:
    """Make the results of a run visible and finish it, in one transaction.

    Results stand: a finished run takes the same results again without a change (a second driver came to the same end),
    and refuses others. A run that finished with holes and was taken up again is published anew, its earlier results
    being seen until then.

    Args:
        catalog: Where the run is.
        run_id: The run, running.
        calls: `PublishedCalls` of every profile; empty where calls were refused.
        neighbours: `TreatmentNeighbours` of the same profiles.
        profiles: The files of profiles that were written before.
        state: Complete, or complete with holes.
        notes: Sentences that who reads the results should know; they take the place of earlier ones.
        flags: `plate, well, site, flags` of the sites that look wrong, so that nobody has to look again; None if nobody
            has looked. They follow from what is stored of the sites, and results are the same with other ones.

    Returns:
        Whether the run was finished by this call; False if it was already, with these results.

    Raises:
        CancelledError: If the run was cancelled meanwhile.
        CatalogError: If the run is not running, work is left, the results of a finished run differ, or a table breaks
            its contract.
        UsageError: If a name cannot be stored.
    """
    calls, neighbours = _checked_calls(calls), _checked_neighbours(neighbours)
    profiles = sorted(profiles, key=lambda profile: profile.name)
    digest = results_sha256(calls, neighbours, profiles)
    with catalog.writing() as connection:
        hold_run(connection, run_id)
        run = run_record(connection, run_id)
        if run.is_finished:
            _check_same_results(connection, run_id, digest)
            return False
        _check_can_finish(connection, run_id, present=run.state, state=state)
        _remove_results(connection, run_id)
        _insert_results(connection, run_id, calls, neighbours, profiles)
        if flags is not None:
            insert_frame(connection, FlaggedSite, flags.select("plate", "well", "site", "flags"), run_id=run_id)
        values = {"results_sha256": digest, "has_flags": flags is not None}
        connection.execute(update(Run).where(Run.id == run_id).values(values))
        replace_notes(connection, run_id, notes)
        move(connection, run_id, state)
    return True


def results_sha256(calls: pl.DataFrame, neighbours: pl.DataFrame, profiles: Sequence[ProfileReceipt]) -> str:
    """Return the hash of what a run publishes: equal runs have equal ones."""
    files = [profile.model_dump(mode="json", exclude={"relative_path"}) for profile in profiles]
    return sha256_of_json({"calls": calls.to_dicts(), "neighbours": neighbours.to_dicts(), "profiles": files})


def labels_of(mechanism: str | None) -> list[str]:
    """Return the single labels of a mechanism written `a|b`, without blanks around them, each once."""
    labels = (label.strip() for label in (mechanism or "").split("|"))
    return list(dict.fromkeys(label for label in labels if label))


def _checked_calls(calls: pl.DataFrame) -> pl.DataFrame:
    calls = with_treatment_keys(checked(calls, PublishedCalls, what="the calls"))
    check_texts(calls, what="the calls", names=[name for name in CALL_NAMES if name != "treatment"])
    repeated = calls.filter(pl.struct(CALL_KEY).is_duplicated())
    if len(repeated):
        raise CatalogError(
            f"a treatment is called once a profile, but {repeated['treatment'][0]!r} comes {len(repeated)} times on "
            f"{repeated['profile'][0]!r}: doses that agree in nine digits are one treatment. Nothing was written."
        )
    return calls.sort(CALL_KEY)


def _checked_neighbours(neighbours: pl.DataFrame) -> pl.DataFrame:
    frame = checked(neighbours, TreatmentNeighbours, what="the neighbours")
    return check_texts(frame, what="the neighbours", names=[]).sort("profile", "treatment", "rank")


def _check_same_results(connection: Connection, run_id: int, digest: str) -> None:
    published = connection.scalar(select(Run.results_sha256).where(Run.id == run_id))
    if published != digest:
        raise CatalogError(
            f"run-{run_id} is finished and its results stand, but other results came for it. "
            "Make a new run of the configuration to have both."
        )


def _check_can_finish(connection: Connection, run_id: int, *, present: RunState, state: RunState) -> None:
    if present is RunState.CANCELLED:
        raise CancelledError(
            f"run-{run_id} was cancelled: what is finished is kept, and the same `hcs run` takes it up again"
        )
    if present is not RunState.RUNNING or state not in FINISHED:
        raise CatalogError(
            f"a running run finishes as complete or complete_with_holes, but run-{run_id} is {present.value} and was "
            f"to become {state.value}. Nothing was published."
        )
    left = {unit: number for unit, number in counts(connection, run_id).items() if number and unit != UnitState.DONE}
    open_states = {UnitState.READY, UnitState.LEASED} if state is RunState.COMPLETE_WITH_HOLES else set(UnitState)
    if left.keys() & open_states:
        said = ", ".join(f"{number} {unit.value}" for unit, number in left.items())
        raise CatalogError(
            f"run-{run_id} cannot be {state.value} while it has units that are {said}. Nothing was published."
        )


def _remove_results(connection: Connection, run_id: int) -> None:
    for model in (CallMechanism, Call, Neighbour, Grouping, Profile, FlaggedSite):
        connection.execute(delete(model).where(model.run_id == run_id))


def _insert_results(
    connection: Connection,
    run_id: int,
    calls: pl.DataFrame,
    neighbours: pl.DataFrame,
    profiles: Sequence[ProfileReceipt],
) -> None:
    for profile in profiles:
        check_name(profile.name, what="profile's name")
        check_name(profile.relative_path, what="profile's path")
    insert_frame(connection, Call, calls, run_id=run_id)
    labels = [{"run_id": run_id, **row} for row in _label_rows(calls)]
    if labels:
        connection.execute(insert(CallMechanism), labels)
    insert_frame(connection, Neighbour, neighbours, run_id=run_id)
    if profiles:
        connection.execute(insert(Profile), [{"run_id": run_id, **profile.model_dump()} for profile in profiles])


def _label_rows(calls: pl.DataFrame) -> Iterator[dict[str, str]]:
    """Yield one row a label of a call; labels that differ in case alone are one."""
    for *key, mechanism in calls.select(*CALL_KEY, "mechanism").iter_rows():
        folded = {label.casefold(): label for label in reversed(labels_of(mechanism))}
        for fold, label in sorted(folded.items()):
            yield {**dict(zip(CALL_KEY, key, strict=True)), "folded_label": fold, "label": label}
