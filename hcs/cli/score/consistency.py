"""`hcs score consistency`: labels whose profiles find one another."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.options import FormatOption, OutputOption
from hcs.cli.output import Format, print_table
from hcs.cli.profiles.options import FeaturesOption, In, MetadataOption
from hcs.cli.score.reading import (
    QMaxOption,
    SeedOption,
    column_of,
    read_scored,
    refuse_same_file,
    say_left_out,
    say_spellings,
)


class Null(StrEnum):
    """What the p-value of a label is held against."""

    LABELS = "labels"
    COPAIRS = "copairs"


def consistency(
    source: In,
    label: Annotated[str, typer.Option("--label", metavar="COLUMN", help="What profiles may have in common.")],
    multilabel: Annotated[
        str | None, typer.Option("--multilabel", metavar="TEXT", help='Stands between several labels, as "|".')
    ] = None,
    perturbation: Annotated[
        str | None,
        typer.Option("--perturbation", metavar="COLUMN", help="Rows that share it are not each other's positives."),
    ] = None,
    null: Annotated[
        Null, typer.Option("--null", help="Labels dealt anew, or random ranks as in copairs.")
    ] = Null.LABELS,
    each: Annotated[
        str | None, typer.Option("--each", metavar="FILE", help="Write the precision of every profile and label too.")
    ] = None,
    q_max: QMaxOption = 0.05,
    seed: SeedOption = 0,
    features: FeaturesOption = None,
    metadata: MetadataOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Say which labels, such as mechanisms, have profiles that find one another among all others.

    Example: hcs score consistency treatments.parquet --label Metadata_moa --multilabel "|"
    """
    from hcs.hits.retrieval import consistency as score
    from hcs.hits.retrieval import split_labels
    from hcs.io.tables import write_table

    refuse_same_file(output, "--each", each)
    profiles = read_scored(source, metadata=metadata, features=features)
    labels = split_labels(column_of(profiles, label), between=multilabel)
    say_spellings((name for names in labels for name in names), label)
    found = score(
        profiles.values,
        labels,
        perturbations=None if perturbation is None else column_of(profiles, perturbation),
        null="labels" if null is Null.LABELS else "copairs",
        q_max=q_max,
        seed=seed,
    )
    say_left_out(found.n_without_label, "profile", f"{label} says nothing of them")
    unscored = int(found.labels["mean_average_precision"].is_null().sum())
    say_left_out(unscored, "label", "there are no two profiles that could find each other, or none of another label")
    if each is not None:
        write_table(found.profiles, each)
    shown = found.labels.sort("p_value", "label", nulls_last=True) if form is Format.TABLE and output is None else None
    print_table(found.labels if shown is None else shown, form=form, output=output)
