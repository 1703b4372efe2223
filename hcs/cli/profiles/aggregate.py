"""`hcs profiles aggregate`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.output import counted, put
from hcs.cli.profiles.files import read_profiles, write_profiles
from hcs.cli.profiles.options import FeaturesOption, In, MetadataOption, Out, metadata_column


class Aggregation(StrEnum):
    """How rows of a well become one."""

    MEAN = "mean"
    MEDIAN = "median"
    TRIMMED = "trimmed"


def aggregate(
    source: In,
    target: Out,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="COLUMN", help="May be repeated [Metadata_Plate, Metadata_Well]."),
    ] = None,
    operation: Annotated[Aggregation, typer.Option("--operation")] = Aggregation.MEDIAN,
    cells: Annotated[
        str | None, typer.Option("--cells", metavar="COLUMN", help="How many cells each row was made of.")
    ] = None,
    weighted: Annotated[bool, typer.Option("--weighted", help="A row counts as often as it has cells.")] = False,
    minimum_cells: Annotated[
        int, typer.Option("--minimum-cells", min=0, help="Below it, Metadata_is_fitted is false: no fit looks there.")
    ] = 0,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
) -> None:
    """Make one row of each well's sites or cells.

    Example: hcs profiles aggregate sites.parquet wells.parquet --operation mean
    """
    from hcs.profiling.aggregate import aggregate_groups
    from hcs.profiling.groups import group_rows

    profiles = read_profiles(source, metadata=metadata, features=features)
    made = aggregate_groups(
        profiles.values,
        group_rows(profiles.metadata, by or ["Metadata_Plate", "Metadata_Well"]),
        operation=operation.value,
        n_cells=None if cells is None else metadata_column(profiles, cells).cast(float).to_numpy(),
        is_weighted=weighted,
        minimum_cells=minimum_cells,
    )
    ours = [name for name in made.groups.columns if name in {"n_rows", "n_cells", "is_fitted"}]
    groups = made.groups.rename({name: f"Metadata_{name}" for name in ours})
    write_profiles(groups, made.values, profiles.features, target)
    put(f"{counted(len(profiles.values), 'row')} became {len(made.values)}")
