"""What the commands of `hcs score` read: a table of profiles, its columns, and which rows are controls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import say
from hcs.errors import InputRejectedError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hcs.profiling.matrix import ProfileMatrix

LARGEST_SEED = 2**32 - 1
_CONDITION = re.compile(
    r"""^\s*(?P<column>[^=]+?)\s*(?:==\s*(?P<quote>['"])(?P<quoted>.*)(?P=quote)|=\s*(?P<bare>[^=].*))\s*$"""
)

In = Annotated[str, typer.Argument(metavar="IN", help="Table of profiles: csv, csv.gz or parquet.")]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="COLUMN", help="Metadata too, beside Metadata_*; may be repeated."),
]
FeaturesOption = Annotated[
    str | None, typer.Option("--features", metavar="REGEX", help="Only features whose name it is found in.")
]
ControlsOption = Annotated[
    str,
    typer.Option(
        "--controls", metavar="EXPR", help="Negative controls, as \"Metadata_pert_type == 'negcon'\" or COLUMN=VALUE."
    ),
]
PerturbationOption = Annotated[str, typer.Option("--perturbation", metavar="COLUMN", help="What replicates share.")]
PlateOption = Annotated[str, typer.Option("--plate", metavar="COLUMN", help="Which plate a well is on.")]
WellOption = Annotated[str, typer.Option("--well", metavar="COLUMN", help="Names of wells.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of everything that is drawn.")]
QMaxOption = Annotated[float, typer.Option("--q-max", min=0, max=1, help="Largest false discovery rate of a call.")]


def read_profiles(source: str, *, metadata: Sequence[str] | None, features: str | None) -> ProfileMatrix:
    """Return a table of profiles, with the features whose names are asked for.

    Raises:
        UsageError: If the expression is none, or no feature's name matches.
        InputRejectedError: If a value is missing or infinite.
    """
    import numpy as np

    from hcs.io.tables import read_table
    from hcs.profiling.matrix import ProfileMatrix, profile_matrix

    read = profile_matrix(read_table(source), metadata=metadata or ())
    if features is not None:
        kept = _matching(read.features, features)
        read = ProfileMatrix(
            read.metadata,
            np.ascontiguousarray(read.values[:, kept]),
            tuple(name for name, is_kept in zip(read.features, kept, strict=True) if is_kept),
        )
    lacking = ~np.isfinite(read.values)
    if lacking.any():
        feature = int(lacking.any(axis=0).argmax())
        raise InputRejectedError(
            f"every value of a profile must be finite, but {read.features[feature]} is missing or infinite in "
            f"{int(lacking[:, feature].sum())} of {len(read.values)} rows ({int(lacking.any(axis=0).sum())} features "
            "like it); `hcs profiles select --step drop_na --missing 0` leaves such features out, and --features "
            "chooses others"
        )
    return read


def _matching(names: Sequence[str], expression: str) -> list[bool]:
    try:
        found = [re.search(expression, name) is not None for name in names]
    except re.error as error:
        raise UsageError(f"--features is a regular expression, but {expression!r} is none: {error}") from error
    if not any(found):
        raise UsageError(f"--features {expression!r} matches none of {len(names)} features, such as {names[0]}")
    return found


def column_of(profiles: ProfileMatrix, name: str) -> list[str]:
    """Return a column of metadata as texts; a missing value is an empty one.

    Raises:
        UsageError: If there is no such column.
    """
    import polars as pl

    if name not in profiles.metadata.columns:
        raise UsageError(
            f"the table has no metadata column {name}; it has {', '.join(profiles.metadata.columns)}; name it with "
            "--metadata if it does not begin with Metadata_"
        )
    return profiles.metadata[name].cast(pl.String).fill_null("").to_list()


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
    """Return which rows are controls.

    Raises:
        UsageError: If the expression is none, or names a column that is not there.
        InputRejectedError: If no row is a control.
    """
    found = _CONDITION.match(expression)
    if found is None:
        raise UsageError(
            f"controls are named as \"COLUMN == 'VALUE'\" or COLUMN=VALUE, such as Metadata_pert_type=negcon, but "
            f"{expression!r} came"
        )
    value = found["quoted"] if found["quoted"] is not None else found["bare"].strip()
    return profiles.chosen([(found["column"].strip(), value)])


def say_left_out(number: int, noun: str, why: str) -> None:
    """Say on stderr how many of something took no part, if any."""
    if number:
        say(f"{number} {noun} took no part: {why}")
