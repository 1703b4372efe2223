"""The wells of one plate of a run: what was done to them, what became of their sites, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from hcs.catalog import Catalog, RunRecord, calls_on_plate, count_sites, site_rows, wells_of
from hcs.errors import NotFoundError
from hcs.pipeline.flags import flagged_on_plate

CALL_COLUMNS = (
    "call", "is_hit", "q_value", "mean_average_precision", "effect", "cell_count_ratio", "explained_by_count",
    "channel_verdict", "channel", "batch_verdict", "quality_verdict",
)  # fmt: skip
"""What is said of the treatment of a well."""


@dataclass(frozen=True, eq=False)
class PlateCounts:
    """What became of a plate: wells of each control type, and its sites; None where no control was counted.

    `flagged` has the columns `plate, well, site, flags`, and a row for every site that looks wrong.
    """

    wells: dict[str, int]
    sites: int
    sites_failed: int
    flagged: pl.DataFrame
    median_negcon_cells: float | None


def view_wells(catalog: Catalog, run: RunRecord, plate: str, *, profile: str = "combined") -> pl.DataFrame:
    """Return one row a well that is described or was read, in the order of rows and columns.

    The columns are those of `wells_of`, then `sites`, `sites_failed`, `cell_count` (mean of the sites counted), `flags`
    (a list, as of `flag_sites`) and those of `CALL_COLUMNS`.

    Raises:
        NotFoundError: If the run has no such plate.
    """
    layout = wells_of(catalog, run=run.id, plate=plate)
    counts = count_sites(catalog, run.id, plate)
    _refuse_unknown(run, plate, layout, counts)
    flags = _flags_of_wells(flagged_on_plate(catalog, run.id, plate))
    calls = calls_on_plate(catalog, run.id, plate, profile=profile)
    keys = ["treatment", "control_type"]
    said = calls.select(*keys, *CALL_COLUMNS).with_columns(pl.col("control_type").cast(pl.String))
    return (
        layout.with_columns(pl.col("control_type").cast(pl.String))
        .join(counts.with_columns(plate=pl.lit(plate)), on=["plate", "well"], how="full", coalesce=True)
        .join(flags, on="well", how="left")
        .join(said, on=keys, how="left")
        .with_columns(pl.col("sites", "sites_failed").fill_null(0), pl.col("control_type").fill_null("empty"))
        .sort(pl.col("well").str.len_chars(), "well")  # Z12 stands before AA01
    )


def summarize_sites(sites: pl.DataFrame) -> pl.DataFrame:
    """Return one row a well: `plate`, `well`, `sites`, `sites_failed`, and the mean `cell_count` of those counted."""
    return sites.group_by("plate", "well", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("sites"),
        (pl.col("status").cast(pl.String) == "failed").sum().cast(pl.Int64).alias("sites_failed"),
        pl.col("cell_count").mean(),
    )


def count_plate(catalog: Catalog, run: RunRecord, plate: str) -> PlateCounts:
    """Return what became of a plate.

    Raises:
        NotFoundError: If the run has no such plate.
    """
    layout = wells_of(catalog, run=run.id, plate=plate)
    sites = site_rows(catalog, run.id, plate=plate)
    _refuse_unknown(run, plate, layout, sites)
    negcon = layout.filter(pl.col("control_type") == "negcon")
    counts = sites.join(negcon, on=["plate", "well"], how="semi")["cell_count"].drop_nulls()
    kinds = layout["control_type"].cast(pl.String).value_counts().sort("control_type").rows()
    median = counts.median()
    return PlateCounts(
        wells=dict(kinds),
        sites=sites.height,
        sites_failed=sites.filter(pl.col("status") == "failed").height,
        flagged=flagged_on_plate(catalog, run.id, plate),
        median_negcon_cells=float(median) if isinstance(median, (int, float)) else None,
    )


def _refuse_unknown(run: RunRecord, plate: str, layout: pl.DataFrame, sites: pl.DataFrame) -> None:
    if layout.is_empty() and sites.is_empty():
        raise NotFoundError(f"{run.name} has no plate {plate[:80]!r}; `hcs status {run.name}` lists its plates")


def _flags_of_wells(flagged: pl.DataFrame) -> pl.DataFrame:
    """Return `well` and the list of what is wrong with any of its sites, each named once."""
    return flagged.group_by("well").agg(pl.col("flags").str.split("|").explode().unique().sort())
