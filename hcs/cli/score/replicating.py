"""`hcs score replicating`: groups whose profiles correlate more than random ones."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.options import FormatOption, OutputOption
from hcs.cli.output import Format, counted, print_table, say
from hcs.cli.profiles.options import FeaturesOption, In, MetadataOption
from hcs.cli.score.reading import SeedOption, column_of, read_scored, say_spellings


class Null(StrEnum):
    """What a group is held against."""

    GROUPS = "groups"
    COPAIRS = "copairs"


def replicating(
    source: In,
    by: Annotated[list[str], typer.Option("--by", metavar="COLUMN", help="What a group shares; may be repeated.")],
    different: Annotated[
        list[str] | None,
        typer.Option("--different", metavar="COLUMN", help="In which the rows of a pair differ; may be repeated."),
    ] = None,
    null: Annotated[
        Null, typer.Option("--null", help="Random groups of the same make, or random pairs as in copairs.")
    ] = Null.GROUPS,
    seed: SeedOption = 0,
    features: FeaturesOption = None,
    metadata: MetadataOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Score percent replicating, or by mechanism among other compounds percent matching.

    Example: hcs score replicating wells.parquet --by Metadata_compound --different Metadata_Well
    """
    from hcs.hits.replicating import replicating as score

    profiles = read_scored(source, metadata=metadata, features=features)
    for column in by:
        say_spellings(column_of(profiles, column), column)
    for column in different or ():
        column_of(profiles, column)
    found = score(
        profiles.values,
        profiles.metadata,
        by=by,
        different=different or (),
        like_copairs=null is Null.COPAIRS,
        seed=seed,
    )
    unjudged = found.groups.filter(found.groups["is_replicating"].is_null())
    if unjudged.height:
        say(
            f"{counted(unjudged.height, 'group')} not judged: without a pair, or with so few other groups that no "
            "random group of its make can be had"
        )
    if found.share is None:
        say("no group could be judged")
    else:
        n_above = int(found.groups["is_replicating"].sum())
        say(f"{100 * found.share:.1f} % replicate: {n_above} of {found.n_judged} groups are above their threshold")
    print_table(found.groups, form=form, output=output)
