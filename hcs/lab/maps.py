"""A picture of the wells of a run: where they lie in the plane of UMAP, by what was done to them."""

from __future__ import annotations

import polars as pl

from hcs.catalog import Catalog, RunRecord
from hcs.lab.picture import Dot, scatter_svg
from hcs.mechanisms.planes import plane_of
from hcs.pipeline.stored import read_profile

_KINDS = {"negcon": "negative control", "poscon": "positive control", "treatment": "treatment"}


def draw_wells(catalog: Catalog, run: RunRecord, *, profile: str, seed: int) -> str:
    """Return the picture as SVG: a dot a well, treatments the deeper the higher their dose.

    Args:
        catalog: Where the run is.
        run: A finished run.
        profile: Which profile of it.
        seed: Of the embedding.

    Raises:
        NotFoundError: If the run has no such profile.
        InputRejectedError: If it has fewer than 5 wells.
    """
    wells, matrix = read_profile(catalog, run, profile)
    places = plane_of(matrix, seed=seed)
    dose = wells.select(pl.coalesce("concentration_micromolar", "dose_step"))
    rank = dose.to_series().rank("dense").fill_null(0).to_list()
    highest = max([1, *rank])
    dots = [
        Dot(
            x=float(x),
            y=float(y),
            kind=_KINDS.get(row["control_type"], row["control_type"]),
            label=f"{row['plate']} {row['well']} {row['perturbation']}",
            shade=step / highest if row["control_type"] == "treatment" else 1.0,
        )
        for (x, y), row, step in zip(
            places, wells.with_columns(pl.col("control_type").cast(pl.String)).iter_rows(named=True), rank, strict=True
        )
    ]
    return scatter_svg(dots, title=f"{run.config.screen}: wells by {profile}", x="UMAP 1", y="UMAP 2")
