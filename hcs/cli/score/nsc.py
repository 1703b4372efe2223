"""`hcs score nsc`: does the nearest profile of another compound share a label?"""

from __future__ import annotations

from typing import Annotated

import typer

from hcs.cli.options import FormatOption, OutputOption
from hcs.cli.output import Format, print_object, print_table
from hcs.cli.profiles.options import FeaturesOption, In, MetadataOption
from hcs.cli.score.reading import (
    PerturbationOption,
    column_of,
    filled_column_of,
    read_scored,
    refuse_same_file,
    say_left_out,
    say_spellings,
)


def nsc(
    source: In,
    perturbation: PerturbationOption,
    label: Annotated[
        str, typer.Option("--label", metavar="COLUMN", help='What neighbours may share; "a|b" is two labels.')
    ],
    batch: Annotated[
        str | None, typer.Option("--batch", metavar="COLUMN", help="Batches of a row; NSCB is scored too.")
    ] = None,
    between_batches: Annotated[
        str, typer.Option("--between-batches", metavar="TEXT", help="Stands between the batches of a row.")
    ] = ",",
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", metavar="LABEL", help="Label without its rows; may be repeated.")
    ] = None,
    confusion: Annotated[
        str | None, typer.Option("--confusion", metavar="FILE", help="Write the confusion table too.")
    ] = None,
    features: FeaturesOption = None,
    metadata: MetadataOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Score how often the nearest profile of another compound, and of another batch, shares a label.

    Example: hcs score nsc treatments.csv --perturbation Metadata_compound --label Metadata_moa --batch Metadata_weeks
    """
    import numpy as np

    from hcs.hits.retrieval_nsc import nearest_labels
    from hcs.io.tables import write_table

    refuse_same_file(output, "--confusion", confusion)
    profiles = read_scored(source, metadata=metadata, features=features)
    labels = column_of(profiles, label)
    is_labelled = np.array([bool(text.strip()) for text in labels], dtype=np.bool_)
    perturbations = filled_column_of(profiles, perturbation, where=is_labelled)
    say_spellings(perturbations, perturbation)
    found = nearest_labels(
        profiles.values.astype(np.float64),
        perturbations=perturbations,
        labels=labels,
        batches=None if batch is None else column_of(profiles, batch),
        between_batches=between_batches,
        left_out=leave_out or (),
    )
    say_left_out(int((~is_labelled).sum()), "row", f"{label} says nothing of them")
    if confusion is not None:
        write_table(found.confusion, confusion)
    if form is Format.JSON and output is None:
        print_object({"scores": found.scores.to_dicts(), "confusion": found.confusion.to_dicts()})
        return
    print_table(found.scores, form=form, output=output)
    if form is Format.TABLE and output is None:
        print_table(found.confusion, form=form, title="queries by their label and that of their nearest profile")
