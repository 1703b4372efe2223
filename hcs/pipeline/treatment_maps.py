"""The map of a run's treatments, as pages show it: made of its clusters once, and kept in the catalog."""

from __future__ import annotations

import polars as pl
import polars.selectors as cs

from hcs.catalog import (
    EVERY_CALL,
    Catalog,
    RunRecord,
    find_hits,
    get_run,
    keep_grouping,
    plates_of,
    results_digest,
    wells_of,
)
from hcs.pipeline.grouping import Grouping, group_treatments
from schemas.api_results import MAP_FORM, ClusterFigure, ClusterRow, MapPoint, RunMap

_CALL = ("treatment", "control_type")


def keep_map(catalog: Catalog, run_id: int, *, profile: str, everything: bool) -> bool:
    """Make the map of a run and keep it; return whether the catalog has one of its present results now.

    Raises:
        NotFoundError: If there is no such run, or it has no results on this profile.
        StorageError: If the profile is not the file that was registered.
    """
    digest = results_digest(catalog, run_id)
    made = make_map(catalog, get_run(catalog, run_id), profile=profile, everything=everything)
    content = made.model_dump_json().encode()
    return keep_grouping(
        catalog, run_id, content, profile=profile, everything=everything, form=MAP_FORM, results_sha256=digest
    )


def make_map(catalog: Catalog, run: RunRecord, *, profile: str, everything: bool) -> RunMap:
    """Return where the treatments of a run lie, and which belong together; it takes seconds, and many for thousands.

    Raises:
        NotFoundError: If the run has no results, or not on this profile.
        StorageError: If the profile is not the file that was registered.
    """
    grouping = group_treatments(catalog, run, profile=profile, everything=everything)
    calls = find_hits(catalog, EVERY_CALL, run=run.id, profile=profile)
    wells = wells_of(catalog, run=run.id).filter(pl.col("excluded_reason").is_null())
    batches = plates_of(catalog, run.id).select("plate", "batch")
    points = map_points(grouping.members, calls, wells.join(batches, on="plate", how="left"))
    return RunMap(
        run=run.name,
        profile=profile,
        everything=everything,
        items=tuple(MapPoint(**row) for row in _finite(points).to_dicts()),
        clusters=tuple(ClusterRow(**row) for row in _finite(cluster_rows(grouping)).to_dicts()),
        figures=tuple(ClusterFigure(**row) for row in _finite(grouping.figures).to_dicts()),
        notes=grouping.notes,
    )


def map_points(members: pl.DataFrame, calls: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """Return the members beside their cells and where their wells are, in the order of the members.

    Args:
        members: As `Grouping.members`.
        calls: On the same profile, with `cell_count_ratio`.
        wells: `treatment, plate, batch`.
    """
    places = wells.group_by("treatment").agg(
        batches=pl.col("batch").drop_nulls().unique().sort(), plates=pl.col("plate").unique().sort()
    )
    counts = calls.select(*_CALL, "cell_count_ratio")
    joined = members.join(counts, on=_CALL, how="left", maintain_order="left")
    joined = joined.join(places, on="treatment", how="left", maintain_order="left")
    return joined.with_columns(pl.col("batches", "plates").fill_null([]))


def cluster_rows(grouping: Grouping) -> pl.DataFrame:
    """Return the clusters, their members as lists: a name may hold what stands between names in a line of text."""
    names = grouping.members.group_by("cluster").agg(members=pl.coalesce("name", "perturbation").unique().sort())
    return grouping.clusters.drop("members").join(
        names, on="cluster", how="left", nulls_equal=True, maintain_order="left"
    )


def _finite(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table in which a number that is not finite is null: JSON has no word for it."""
    return frame.with_columns(pl.when(cs.float().is_finite()).then(cs.float()))
