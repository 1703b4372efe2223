"""Compares hits: which treatments one run or profile calls and another does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, or_, select

from hcs.catalog.engine import Catalog
from hcs.catalog.frames import select_frame
from hcs.catalog.hit_limits import TREATMENT_TYPES
from hcs.catalog.hits import CALLS, check_profile
from hcs.catalog.models import Call
from hcs.catalog.patience import patient
from hcs.catalog.runs import resolve
from hcs.errors import UsageError

KEY = ("treatment", "control_type")
KNOWN = ("perturbation", "concentration_micromolar", "dose_step", "name", "mechanism")
"""What stands beside a treatment, whichever side says it."""
FIGURES = (
    "call", "q_value", "effect", "mean_average_precision", "cell_count_ratio", "explained_by_count",
    "position_verdict", "channel_verdict", "channel", "batch_verdict", "quality_verdict", "n_replicates",
)  # fmt: skip
"""What each side says of a treatment; in a comparison these come twice, behind `before_` and `after_`."""
CHANGES = ("gained", "lost", "both")

_COLUMNS = {name: CALLS[name] for name in (*KEY, *KNOWN, *FIGURES)}


@dataclass(frozen=True)
class HitComparison:
    """The hits of one side, `run_id` on `profile`, beside those of the other."""

    run_id: int
    other_id: int
    profile: str
    other_profile: str
    q_max: float
    calls: pl.DataFrame
    """As `compared` returns it."""

    def count(self, change: str) -> int:
        """Return how many treatments were gained, lost, or are hits on both sides."""
        return int((self.calls["change"] == change).sum())


@patient
def compare_hits(
    catalog: Catalog,
    *,
    run: str | int,
    other: str | int,
    profile: str = "combined",
    other_profile: str | None = None,
    q_max: float = 0.05,
) -> HitComparison:
    """Return the treatments that are hits of a run, of another one, or of both.

    A hit is what `find_hits` finds by its q value; a treatment without one is none. The other run may be the same one,
    on another profile.

    Args:
        catalog: Where both are.
        run: A run: what is a hit of it alone is gained.
        other: The run that it is held against: what is a hit of it alone is lost.
        profile: The profile that the run's calls were made on.
        other_profile: That of the other run; by default of the same name.
        q_max: Largest q value of a hit.

    Raises:
        NotFoundError: If there is no such run, or one of them has no calls on its profile.
        UsageError: If the limit makes no sense.
    """
    if not 0 < q_max <= 1:
        raise UsageError(f"--q-max is above 0 and at most 1, but {q_max} came.")
    other_profile = profile if other_profile is None else other_profile
    with catalog.reading() as connection:
        after, before = (resolve(connection, run), profile), (resolve(connection, other), other_profile)
        for run_id, name in (after, before):
            check_profile(connection, run_id, name)
        calls = compared(
            _calls(connection, before, after, q_max=q_max), _calls(connection, after, before, q_max=q_max), q_max=q_max
        )
    return HitComparison(after[0], before[0], profile, other_profile, q_max, calls)


def compared(before: pl.DataFrame, after: pl.DataFrame, *, q_max: float) -> pl.DataFrame:
    """Return a row a treatment that is a hit before or after: what changed, and what either side says of it.

    A side that did not call the treatment has nulls. What was gained comes first, then what was lost, then what both
    have; in each the smallest q on the side that says hit, then the largest effect, then by name.

    Args:
        before: One row a treatment and control type, with the columns of `KNOWN` and `FIGURES`.
        after: The same of the other side.
        q_max: Largest q value of a hit.
    """
    is_hit = (pl.col("q_value") <= q_max).fill_null(value=False)
    sides = []
    for side, calls in (("before", before), ("after", after)):
        named = calls.with_columns(is_hit=is_hit).rename({name: f"{side}_{name}" for name in (*KNOWN, *FIGURES)})
        sides.append(named.rename({"is_hit": f"{side}_is_hit"}))
    was, is_now = (pl.col(f"{side}_is_hit").fill_null(value=False) for side in ("before", "after"))
    change = pl.when(is_now & ~was).then(pl.lit("gained")).when(was & ~is_now).then(pl.lit("lost"))
    known = {name: pl.coalesce(f"after_{name}", f"before_{name}") for name in KNOWN}
    joined = sides[0].join(sides[1], on=KEY, how="full", coalesce=True).filter(was | is_now)
    rows = joined.with_columns(change=change.otherwise(pl.lit("both")), **known)
    figures = [f"{side}_{name}" for side in ("before", "after") for name in FIGURES]
    return rows.sort(*_strongest_first(), nulls_last=True).select("change", *KEY, *KNOWN, *figures)


def _strongest_first() -> list[pl.Expr]:
    """Return what rows are sorted by; what was lost is judged by the side that had it."""
    q_value, effect = (
        pl.when(pl.col("change") == "lost").then(f"before_{name}").otherwise(f"after_{name}")
        for name in ("q_value", "effect")
    )
    order = pl.col("change").replace_strict({change: number for number, change in enumerate(CHANGES)})
    return [order, q_value, -effect, *map(pl.col, KEY)]


def _calls(connection: Connection, here: tuple[int, str], there: tuple[int, str], *, q_max: float) -> pl.DataFrame:
    """Return one side's calls on treatments that are hits on either."""

    def on(side: tuple[int, str]) -> tuple[Any, ...]:
        return (Call.run_id == side[0], Call.profile == side[1], Call.control_type.in_(TREATMENT_TYPES))

    hits_there = select(Call.treatment).where(*on(there), Call.q_value <= q_max)
    columns = [getattr(Call, name) for name in _COLUMNS]
    query = select(*columns).where(*on(here), or_(Call.q_value <= q_max, Call.treatment.in_(hits_there)))
    return select_frame(connection, query, _COLUMNS, by=KEY)
