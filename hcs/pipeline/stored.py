"""The profiles that finished runs have published."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.catalog import Catalog, RunRecord, plates_of, profiles_of
from hcs.errors import NotFoundError
from hcs.io.storage import join
from hcs.io.tables import read_embedding_table


def read_profile(catalog: Catalog, run: RunRecord, profile: str) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Return the wells that a run has profiles of, with their batch, and these profiles, (W, K).

    Args:
        catalog: Where the run is.
        run: A finished run.
        profile: Name of the profile.

    Raises:
        NotFoundError: If the run has no such profile; it offers those there are.
        StorageError: If the profile is not the file that was registered.
    """
    receipts = {receipt.name: receipt for receipt in profiles_of(catalog, run.id)}
    if profile not in receipts:
        raise NotFoundError(
            f"{run.name} has no profile {profile[:80]!r}; it has {', '.join(receipts) or 'none'}, and "
            f"`hcs status {run.name}` says what happened to it."
        )
    uri = join(catalog.parts_uri, receipts[profile].relative_path)
    keys, vectors = read_embedding_table(uri, expected_sha256=receipts[profile].sha256)
    batches = plates_of(catalog, run.id).select("plate", pl.col("batch").fill_null(""))
    return keys.join(batches, on="plate", how="left", maintain_order="left"), vectors.astype(np.float64)
