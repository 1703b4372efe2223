"""Options that the commands of `hcs score` share, and what they stand for in a table of profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import say
from hcs.cli.profiles.options import metadata_column
from hcs.errors import InputRejectedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hcs.profiling.matrix import ProfileMatrix

LARGEST_SEED = 2**32 - 1
ControlsOption = Annotated[
    str, typer.Option("--controls", metavar="EXPR", help="Negative controls, as \"Metadata_pert_type == 'negcon'\".")
]
PerturbationOption = Annotated[str, typer.Option("--perturbation", metavar="COLUMN", help="What replicates share.")]
PlateOption = Annotated[str, typer.Option("--plate", metavar="COLUMN", help="Which plate a well is on.")]
WellOption = Annotated[str, typer.Option("--well", metavar="COLUMN", help="Names of wells.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of everything that is drawn.")]
QMaxOption = Annotated[float, typer.Option("--q-max", min=0, max=1, help="Largest false discovery rate of a call.")]


def column_of(profiles: ProfileMatrix, name: str) -> list[str]:
    """Return a column of metadata as texts; a missing value is an empty one.

    Raises:
        UsageError: If there is no such column.
    """
    import polars as pl

    return metadata_column(profiles, name).cast(pl.String).fill_null("").to_list()


def filled_column_of(profiles: ProfileMatrix, name: str, *, where: NDArray[np.bool_] | None = None) -> list[str]:
    """Return a column of metadata as texts, each of which must be there.

    Args:
        profiles: The table.
        name: The column.
        where: (N,), rows that need a value; None: all.

    Raises:
        InputRejectedError: If a value is missing.
    """
    values = column_of(profiles, name)
    lacking = [row for row, value in enumerate(values) if not value.strip() and (where is None or where[row])]
    if lacking:
        raise InputRejectedError(
            f"every row needs a {name}, but row {lacking[0] + 1} has none ({len(lacking)} rows like it); fill it in "
            "or leave these rows out"
        )
    return values


def controls_of(profiles: ProfileMatrix, expression: str) -> NDArray[np.bool_]:
    """Return which rows a selection such as `Metadata_pert_type == 'negcon'` means.

    Raises:
        UsageError: If it is not a selection, or names a column that is not there.
        InputRejectedError: If no row is a control.
    """
    from hcs.profiling.selection import select_rows

    return select_rows(profiles.metadata, expression)


def say_left_out(number: int, noun: str, why: str) -> None:
    """Say on stderr how many of something took no part, if any."""
    if number:
        say(f"{number} {noun} took no part: {why}")
