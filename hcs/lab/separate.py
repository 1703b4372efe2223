"""How far the positive controls of a finished run lie from its negative ones, by every profile."""

from __future__ import annotations

import numpy as np
import polars as pl

from hcs.catalog import Catalog, RunRecord, profiles_of
from hcs.errors import InputRejectedError
from hcs.pipeline.stored import read_profile
from hcs.statistics.separation import Separation, separations


def separate_controls(catalog: Catalog, run: RunRecord, *, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return d' between positive and negative controls of every profile, and its differences between profiles.

    Args:
        catalog: Where the run is.
        run: A finished one with positive controls.
        seed: Of the resampling of wells that gives the intervals.

    Returns:
        `profile, d_prime, low, high, n_positive, n_negative`, and `profile, minus, difference, low, high`.

    Raises:
        InputRejectedError: If there are no profiles, or fewer than 3 wells of either kind.
        StorageError: If a profile is not the file that was registered.
    """
    names = sorted(receipt.name for receipt in profiles_of(catalog, run.id))
    if not names:
        raise InputRejectedError(
            f"a run with profiles was expected, but {run.name} has none; see `hcs status {run.name}`"
        )
    profiles, is_positive = {}, np.zeros(0, dtype=np.bool_)
    for name in names:
        wells, matrix = read_profile(catalog, run, name)
        kinds = wells["control_type"].cast(pl.String)
        is_control = kinds.is_in(["negcon", "poscon"]).to_numpy()
        profiles[name] = matrix[is_control]
        is_positive = (kinds == "poscon").to_numpy()[is_control]
    single, pairs = separations(profiles, is_positive=is_positive, seed=seed)
    counts = {"n_positive": int(is_positive.sum()), "n_negative": int((~is_positive).sum())}
    return (
        pl.DataFrame([{"profile": name, **_named(item, "d_prime"), **counts} for name, item in single.items()]),
        pl.DataFrame([{"profile": of, "minus": to, **_named(item, "difference")} for (of, to), item in pairs.items()]),
    )


def _named(item: Separation, name: str) -> dict[str, float]:
    return {name: item.value, "low": item.low, "high": item.high}
