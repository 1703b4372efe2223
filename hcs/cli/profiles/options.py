"""Options that the commands of `hcs profiles` share, and what they stand for in a table of profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import counted, say
from hcs.errors import InputRejectedError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from hcs.profiling.matrix import ProfileMatrix

IS_FITTED = "Metadata_is_fitted"
"""Where `hcs profiles aggregate` says whether a fit may look at a row."""

In = Annotated[str, typer.Argument(metavar="IN", help="Table of profiles: csv, csv.gz, parquet or h5ad.")]
Out = Annotated[str, typer.Argument(metavar="OUT", help="File to write; the ending decides as for IN.")]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="COLUMN", help="Metadata too, beside Metadata_*; may be repeated."),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option("--features", metavar="REGEX", help="Features are the other columns whose name this finds [all]."),
]
ControlsOption = Annotated[
    str | None,
    typer.Option(
        "--controls", metavar="EXPR", help="Rows to fit on, as \"Metadata_pert_type == 'negcon'\" [all rows]."
    ),
]
FitOnOption = Annotated[
    list[str] | None,
    typer.Option("--fit-on", metavar="COLUMN=VALUE", help="Deprecated: use --controls.", hidden=True),
]


def chosen_rows(
    profiles: ProfileMatrix, controls: str | None, fit_on: Sequence[str] | None
) -> NDArray[np.bool_] | None:
    """Return the rows that `--controls`, or the older `--fit-on`, names; None for all.

    Rows that `hcs profiles aggregate --minimum-cells` marked as not to be fitted on are left out, and it is said.
    """
    if controls is not None and fit_on:
        raise UsageError("--controls and --fit-on say the same in two ways, but both came; leave --fit-on out")
    if controls is not None:
        from hcs.profiling.selection import select_rows

        return _without_unfit(profiles, select_rows(profiles.metadata, controls))
    return _without_unfit(profiles, _fitted(profiles, fit_on) if fit_on else None)


def _without_unfit(profiles: ProfileMatrix, chosen: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    import polars as pl

    if IS_FITTED not in profiles.metadata.columns:
        return chosen
    marked = profiles.metadata[IS_FITTED].cast(pl.String).str.to_lowercase().eq_missing("false").to_numpy()
    unfit = marked if chosen is None else marked & chosen
    if not unfit.any():
        return chosen
    left = ~marked if chosen is None else chosen & ~marked
    if not left.any():
        raise InputRejectedError(
            f"rows to fit on are expected, but {IS_FITTED} is false in all {int(unfit.sum())} of them: they were made "
            "of too few cells; fit on others, or aggregate with a smaller --minimum-cells"
        )
    say(f"{counted(int(unfit.sum()), 'row')} not fitted on, where {IS_FITTED} is false")
    return left


def _fitted(profiles: ProfileMatrix, fit_on: Sequence[str]) -> NDArray[np.bool_]:
    split = [condition.partition("=") for condition in fit_on]
    wrong = [condition for condition, (column, equals, _) in zip(fit_on, split, strict=True) if not (column and equals)]
    if wrong:
        raise UsageError(f"--fit-on is COLUMN=VALUE, such as Metadata_control_type=negcon, but {wrong[0]!r} came")
    same = " or ".join(f"{column} == '{value}'" for column, _, value in split)
    say_deprecated("--fit-on", f'--controls "{same}"')
    return profiles.chosen([(column, value) for column, _, value in split])


def say_deprecated(old: str, new: str) -> None:
    """Say on stderr that an older spelling was used, and what to write instead."""
    say(f"{old} is deprecated and will go: write {new}")


def metadata_column(profiles: ProfileMatrix, name: str, *, option: str | None = None) -> pl.Series:
    """Return a column of metadata.

    Args:
        profiles: The table.
        name: Of the column.
        option: That chooses it, for the message where there is another one by default.

    Raises:
        UsageError: If there is none of this name.
    """
    if name not in profiles.metadata.columns:
        advice = "" if option is None else f"choose another with {option}; "
        raise UsageError(
            f"the table has no metadata column {name}; it has {', '.join(profiles.metadata.columns)}; {advice}name it "
            "with --metadata if it does not begin with Metadata_"
        )
    return profiles.metadata[name]


def listed(names: Sequence[str]) -> str:
    """Return a few names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
