"""`hcs profiles recipe`."""

from __future__ import annotations

from typing import Annotated

import typer

from hcs.cli.output import put
from hcs.cli.profiles.designs import (
    PLATE,
    WELL,
    BatchOption,
    CountOption,
    CrossFitOption,
    PerturbationOption,
    PlateOption,
    WellOption,
    well_columns,
    wells_of,
)
from hcs.cli.profiles.files import read_profiles, write_profiles
from hcs.cli.profiles.options import ControlsOption, FeaturesOption, In, MetadataOption, Out


def recipe(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="jump-compound, jump-orf, jump-crispr, or steps with commas.")
    ],
    source: In,
    target: Out,
    batch: BatchOption = None,
    controls: ControlsOption = None,
    perturbation: PerturbationOption = None,
    count: CountOption = None,
    plate: PlateOption = PLATE,
    well: WellOption = WELL,
    cross_fit: CrossFitOption = False,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
) -> None:
    """Take raw profiles of wells through the steps of a recipe, in their one order.

    Example: hcs profiles recipe jump-compound in.parquet out.parquet --controls "Metadata_pert_type == 'negcon'"
    """
    from hcs.profiling.recipes import WITHOUT_ARM, follow_recipe, steps_of

    steps = steps_of(name)
    profiles = read_profiles(source, metadata=metadata, features=features)
    columns = well_columns(profiles, batch=batch, perturbation=perturbation, count=count, plate=plate, well=well)
    wells = wells_of(profiles, columns, controls, cross_fit=cross_fit)
    made = follow_recipe(profiles.values, profiles.features, wells.design, steps=steps)
    write_profiles(wells.metadata, made.values, made.features, target)
    put(f"steps: {', '.join(steps)}")
    for sentence in made.told:
        put(sentence)
    if name == "jump-crispr":
        put(WITHOUT_ARM)
    if cross_fit:
        from hcs.profiling.corrections.leak import held_out_ratio

        put(f"held-out controls lie {held_out_ratio(made.values, wells.design):.3g} times as far out as fitted ones")
