"""Options that the commands of `hcs score` share, and what they stand for in a table of profiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import counted, say
from hcs.cli.profiles.files import read_finite_profiles
from hcs.cli.profiles.options import metadata_column
from hcs.errors import InputRejectedError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hcs.profiling.matrix import ProfileMatrix

LARGEST_SEED = 2**32 - 1
LARGEST_VALUE = 1e15
"""Of a feature: nothing that is measured in an image is so large, and squares of it can still be added up."""
_ENOUGH_FEATURES = 8
"""Rows that agree in so many are copies."""
ControlsOption = Annotated[
    str, typer.Option("--controls", metavar="EXPR", help="Negative controls, as \"Metadata_pert_type == 'negcon'\".")
]
PerturbationOption = Annotated[str, typer.Option("--perturbation", metavar="COLUMN", help="What replicates share.")]
PlateOption = Annotated[str, typer.Option("--plate", metavar="COLUMN", help="Which plate a well is on.")]
WellOption = Annotated[str, typer.Option("--well", metavar="COLUMN", help="Names of wells.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of everything that is drawn.")]
QMaxOption = Annotated[float, typer.Option("--q-max", min=0, max=1, help="Largest false discovery rate of a call.")]


def read_scored(source: str, *, metadata: Sequence[str] | None, features: str | None) -> ProfileMatrix:
    """Return the profiles of a file as scores take them, and say on stderr what they are.

    Raises:
        InputRejectedError: If a value is missing, infinite or larger than anything measured, or no feature varies.
    """
    profiles = read_finite_profiles(source, metadata=metadata, features=features)
    least, most = profiles.values.min(axis=0), profiles.values.max(axis=0)
    huge = [
        name for name, low, high in zip(profiles.features, least, most, strict=True) if max(-low, high) > LARGEST_VALUE
    ]
    if huge:
        raise InputRejectedError(
            f"values of features are expected to be at most {LARGEST_VALUE:g}, but {huge[0]} has larger ones "
            f"({counted(len(huge), 'feature')} like it); leave them out by --features"
        )
    if len(profiles.values) > 1 and (least == most).all():
        raise InputRejectedError(
            f"profiles that differ are expected, but all {len(profiles.values)} rows hold the same in each of "
            f"{counted(len(profiles.features), 'feature')}"
        )
    ends = f", {profiles.features[0]} to {profiles.features[-1]}" if len(profiles.features) > 1 else ""
    say(f"{counted(len(profiles.values), 'profile')} of {counted(len(profiles.features), 'feature')}{ends}")
    _say_copies(profiles)
    return profiles


def _say_copies(profiles: ProfileMatrix) -> None:
    from hcs.statistics.content import copied_rows

    if len(profiles.features) < _ENOUGH_FEATURES:
        return
    copied = copied_rows(profiles.values)
    if len(copied):
        say(
            f"warning: {counted(len(copied), 'row')} with exactly the features of an earlier one, first row "
            f"{copied[0] + 1}; copies find one another whatever was done to them"
        )


def say_spellings(names: Iterable[str], column: str) -> None:
    """Say on stderr where names differ in nothing but case and spaces, and so are taken for different ones."""
    spellings: dict[str, set[str]] = {}
    for name in set(names):
        spellings.setdefault(" ".join(name.casefold().split()), set()).add(name)
    several = [sorted(found) for found in spellings.values() if len(found) > 1]
    if several:
        first = min(several)
        say(
            f"warning: {' and '.join(map(repr, first))} of {column} differ in case or spaces alone and are taken for "
            f"different ones ({counted(len(several), 'name')} like this)"
        )


def column_of(profiles: ProfileMatrix, name: str, *, option: str | None = None) -> list[str]:
    """Return a column of metadata as texts; a missing value is an empty one.

    Args:
        profiles: The table.
        name: The column.
        option: That chooses it, where it has a default.

    Raises:
        UsageError: If there is no such column.
    """
    import polars as pl

    return metadata_column(profiles, name, option=option).cast(pl.String).fill_null("").to_list()


def named_wells(
    profiles: ProfileMatrix, perturbation: str, is_control: NDArray[np.bool_]
) -> tuple[ProfileMatrix, NDArray[np.bool_]]:
    """Return the rows that are controls or name a perturbation, and which of these are controls.

    How many others there are is said on stderr.
    """
    import numpy as np

    names = column_of(profiles, perturbation)
    is_used = np.array([bool(name.strip()) for name in names], dtype=np.bool_) | is_control
    say_unnamed(int((~is_used).sum()), perturbation)
    say_spellings((name for name, control in zip(names, is_control, strict=True) if not control), perturbation)
    return profiles.rows(is_used), is_control[is_used]


def say_unnamed(number: int, perturbation: str) -> None:
    """Say on stderr how many rows are left out since they are no controls and nobody knows what was done to them."""
    if number:
        say(f"{counted(number, 'row')} left out, which are no controls and name no {perturbation}")


def filled_column_of(
    profiles: ProfileMatrix, name: str, *, where: NDArray[np.bool_] | None = None, option: str | None = None
) -> list[str]:
    """Return a column of metadata as texts, each of which must be there.

    Args:
        profiles: The table.
        name: The column.
        where: (N,), rows that need a value; None: all.
        option: That chooses it, where it has a default.

    Raises:
        InputRejectedError: If a value is missing.
    """
    values = column_of(profiles, name, option=option)
    lacking = [row for row, value in enumerate(values) if not value.strip() and (where is None or where[row])]
    if lacking:
        raise InputRejectedError(
            f"every row needs a {name}, but row {lacking[0] + 1} has none ({counted(len(lacking), 'row')} like it); "
            "fill it in or leave these rows out"
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
    """Say on stderr how many of something (`row`) took no part, if any."""
    if number:
        say(f"{counted(number, noun)} took no part: {why}")


def refuse_same_file(output: str | None, option: str, other: str | None) -> None:
    """Refuse two tables that would be written over one another.

    Raises:
        UsageError: If both are one file.
    """
    if output is not None and other is not None and Path(output).resolve() == Path(other).resolve():
        raise UsageError(f"--output and {option} are two tables, but both name {output}; the second would be lost")
