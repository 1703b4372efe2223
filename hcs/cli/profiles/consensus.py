"""`hcs profiles consensus`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.output import counted, put
from hcs.cli.profiles.files import read_profiles, write_profiles
from hcs.cli.profiles.options import FeaturesOption, In, MetadataOption, Out


class Consensus(StrEnum):
    """How replicates become one row."""

    MEAN = "mean"
    MEDIAN = "median"
    MODZ = "modz"


def consensus(
    source: In,
    target: Out,
    by: Annotated[list[str], typer.Option("--by", metavar="COLUMN", help="What replicates share; may be repeated.")],
    operation: Annotated[Consensus, typer.Option("--operation")] = Consensus.MEDIAN,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
) -> None:
    """Make one row of the replicates of a perturbation.

    Example: hcs profiles consensus selected.parquet treatments.parquet --by Metadata_broad_sample --operation modz
    """
    from hcs.profiling.groups import group_rows
    from hcs.statistics.consensus import consensus_of_groups

    profiles = read_profiles(source, metadata=metadata, features=features)
    groups = group_rows(profiles.metadata, by)
    values = consensus_of_groups(profiles.values, groups.order, groups.starts, operation=operation.value)
    write_profiles(groups.keys, values, profiles.features, target)
    put(f"{counted(len(profiles.values), 'row')} became {len(values)}")
