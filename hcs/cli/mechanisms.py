"""`hcs mechanisms`: what a run's hits are by mechanism."""

from __future__ import annotations

from typing import Annotated

import polars as pl
import typer

from hcs.cli.options import CatalogOption, FormatOption, OutputOption, PartsOption, RunOption, open_existing
from hcs.cli.output import Format, print_object, print_table, say

SHOWN_MEMBERS = 12
"""Names that a cell on a terminal holds; json, csv and files hold all."""
LARGEST_SEED = 2**32 - 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(mechanisms)


def mechanisms(
    run: RunOption = "latest",
    profile: Annotated[str, typer.Option(help="The profile clustered, or an encoder's name.")] = "combined",
    everything: Annotated[
        bool, typer.Option("--all", help="Cluster every treatment, not the hits of the profile alone.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the embedding and the shuffles.")] = 0,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Cluster the hits and say which mechanism each cluster stands for, beside what shuffled annotations give.

    Example: hcs mechanisms --run latest
    """
    from hcs.catalog import get_run
    from hcs.mechanisms.figures import N_SHUFFLES
    from hcs.pipeline.grouping import group_treatments

    with open_existing(catalog, parts) as store:
        record = get_run(store, run)
        found = group_treatments(store, record, profile=profile, everything=everything, seed=seed)
    for note in found.notes:
        say(note)
    if output is None and form is Format.JSON:
        tables = {name: getattr(found, name).to_dicts() for name in ("clusters", "members", "figures")}
        print_object({**tables, "notes": found.notes})
        return
    is_read = output is None and form is Format.TABLE
    title = f"{record.name}, profile {profile}, {'all treatments' if everything else 'hits'}"
    print_table(_readable(found.clusters) if is_read else found.clusters, form=form, output=output, title=title)
    if is_read:
        shuffles = f"figures, beside the mean of {N_SHUFFLES} shuffles of the annotations"
        print_table(found.figures, form=form, title=shuffles)


def _readable(clusters: pl.DataFrame) -> pl.DataFrame:
    """Return the clusters with as many members as a cell has room for."""
    return clusters.with_columns(
        pl.col("cluster").cast(pl.String).fill_null("noise"),
        pl.col("members").map_elements(_shortened, return_dtype=pl.String),
    )


def _shortened(members: str) -> str:
    from hcs.pipeline.grouping import BETWEEN_NAMES

    names = members.split(BETWEEN_NAMES)
    left = len(names) - SHOWN_MEMBERS
    return members if left <= 0 else BETWEEN_NAMES.join([*names[:SHOWN_MEMBERS], f"and {left} more"])
