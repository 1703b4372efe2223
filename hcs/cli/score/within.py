"""Tables of several cell lines or time points: each of them is scored by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import say
from hcs.cli.score.reading import filled_column_of
from hcs.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from hcs.profiling.matrix import ProfileMatrix

WithinOption = Annotated[
    list[str] | None,
    typer.Option(
        "--within", metavar="COLUMN", help="Cell lines, or time points: each is scored by itself; repeatable [one]."
    ),
]


@dataclass(frozen=True)
class Stratum:
    """Wells that may be compared, of a table of W."""

    labels: dict[str, str]
    """Column -> what it holds for all of them; empty where the table is one stratum."""
    rows: NDArray[np.bool_]
    """(W,)."""

    def say(self) -> None:
        """Say on stderr which one the next sentences are about."""
        if self.labels:
            said = ", ".join(f"{name} {value}" for name, value in self.labels.items())
            say(f"{said} ({int(self.rows.sum())} rows):")


def strata_of(profiles: ProfileMatrix, within: Sequence[str] | None, *, taken: Sequence[str]) -> list[Stratum]:
    """Return the strata of a table in the order of their labels: all of it where no column is named.

    Args:
        profiles: The table.
        within: Columns whose values make strata.
        taken: Columns of what is printed, which these stand beside.

    Raises:
        UsageError: If there is no such column, or it has the name of a printed one.
        InputRejectedError: If a row has no value.
    """
    import numpy as np

    columns = list(dict.fromkeys(within or ()))
    twice = sorted(set(columns) & set(taken))
    if twice:
        raise UsageError(f"--within expects a column that is not printed anyway, but got {twice[0]}; rename it")
    texts = [filled_column_of(profiles, name) for name in columns]
    if not texts:
        return [Stratum({}, np.ones(len(profiles.values), dtype=np.bool_))]
    keys = list(zip(*texts, strict=True))
    return [
        Stratum(dict(zip(columns, key, strict=True)), np.array([one == key for one in keys], dtype=np.bool_))
        for key in sorted(set(keys))
    ]


def in_front(stratum: Stratum, table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of results with the labels of the stratum in front."""
    import polars as pl

    return table.select(*(pl.lit(value).alias(name) for name, value in stratum.labels.items()), *table.columns)
