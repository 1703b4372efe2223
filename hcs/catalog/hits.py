"""Asks for hits: the calls of a run that pass, all of them or page by page, and the mechanisms to ask by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, select

from hcs.catalog.dialects import by_code_point
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals, schema_of, select_frame
from hcs.catalog.models import Call, CallMechanism, Run
from hcs.catalog.patience import patient
from hcs.catalog.runs import resolve, run_record
from hcs.errors import NotFoundError, UsageError
from schemas.results import PublishedCalls

NOT_TOXIC = 0.5
"""A treatment is not toxic when it leaves at least this share of the controls' cells."""

TREATMENT_TYPES = ("treatment", "poscon")
CALLS = {"treatment": pl.String, **schema_of(PublishedCalls)}
LARGEST_NUMBER = 1_000_000_000
"""What a number that somebody typed may be: databases hold twice as much."""

_CALL_ORDER = ("perturbation", "concentration_micromolar", "dose_step", "control_type", "profile")


@dataclass(frozen=True)
class HitsPage:
    """Some of the hits of a run, strongest first.

    `results_sha256` changes when the run publishes other results, as one with holes that was taken up again does; it is
    None where nothing is published. Pages with the same one are pages of one list.
    """

    run_id: int
    results_sha256: str | None
    hits: pl.DataFrame
    has_more: bool


