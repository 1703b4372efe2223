"""Tables of profiles that were made apart, as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import polars as pl

from hcs.errors import InputRejectedError
from hcs.profiling.matrix import ProfileMatrix


def join_profiles(parts: Sequence[ProfileMatrix]) -> ProfileMatrix:
    """Return the rows of all tables, one after the other, with the features that all of them have.

    Metadata that a table lacks are null in its rows; what tables hold in different types becomes text.

    Args:
        parts: At least one.

    Raises:
        InputRejectedError: If they have no feature in common.
    """
    common = reduce(lambda left, right: left & right, (set(part.features) for part in parts))
    features = tuple(name for name in parts[0].features if name in common)
    if not features:
        raise InputRejectedError(
            f"{len(parts)} tables with features in common are expected, but no feature is in all of them; the first "
            f"begins with {', '.join(parts[0].features[:3])}, the last with {', '.join(parts[-1].features[:3])}"
        )
    values = [np.ascontiguousarray(part.values[:, [part.features.index(name) for name in features]]) for part in parts]
    return ProfileMatrix(_joined([part.metadata for part in parts]), np.concatenate(values), features)


def _joined(metadata: Sequence[pl.DataFrame]) -> pl.DataFrame:
    names = list(dict.fromkeys(name for table in metadata for name in table.columns))
    types = {name: {table.schema[name] for table in metadata if name in table.columns} for name in names}
    return pl.concat(
        [
            table.with_columns(pl.col([n for n in table.columns if len(types[n]) > 1]).cast(pl.String))
            for table in metadata
        ],
        how="diagonal",
    )


def without_missing(profiles: ProfileMatrix) -> tuple[ProfileMatrix, list[str]]:
    """Return the profiles without the features that are missing somewhere, and the names of these.

    Raises:
        InputRejectedError: If that leaves none.
    """
    is_there = ~np.isnan(profiles.values).any(axis=0)
    gone = [name for name, there in zip(profiles.features, is_there, strict=True) if not there]
    if not gone:
        return profiles, gone
    if not is_there.any():
        raise InputRejectedError(
            f"features without missing values are expected, but all {len(gone)} have some; take wells that were not "
            "measured out, or impute"
        )
    kept = tuple(name for name in profiles.features if name not in set(gone))
    return ProfileMatrix(profiles.metadata, np.ascontiguousarray(profiles.values[:, is_there]), kept), gone
