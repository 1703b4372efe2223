"""Everything of one perturbation, what is similar to it, and the mechanisms that were found."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from hcs.catalog import get_run, neighbours_of, show_perturbation
from hcs.catalog.names import NAME_LIMIT
from hcs.pipeline.wells import summarize_sites
from schemas.api import (
    Neighbour,
    NeighbourPage,
    Perturbation,
    PerturbationWell,
)
from services.api.context import Asked
from services.api.parameters import WHOLE, ProfileQuery, RunQuery
from services.api.rows import hit_of, path_of, rows_of, well_image_path

MOST_WELLS = 500
MOST_NEIGHBOURS = 100

router = APIRouter(tags=["perturbations"])

PerturbationPath = Annotated[
    str,
    Path(max_length=NAME_LIMIT, description="As the platemap calls it, or its name, in any case.", examples=["DMSO"]),
]


@router.get("/perturbations/{perturbation:path}/neighbours", summary="What is similar to a perturbation")
def neighbours(
    context: Asked,
    perturbation: PerturbationPath,
    run: RunQuery = "latest",
    profile: ProfileQuery = "combined",
    top: Annotated[
        int, Field(ge=1, le=MOST_NEIGHBOURS), WHOLE, Query(description="Neighbours of each dose, at most.")
    ] = 10,
) -> NeighbourPage:
    """The most similar treatments of each dose, nearest first, with what is known of them."""
    record = get_run(context.catalog, run)
    found = neighbours_of(context.catalog, perturbation, run=record.id, profile=profile, top=top)
    items = tuple(Neighbour(**row) for row in rows_of(found))
    return NeighbourPage(items=items, next_cursor=None, run=record.name, perturbation=perturbation)


@router.get("/perturbations/{perturbation:path}", summary="Everything of one perturbation")
def perturbation(context: Asked, perturbation: PerturbationPath, run: RunQuery = "latest") -> Perturbation:
    """Its wells with the quality of their sites and their pictures, its calls by dose and profile, its neighbours."""
    found = show_perturbation(context.catalog, perturbation, run=run)
    name = found.run.name
    wells = found.wells.join(summarize_sites(found.sites), on=["plate", "well"], how="left", maintain_order="left")
    here = path_of("perturbations", found.perturbation)
    return Perturbation(
        run=name,
        perturbation=found.perturbation,
        name=found.name,
        smiles=found.smiles,
        inchikey=found.inchikey,
        mechanism=found.mechanism,
        calls=tuple(map(hit_of, rows_of(found.calls))),
        neighbours=tuple(Neighbour(**row) for row in rows_of(found.neighbours)),
        wells=tuple(_well(row, name) for row in rows_of(wells.head(MOST_WELLS))),
        n_wells=wells.height,
        links={
            "self": f"{here}?run={name}",
            "run": path_of("runs", name),
            "neighbours": f"{here}/neighbours?run={name}",
        },
    )


def _well(row: dict[str, Any], run: str) -> PerturbationWell:
    counts = {"sites": row["sites"] or 0, "sites_failed": row["sites_failed"] or 0}
    return PerturbationWell(**{**row, **counts, "image": well_image_path(row["plate"], row["well"], run)})