@patient
def find_hits(
    catalog: Catalog,
    *,
    run: str | int = "latest",
    mechanism: str | None = None,
    q_max: float = 0.05,
    not_toxic: bool = False,
    not_by_count: bool = False,
    not_one_channel: bool = False,
    not_flagged: bool = False,
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
        not_by_count: Whether those are left out that the number of cells explains. As with the two that follow, what
            cannot be told or was not tested is kept.
        not_one_channel: Whether those are left out that show in one channel alone.
        not_flagged: Whether those are left out whose wells are flagged more often than controls.
        min_batches: Smallest number of batches in which the treatment holds by itself. Where that is not known, since
            it is no hit or its run is of an earlier version, it is left out.
        profile: The profile that the calls were made on.
        control_types: `treatment`, `poscon` or both: two families, each with its own q values.

    Returns:
        `treatment` and the columns of `PublishedCalls`.

    Raises:
        NotFoundError: If there is no such run, or it has no calls on this profile.
        UsageError: If a limit makes no sense.
    """
    passing = _passing(
        q_max=q_max,
        not_toxic=not_toxic,
        not_by_count=not_by_count,
        not_one_channel=not_one_channel,
        not_flagged=not_flagged,
        min_batches=min_batches,
        control_types=control_types,
        mechanism=mechanism,
    )
    with catalog.reading() as connection:
        run_id = resolve(connection, run)
        check_profile(connection, run_id, profile)
        return calls_where(connection, Call.run_id == run_id, Call.profile == profile, *passing)


@patient
def hits_page(
    catalog: Catalog,
    *,
    run: str | int = "latest",
    mechanism: str | None = None,
    q_max: float = 0.05,
    not_toxic: bool = False,
    not_by_count: bool = False,
    not_one_channel: bool = False,
    not_flagged: bool = False,
    min_batches: int | None = None,
    profile: str = "combined",
    control_types: Sequence[str] = TREATMENT_TYPES,
    limit: int = 100,
    offset: int = 0,
) -> HitsPage:
    """Return some of what `find_hits` finds: by q value, then the largest effect, then treatment and control type.

    Rows without a q value or an effect stand behind those with one. The order is the same on every database.

    Args:
        catalog: Where to look.
        run: As for `find_hits`, as everything else but the last two.
        mechanism: One label.
        q_max: Largest q value.
        not_toxic: Whether enough cells must be left.
        not_by_count: Whether the number of cells may not explain it.
        not_one_channel: Whether it may not show in one channel alone.
        not_flagged: Whether its wells may not be flagged more often than controls.
        min_batches: Smallest number of batches in which it holds.
        profile: The profile that the calls were made on.
        control_types: `treatment`, `poscon` or both.
        limit: The most rows that are returned.
        offset: How many rows are passed over before.

    Raises:
        NotFoundError: If there is no such run, or it has no calls on this profile.
        UsageError: If a limit makes no sense.
    """
    passing = _passing(
        q_max=q_max,
        not_toxic=not_toxic,
        not_by_count=not_by_count,
        not_one_channel=not_one_channel,
        not_flagged=not_flagged,
        min_batches=min_batches,
        control_types=control_types,
        mechanism=mechanism,
    )
    _check_page(limit, offset)
    with catalog.reading() as connection:
        run_id = resolve(connection, run)
        check_profile(connection, run_id, profile)
        strongest_first = (
            Call.q_value.asc().nulls_last(),
            Call.effect.desc().nulls_last(),
            by_code_point(connection, Call.treatment),
            by_code_point(connection, Call.control_type),
        )
        query = select(*_columns()).where(Call.run_id == run_id, Call.profile == profile, *passing)
        rows = connection.execute(query.order_by(*strongest_first).limit(limit + 1).offset(offset)).all()
        return HitsPage(
            run_id=run_id,
            results_sha256=connection.scalar(select(Run.results_sha256).where(Run.id == run_id)),
            hits=pl.DataFrame([tuple(row) for row in rows[:limit]], schema=CALLS, orient="row"),
            has_more=len(rows) > limit,
        )


@patient
def known_mechanisms(catalog: Catalog, *, run: str | int = "latest", profile: str = "combined") -> list[str]:
    """Return the labels that `find_hits` finds something by, as they are written, in alphabetical order."""
    with catalog.reading() as connection:
        here = (CallMechanism.run_id == resolve(connection, run), CallMechanism.profile == profile)
        rows = connection.execute(select(CallMechanism.folded_label, CallMechanism.label).where(*here).distinct())
        spelling = dict(sorted((fold, label) for fold, label in rows))
    return list(spelling.values())


def calls_where(connection: Connection, *where: ColumnElement[bool]) -> pl.DataFrame:
    """Return the calls that satisfy every condition, by perturbation and dose."""
    return select_frame(connection, select(*_columns()).where(*where), CALLS, by=_CALL_ORDER)


def check_profile(connection: Connection, run_id: int, profile: str) -> None:
    """Refuse a profile that a run has no calls on; a finished run whose calls were refused has none on any.

    Raises:
        NotFoundError: With the profiles that there are, or with the state of a run that has published nothing.
    """
    of_run = select(Call.profile).where(Call.run_id == run_id)
    one = of_run.where(equals(Call.profile, profile)).order_by(Call.q_value).limit(1)  # in this order: by the index
    if connection.scalar(one) is not None:
        return
    known = sorted(connection.scalars(of_run.distinct()))
    if known:
        raise NotFoundError(f"run-{run_id} has no calls on the profile {profile[:80]!r}; it has {', '.join(known)}.")
    run = run_record(connection, run_id)
    if not run.is_finished:
        raise NotFoundError(
            f"{run.name} is {run.state.value} and has published no results yet; see `hcs status {run.name}`, "
            "or ask an earlier run with --run."
        )


def _columns() -> list[ColumnElement[object]]:
    return [getattr(Call, name) for name in CALLS]


def _passing(
    *,
    q_max: float,
    not_toxic: bool,
    not_by_count: bool,
    not_one_channel: bool,
    not_flagged: bool,
    min_batches: int | None,
    control_types: Sequence[str],
    mechanism: str | None,
) -> list[ColumnElement[bool]]:
    """Return the conditions that a hit satisfies.

    Raises:
        UsageError: If a limit makes no sense.
    """
    _check_limits(q_max, min_batches, control_types)
    passing: list[ColumnElement[bool]] = [Call.control_type.in_(control_types)]
    if q_max < 1:
        passing.append(Call.q_value <= q_max)
    if not_toxic:
        passing.append(Call.cell_count_ratio >= NOT_TOXIC)
    if not_by_count:
        passing.append(Call.explained_by_count.is_distinct_from("explained"))
    if not_one_channel:
        passing.append(Call.channel_verdict.is_distinct_from("one_channel"))
    if not_flagged:
        passing.append(Call.quality_verdict.is_distinct_from("flagged_more"))
    if min_batches is not None:
        passing.append(Call.n_batches_holding >= min_batches)
    if mechanism is not None:
        passing.append(_has_label(mechanism))
    return passing


def _check_limits(q_max: float, min_batches: int | None, control_types: Sequence[str]) -> None:
    if not 0 < q_max <= 1:
        raise UsageError(f"--q-max is above 0 and at most 1 (which keeps rows without a q), but {q_max} came.")
    if min_batches is not None and not 1 <= min_batches <= LARGEST_NUMBER:
        raise UsageError(f"--min-batches is at least 1 and at most {LARGEST_NUMBER:,}, but {min_batches} came.")
    if unknown := sorted(set(control_types) - set(TREATMENT_TYPES)):
        raise UsageError(f"calls are made of {' and '.join(TREATMENT_TYPES)}, but {', '.join(unknown)} came.")


def _check_page(limit: int, offset: int) -> None:
    if not 1 <= limit <= LARGEST_NUMBER or not 0 <= offset <= LARGEST_NUMBER:
        raise UsageError(
            f"a page has at least one row and begins at row 0 or later, up to {LARGEST_NUMBER:,}, but a limit of "
            f"{limit} and an offset of {offset} came."
        )


def _has_label(mechanism: str) -> ColumnElement[bool]:
    """Return the condition that a call, joined with its labels, has one of them; a label stands once beside a call."""
    return and_(
        CallMechanism.run_id == Call.run_id,
        CallMechanism.profile == Call.profile,
        CallMechanism.treatment == Call.treatment,
        CallMechanism.control_type == Call.control_type,
        equals(CallMechanism.folded_label, mechanism.strip().casefold()),
    )
