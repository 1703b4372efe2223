"""`hcs profiles normalize`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.output import counted, put
from hcs.cli.profiles.files import kept_names, read_profiles, write_profiles
from hcs.cli.profiles.options import (
    ControlsOption,
    FeaturesOption,
    FitOnOption,
    In,
    MetadataOption,
    Out,
    chosen_rows,
    listed,
)


class Method(StrEnum):
    """How values are scaled."""

    MAD_ROBUSTIZE = "mad_robustize"
    ROBUSTIZE = "robustize"
    STANDARDIZE = "standardize"
    INVERSE_NORMAL = "inverse_normal"


class Lacking(StrEnum):
    """What is done with a group without rows to fit on."""

    REFUSE = "refuse"
    ALL = "all"


class Degenerate(StrEnum):
    """What is done with a feature that does not vary where it is fitted."""

    ZERO = "zero"
    DROP = "drop"
    KEEP = "keep"


def normalize(
    source: In,
    target: Out,
    method: Annotated[Method, typer.Option("--method", help="As pycytominer names them.")] = Method.MAD_ROBUSTIZE,
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="COLUMN", help="Group by; may be repeated [Metadata_Plate].")
    ] = None,
    controls: ControlsOption = None,
    epsilon: Annotated[
        float | None,
        typer.Option("--epsilon", min=0, help="Added to every MAD; features that hardly vary are divided by it."),
    ] = None,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="With fewer than 16 rows to fit on, shrink a group's scale to the others'.")
    ] = False,
    lacking: Annotated[Lacking, typer.Option("--lacking", help="For a group without rows to fit on.")] = Lacking.REFUSE,
    degenerate: Annotated[
        Degenerate | None,
        typer.Option("--degenerate", help="For a feature that hardly varies [zero; keep with --epsilon]."),
    ] = None,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
    fit_on: FitOnOption = None,
) -> None:
    """Normalize every plate on its own rows; all rows and features stay, in their order.

    Example: hcs profiles normalize wells.csv.gz normalized.parquet --controls "Metadata_pert_type == 'negcon'"
    """
    from hcs.profiling.groups import group_rows
    from hcs.profiling.scaling import normalize_groups

    profiles = read_profiles(source, metadata=metadata, features=features)
    groups = group_rows(profiles.metadata, by or ["Metadata_Plate"])
    treatment = degenerate or (Degenerate.ZERO if epsilon is None else Degenerate.KEEP)
    made = normalize_groups(
        profiles.values,
        groups,
        method=method.value,
        is_fitted=chosen_rows(profiles, controls, fit_on),
        lacking=lacking.value,
        degenerate=treatment.value,
        epsilon=epsilon,
        shrinks=shrink,
    )
    is_left = made.kept if treatment is Degenerate.DROP else made.kept | True
    write_profiles(profiles.metadata, made.values, kept_names(profiles.features, is_left), target)
    put(f"{counted(len(groups), 'group')}, each fitted on {made.n_fitted.min()} to {made.n_fitted.max()} rows")
    if not made.kept.all():
        done = "left out" if treatment is Degenerate.DROP else "set to 0 in every group"
        names = kept_names(profiles.features, ~made.kept)
        put(f"{counted(len(names), 'feature')} {done}: hardly varying in the fitted rows of a group: {listed(names)}")
    for group in made.borrowed.nonzero()[0]:
        put(f"{groups.name(int(group))}: no row to fit on, fitted on all of its rows")
    for group in made.shrunk.nonzero()[0]:
        put(f"{groups.name(int(group))}: scale shrunk towards the others', fitted on {made.n_fitted[group]} rows alone")
