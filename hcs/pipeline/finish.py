"""Stop 7 of a run: its visible parts become profiles, calls and mechanisms, which are published by one commit.

From here on the tables are small; everything runs in this process with one BLAS thread, since float products differ
between one thread and two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from hcs.catalog import Catalog, RunRecord, count_units, publish, site_rows, visible_parts
from hcs.io.storage import join, sha256_of_bytes, write_atomically
from hcs.io.tables import embedding_table_bytes
from hcs.pipeline.flags import flagged_in_run
from hcs.pipeline.results import RunResults, make_results
from hcs.pipeline.surveys import read_survey
from hcs.pipeline.well_table import read_wells
from schemas.results import ProfileReceipt
from schemas.work import RunState, UnitState


def finish_run(catalog: Catalog, run: RunRecord, *, holes: Sequence[str] = ()) -> RunState:
    """Compute and publish the results of a run whose units are all done or failed; return the state it ends in.

    Args:
        catalog: Where the run is.
        run: The run.
        holes: What is known to be missing already, as sentences: plates that were rejected, images not delivered.
    """
    flags = flagged_in_run(catalog, run.id)
    table, missing = read_wells(catalog, run, flags=flags)
    with threadpool_limits(limits=1):
        results = make_results(table, config=run.config)
    uncalled = [] if results.profiles else list(results.notes)
    told = [*_survey_notes(catalog, run.id), *results.notes]
    found = [*holes, *uncalled, *missing, *_failed_units(catalog, run.id), *_uncallable(results.calls)]
    state = RunState.COMPLETE_WITH_HOLES if found else RunState.COMPLETE
    receipts = [_write_profile(catalog, run, name, results) for name in sorted(results.profiles)]
    publish(
        catalog,
        run.id,
        calls=results.calls,
        neighbours=results.neighbours,
        profiles=receipts,
        state=state,
        notes=list(dict.fromkeys([*told, *found])),
        flags=flags,
    )
    return state


def _survey_notes(catalog: Catalog, run_id: int) -> list[str]:
    """Return what the surveys of a run's plates have to say; the same words about many plates are one note."""
    plates_by_note: dict[str, list[str]] = {}
    for row in visible_parts(catalog, run_id, kind="survey").sort("plate").iter_rows(named=True):
        survey = read_survey(join(catalog.parts_uri, row["relative_path"]), expected_sha256=row["sha256"])
        for note in survey.notes:
            plates_by_note.setdefault(note, []).append(row["plate"])
    return [f"{', '.join(plates[:5])}{' ...' * (len(plates) > 5)}: {note}" for note, plates in plates_by_note.items()]


def _failed_units(catalog: Catalog, run_id: int) -> Iterator[str]:
    counts = count_units(catalog, run_id)
    n_failed = counts[UnitState.FAILED] + counts[UnitState.QUARANTINED]
    if n_failed:
        yield f"units that failed: {n_failed}; `hcs status` gives their reasons, `hcs retry` tries them again"
    failed_sites = site_rows(catalog, run_id).filter(pl.col("status") == "failed")
    if failed_sites.height:
        yield f"sites that could not be used: {failed_sites.height}, first: {failed_sites['reason'][0]}"


def _uncallable(calls: pl.DataFrame) -> Iterator[str]:
    """Yield a line when plates without negative controls kept treatments from being called."""
    reasons = calls.filter((pl.col("call") == "not_callable") & (pl.col("n_controls") == 0))
    if reasons.height:
        n_treatments = reasons.select("perturbation", "concentration_micromolar", "dose_step").n_unique()
        yield f"{n_treatments} treatments are not callable: none of their plates has a negative control"


def _write_profile(catalog: Catalog, run: RunRecord, name: str, results: RunResults) -> ProfileReceipt:
    """Write one profile of a run: one row a well, sorted, and its vector."""
    keys = results.wells.select(
        "plate", "well", "perturbation", "concentration_micromolar", "dose_step", "control_type"
    )
    matrix = results.profiles[name].astype(np.float32)
    content = embedding_table_bytes(keys, matrix)
    relative_path = f"{run.name}/profiles/{name}.parquet"
    write_atomically(join(catalog.parts_uri, relative_path), content)
    return ProfileReceipt(
        name=name,
        relative_path=relative_path,
        sha256=sha256_of_bytes(content),
        n_rows=keys.height,
        n_features=matrix.shape[1],
        n_bytes=len(content),
    )
