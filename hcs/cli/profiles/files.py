"""Tables of profiles, from a file and into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hcs.cli.output import counted, say
from hcs.errors import InputRejectedError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from hcs.profiling.matrix import ProfileMatrix


def read_profiles(source: str, *, metadata: Sequence[str] | None, features: str | None) -> ProfileMatrix:
    """Return the profiles of a file; what `--features` leaves out is said on stderr."""
    from hcs.io.h5ad import is_h5ad, read_h5ad
    from hcs.io.tables import read_table
    from hcs.profiling.matrix import profile_matrix

    table = read_h5ad(source) if is_h5ad(source) else read_table(source)
    made = profile_matrix(table, metadata=metadata or (), features=features)
    n_left_out = table.width - made.metadata.width - len(made.features)
    if n_left_out:
        why = "that number rows" if features is None else "in whose name --features finds nothing"
        say(f"{counted(n_left_out, 'column')} left out, {why}")
    return made


def read_finite_profiles(source: str, *, metadata: Sequence[str] | None, features: str | None) -> ProfileMatrix:
    """Return the profiles of a file, none of whose values is missing.

    Raises:
        InputRejectedError: If a value is missing or infinite.
    """
    import numpy as np

    from hcs.statistics.finite import not_finite

    profiles = read_profiles(source, metadata=metadata, features=features)
    lacking = not_finite(profiles.values)
    if len(lacking):
        is_bad = ~np.isfinite(profiles.values)
        empty = np.flatnonzero(is_bad.all(axis=1))
        if len(empty) and not is_bad[~is_bad.all(axis=1)].any():
            raise InputRejectedError(
                f"every value of a profile must be finite, but {counted(len(empty), 'row')} of {len(profiles.values)} "
                f"hold none, the first is row {empty[0] + 1}: nothing was measured there; take them out of the table"
            )
        n_missing = int(is_bad[:, lacking[0]].sum())
        raise InputRejectedError(
            f"every value of a profile must be finite, but {profiles.features[lacking[0]]} is missing or infinite in "
            f"{n_missing} of {counted(len(profiles.values), 'row')} ({counted(len(lacking), 'feature')} in all); "
            "`hcs profiles select --operation drop_na_columns --missing 0` leaves such features out, and "
            "--features chooses others"
        )
    return profiles


def write_profiles(metadata: pl.DataFrame, values: NDArray[np.floating], features: Sequence[str], target: str) -> None:
    """Write profiles where the ending of a file says how."""
    from hcs.io.h5ad import is_h5ad, write_h5ad
    from hcs.io.tables import write_table
    from hcs.profiling.matrix import ProfileMatrix

    if is_h5ad(target):
        write_h5ad(metadata, values, features, target)
        return
    write_table(ProfileMatrix(metadata, values, tuple(features)).table(), target)


def kept_names(features: Sequence[str], kept: NDArray[np.bool_]) -> list[str]:
    """Return the features that are kept."""
    return [name for name, is_kept in zip(features, kept, strict=True) if is_kept]
