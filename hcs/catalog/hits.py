"""Asks for hits: the calls of a run that pass, all of them or page by page, and the mechanisms to ask by."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from sqlalchemy import ColumnElement, Connection, select

from hcs.catalog.dialects import by_code_point
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals, schema_of, select_frame
from hcs.catalog.hit_limits import AS_USUAL, LARGEST_NUMBER, HitLimits
from hcs.catalog.models import Call, CallMechanism, Run
from hcs.catalog.patience import patient
from hcs.catalog.runs import resolve, run_record
from hcs.errors import NotFoundError, UsageError
from schemas.results import PublishedCalls

CALLS = {"treatment": pl.String, **schema_of(PublishedCalls)}
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
    catalog: Catalog, limits: HitLimits = AS_USUAL, *, run: str | int = "latest", profile: str = "combined"
) -> pl.DataFrame:
    """Return the calls that pass, one row a treatment, by perturbation and dose.

    Args:
        catalog: Where to look.
        limits: What a call must satisfy.
        run: A run; by default the one that finished last.
        profile: The profile that the calls were made on.

    Returns:
        `treatment` and the columns of `PublishedCalls`.

    Raises:
        NotFoundError: If there is no such run, or it has no calls on this profile.
    """
    with catalog.reading() as connection:
        run_id = resolve(connection, run)
        check_profile(connection, run_id, profile)
        return calls_where(connection, Call.run_id == run_id, Call.profile == profile, *limits.conditions())


@patient
def hits_page(
    catalog: Catalog,
    limits: HitLimits = AS_USUAL,
    *,
    run: str | int = "latest",
    profile: str = "combined",
    limit: int = 100,
    offset: int = 0,
) -> HitsPage:
    """Return some of what `find_hits` finds: by q value, then the largest effect, then treatment and control type.

    Rows without a q value or an effect stand behind those with one. The order is the same on every database.

    Args:
        catalog: Where to look.
        limits: As for `find_hits`, and so the next two.
        run: A run.
        profile: The profile that the calls were made on.
        limit: The most rows that are returned.
        offset: How many rows are passed over before.

    Raises:
        NotFoundError: If there is no such run, or it has no calls on this profile.
        UsageError: If a page has no row, or begins before the first.
    """
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
        query = select(*_columns()).where(Call.run_id == run_id, Call.profile == profile, *limits.conditions())
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


def _check_page(limit: int, offset: int) -> None:
    if not 1 <= limit <= LARGEST_NUMBER or not 0 <= offset <= LARGEST_NUMBER:
        raise UsageError(
            f"a page has at least one row and begins at row 0 or later, up to {LARGEST_NUMBER:,}, but a limit of "
            f"{limit} and an offset of {offset} came."
        )
