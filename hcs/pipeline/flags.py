"""Which sites look unlike the rest of their plate: out of focus, or saturated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from hcs.catalog import Catalog, focus_rows, plates_of, stored_flags
from hcs.statistics.robust import median_and_mad

FLAG_Z = 5.0
"""Robust z beyond which a site is flagged (methods: flag relative to the plate and channel, never globally)."""
SATURATED_FRACTION = 0.01
"""A saturation outlier is only flagged when at least this share of its pixels is at the top of the range."""

NO_FLAGS = pl.DataFrame(schema={"plate": pl.String, "well": pl.String, "site": pl.Int32, "flags": pl.String})


def flag_sites(channels: pl.DataFrame) -> pl.DataFrame:
    """Return the flags of every measured site.

    Args:
        channels: Rows of `schemas.tables.ChannelQuality`.

    Returns:
        One row a site, sorted: plate, well, site, flags (`blurred:DNA|saturated:AGP`, empty where nothing is wrong).
    """
    keys = ["plate", "well", "site"]
    if channels.is_empty():
        return channels.select(keys).with_columns(flags=pl.lit("", dtype=pl.String))
    sites = channels.select(keys).unique().sort(keys)
    wrong = [flagged for group in channels.partition_by(["plate", "channel"]) for flagged in _wrong_in(group)]
    if not wrong:
        return sites.with_columns(flags=pl.lit(""))
    told = (
        pl.concat(wrong)
        .sort(*keys, "channel", "flag")
        .group_by(keys, maintain_order=True)
        .agg(pl.col("flag").str.join("|").alias("flags"))
    )
    return sites.join(told, on=keys, how="left", maintain_order="left").with_columns(pl.col("flags").fill_null(""))


def flagged_on_plate(catalog: Catalog, run_id: int, plate: str) -> pl.DataFrame:
    """Return plate, well, site and flags of the sites of a plate that look wrong, as published or, before, as they are.

    Flags need the sites of one plate alone.
    """
    stored = stored_flags(catalog, run_id, plate)
    return look_at_plate(catalog, run_id, plate) if stored is None else stored


def flagged_in_run(catalog: Catalog, run_id: int) -> pl.DataFrame:
    """Return plate, well, site and flags of every site of a run that looks wrong, looked at plate by plate."""
    plates = plates_of(catalog, run_id)["plate"].sort()
    return pl.concat([NO_FLAGS, *(look_at_plate(catalog, run_id, plate) for plate in plates)])


def look_at_plate(catalog: Catalog, run_id: int, plate: str) -> pl.DataFrame:
    """Return plate, well, site and flags of the sites of a plate that look wrong, from what was measured of them."""
    return flag_sites(focus_rows(catalog, run_id, plate)).filter(pl.col("flags") != "")


def _wrong_in(group: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield plate, well, site, channel and flag of the sites of one plate and channel that look wrong; often none."""
    saturation = group["saturation_fraction"].to_numpy()
    wrong = {
        "blurred": _robust_z(group["power_loglog_slope"]) < -FLAG_Z,
        "saturated": (saturation >= SATURATED_FRACTION) & (_robust_z(group["saturation_fraction"]) > FLAG_Z),
    }
    for flag, where in wrong.items():
        if where.any():
            sites = group.select("plate", "well", "site", "channel").filter(pl.Series(where))
            yield sites.with_columns(flag=pl.lit(f"{flag}:") + pl.col("channel"))


def _robust_z(values: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return robust z; where most sites agree exactly, any other value is infinitely far. Null gives 0."""
    numbers = values.cast(pl.Float64).to_numpy()
    known = np.isfinite(numbers)
    z = np.zeros(len(numbers))
    if not known.any():
        return z
    median, scale = median_and_mad(numbers[known, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        z[known] = np.nan_to_num((numbers[known] - median[0]) / scale[0], nan=0.0, posinf=np.inf, neginf=-np.inf)
    return z
