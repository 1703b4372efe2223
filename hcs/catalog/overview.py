"""Asks for what is shown beside results: calls on one plate, counts of mechanisms, and whether the database answers."""

from __future__ import annotations

from typing import Any

import polars as pl
from sqlalchemy import case, distinct, func, select

from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals, select_frame
from hcs.catalog.hits import calls_where
from hcs.catalog.models import Call, CallMechanism, RunWell
from hcs.catalog.patience import patient

MECHANISMS: dict[str, Any] = {"label": pl.String, "treatments": pl.Int64, "hits": pl.Int64}


@patient
def calls_on_plate(catalog: Catalog, run_id: int, plate: str, *, profile: str = "combined") -> pl.DataFrame:
    """Return what a run says of the treatments on one plate: `treatment` and the columns of `PublishedCalls`.

    A run without results, and one that knows no such plate or profile, has none.
    """
    here = select(RunWell.treatment).where(RunWell.run_id == run_id, equals(RunWell.plate, plate))
    with catalog.reading() as connection:
        return calls_where(connection, Call.run_id == run_id, equals(Call.profile, profile), Call.treatment.in_(here))


@patient
def count_mechanisms(catalog: Catalog, run_id: int, *, profile: str = "combined") -> pl.DataFrame:
    """Return one row a label that `find_hits` finds something by: how many treatments have it, and how many are hits.

    A label that is written in several ways is told in the last of them by the alphabet, as `known_mechanisms` does.
    """
    joined = (
        (Call.run_id == CallMechanism.run_id)
        & (Call.profile == CallMechanism.profile)
        & (Call.treatment == CallMechanism.treatment)
        & (Call.control_type == CallMechanism.control_type)
    )
    query = (
        select(
            CallMechanism.folded_label,
            func.max(CallMechanism.label).label("label"),
            func.count(distinct(CallMechanism.treatment)).label("treatments"),
            func.sum(case((Call.is_hit, 1), else_=0)).label("hits"),
        )
        .join(Call, joined)
        .where(CallMechanism.run_id == run_id, equals(CallMechanism.profile, profile))
        .group_by(CallMechanism.folded_label)
    )
    with catalog.reading() as connection:
        frame = select_frame(connection, query, {"folded_label": pl.String, **MECHANISMS}, by=["folded_label"])
    return frame.select(*MECHANISMS)


def check_answers(catalog: Catalog) -> None:
    """Ask the database for nothing, once and without patience.

    Raises:
        StorageError: If it does not answer.
    """
    with catalog.reading() as connection:
        connection.scalar(select(1))
