"""`hcs compare`: hits gained and lost between two runs, or two profiles of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from hcs.cli.options import CatalogOption, FormatOption, OutputOption, PartsOption, open_existing
from hcs.cli.output import Format, print_table, say

if TYPE_CHECKING:
    from hcs.catalog import HitComparison

READ_COLUMNS = (
    "change", "perturbation", "concentration_micromolar", "dose_step", "control_type", "name", "mechanism",
    "before_q_value", "after_q_value", "before_effect", "after_effect", "before_call", "after_call",
)  # fmt: skip
"""What a terminal has room for; json, csv and files hold every column."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    run: Annotated[str, typer.Argument(help="A run, such as run-2: what is a hit of it alone is gained.")],
    other: Annotated[str, typer.Argument(help="The run that it is held against; the same one with --other-profile.")],
    profile: Annotated[str, typer.Option(help="The profile of the run's calls, or an encoder's name.")] = "combined",
    other_profile: Annotated[
        str | None, typer.Option(help="That of the other run [default: the same as --profile].")
    ] = None,
    q_max: Annotated[float, typer.Option(min=0, max=1, help="Largest q of a hit.")] = 0.05,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List the treatments that are hits of one run, of another, or of both, with what either says of them.

    Example: hcs compare run-2 run-1
    """
    from hcs.catalog import compare_hits

    with open_existing(catalog, parts) as store:
        found = compare_hits(store, run=run, other=other, profile=profile, other_profile=other_profile, q_max=q_max)
    say(_counts(found))
    is_read = output is None and form is Format.TABLE
    print_table(_readable(found.calls) if is_read else found.calls, form=form, output=output)


def _counts(found: HitComparison) -> str:
    sides = f"run-{found.run_id} ({found.profile}) against run-{found.other_id} ({found.other_profile})"
    gained, lost, both = (found.count(change) for change in ("gained", "lost", "both"))
    return f"{sides} at q <= {found.q_max:g}: {gained} hits gained, {lost} lost, {both} on both sides"


def _readable(calls: pl.DataFrame) -> pl.DataFrame:
    shown = calls.select(READ_COLUMNS)
    return shown.select(column for column in shown if column.is_empty() or column.null_count() < len(column))
