"""What a run knows of its wells beside their profiles, for what else could explain a hit."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hcs.hits.explain_hit import ScaledProfiles, WellFacts
from hcs.hits.fluorescence import channels_of_embeddings
from hcs.profiling.profiles import COMBINED, Profiles


def facts_of_wells(profiles: Profiles, name: str, wells: pl.DataFrame, *, channels: Sequence[str]) -> WellFacts:
    """Return the quality flags of the wells, and a profile before whitening with the channels of its columns.

    Args:
        profiles: Of the wells.
        name: Which profile: an encoder, or `combined`.
        wells: `is_flagged` where images were judged; rows as in the profiles.
        channels: Names in the order of an embedding's channels; none where they are not known.
    """
    encoders = profiles.combined if name == COMBINED else (name,)
    flags = None
    if "is_flagged" in wells.columns:
        flags = wells["is_flagged"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if not channels:
        return WellFacts(flags=flags)
    parts = [profiles.normalized[encoder] for encoder in encoders]
    columns = channels_of_embeddings([part.kept for part in parts], channels)
    return WellFacts(flags=flags, scaled=ScaledProfiles(tuple(part.values for part in parts), columns))
