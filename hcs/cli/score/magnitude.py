"""`hcs score magnitude`: how strong treatments are."""

from __future__ import annotations

from typing import Annotated

import typer

from hcs.cli.options import FormatOption, OutputOption
from hcs.cli.output import Format, print_table
from hcs.cli.profiles.options import FeaturesOption, In, MetadataOption
from hcs.cli.score.reading import (
    ControlsOption,
    PerturbationOption,
    PlateOption,
    SeedOption,
    WellOption,
    column_of,
    controls_of,
    filled_column_of,
    named_wells,
    read_scored,
    say_left_out,
)


def magnitude(
    source: In,
    perturbation: PerturbationOption,
    controls: ControlsOption,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="For grit: what perturbations share, as the gene of guides."),
    ] = None,
    plate: PlateOption = "Metadata_Plate",
    well: WellOption = "Metadata_Well",
    seed: SeedOption = 0,
    features: FeaturesOption = None,
    metadata: MetadataOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Score how strong treatments are: Mahalanobis distance, induction, grit, energy distance.

    Example: hcs score magnitude wells.parquet --perturbation Metadata_compound --controls "Metadata_type == 'negcon'"
    """
    from hcs.hits.magnitude import magnitudes

    profiles = read_scored(source, metadata=metadata, features=features)
    profiles, is_control = named_wells(profiles, perturbation, controls_of(profiles, controls))
    table = magnitudes(
        profiles.values,
        plates=filled_column_of(profiles, plate, option="--plate"),
        wells=filled_column_of(profiles, well, option="--well"),
        perturbations=column_of(profiles, perturbation),
        is_control=is_control,
        groups=None if group is None else column_of(profiles, group),
        seed=seed,
    )
    without = int((table["n_replicates"] == 0).sum())
    say_left_out(without, "perturbation", "no negative control is on their plates")
    print_table(table, form=form, output=output)
