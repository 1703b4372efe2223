"""Keeps maps of runs' treatments, which take long to make, until the run publishes other results or is deleted."""

from __future__ import annotations

import zlib

from sqlalchemy import select

from hcs.catalog.dialects import insert_missing
from hcs.catalog.engine import Catalog
from hcs.catalog.frames import equals
from hcs.catalog.models import Grouping, Run
from hcs.catalog.patience import patient
from hcs.catalog.runs import hold_run

_KEY = ("run_id", "profile", "everything", "form")


@patient
def results_digest(catalog: Catalog, run_id: int) -> str | None:
    """Return the digest of what a run has published; None where it has published nothing, or is not there."""
    with catalog.reading() as connection:
        return connection.scalar(select(Run.results_sha256).where(Run.id == run_id))


@patient
def find_grouping(catalog: Catalog, run_id: int, *, profile: str, everything: bool, form: int) -> bytes | None:
    """Return the map that was kept of the results that a run has now; None where there is none."""
    here = (Grouping.run_id == run_id, equals(Grouping.profile, profile), Grouping.everything.is_(everything))
    query = (
        select(Grouping.content)
        .join(Run, Run.id == Grouping.run_id)
        .where(*here, Grouping.form == form, Grouping.results_sha256 == Run.results_sha256)
    )
    with catalog.reading() as connection:
        content = connection.scalar(query)
    return None if content is None else zlib.decompress(content)


@patient
def keep_grouping(
    catalog: Catalog,
    run_id: int,
    content: bytes,
    *,
    profile: str,
    everything: bool,
    form: int,
    results_sha256: str | None,
) -> bool:
    """Keep a map where there is none yet: the first one stands, however many make it at once.

    Args:
        catalog: Where the run is.
        run_id: The run that it is of.
        content: The map, as its form says.
        profile: The profile that it is of.
        everything: Whether treatments that are no hits are in it.
        form: How it is written.
        results_sha256: What `results_digest` said before the results were read that it was made of.

    Returns:
        Whether there is one now; False where the run has other results meanwhile, or is gone.
    """
    row = {
        "run_id": run_id,
        "profile": profile,
        "everything": everything,
        "form": form,
        "results_sha256": results_sha256,
        "content": zlib.compress(content),
    }
    with catalog.writing() as connection:
        hold_run(connection, run_id)
        published = connection.scalar(select(Run.results_sha256).where(Run.id == run_id))
        if published is None or published != results_sha256:
            return False
        insert_missing(connection, Grouping, [row], key=_KEY)
        return True
