"""What a person wants to know of one plate of a finished run: controls, their separation, and what looks wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.catalog import Catalog, RunRecord, profiles_of
from hcs.io.storage import join
from hcs.io.tables import read_embedding_table
from hcs.pipeline.wells import count_plate
from hcs.statistics.robust import median_and_mad

NEGCON, POSCON = "negcon", "poscon"


@dataclass(frozen=True)
class PlateView:
    """One plate of a run. Values that cannot be told are None, and `notes` says why."""

    plate: str
    wells: dict[str, int]
    sites: int
    sites_failed: int
    sites_flagged: int
    median_negcon_cells: float | None
    robust_z_prime: float | None
    flagged: pl.DataFrame
    notes: tuple[str, ...]


def view_plate(catalog: Catalog, run: RunRecord, plate: str, *, profile: str = "combined") -> PlateView:
    """Return the view of a plate.

    Raises:
        NotFoundError: If the run has no such plate.
    """
    counts = count_plate(catalog, run, plate)
    z_prime, notes = _separation(catalog, run, plate, profile)
    return PlateView(
        plate=plate,
        wells=counts.wells,
        sites=counts.sites,
        sites_failed=counts.sites_failed,
        sites_flagged=counts.flagged.height,
        median_negcon_cells=counts.median_negcon_cells,
        robust_z_prime=z_prime,
        flagged=counts.flagged,
        notes=notes,
    )


def _separation(catalog: Catalog, run: RunRecord, plate: str, profile: str) -> tuple[float | None, tuple[str, ...]]:
    """Return the robust Z' of a plate along the axis from negative to positive controls of the other plates."""
    receipts = {receipt.name: receipt for receipt in profiles_of(catalog, run.id)}
    if profile not in receipts:
        return None, (f"no robust Z': the run has no profile {profile}",)
    uri = join(catalog.parts_uri, receipts[profile].relative_path)
    wells, vectors = read_embedding_table(uri, expected_sha256=receipts[profile].sha256)
    matrix = vectors.astype(np.float64)
    here = (wells["plate"] == plate).to_numpy()
    kind = wells["control_type"].cast(pl.String).to_numpy()
    outside = {name: matrix[~here & (kind == name)] for name in (NEGCON, POSCON)}
    inside = {name: matrix[here & (kind == name)] for name in (NEGCON, POSCON)}
    if not all(map(len, outside.values())):
        return None, ("no robust Z': its axis is taken from the controls of other plates, and there are none",)
    axis = np.median(outside[POSCON], axis=0) - np.median(outside[NEGCON], axis=0)
    if min(map(len, inside.values())) < 2 or not axis.any():
        return None, ("no robust Z': it needs at least two negative and two positive controls on the plate",)
    return robust_z_prime(inside[NEGCON] @ axis, inside[POSCON] @ axis), ()


def robust_z_prime(negative: NDArray[np.float64], positive: NDArray[np.float64]) -> float | None:
    """Return 1 - 3 (s_p + s_n) / |m_p - m_n| with medians m and scaled MADs s; None if the medians are equal.

    Source: Zhang et al. 1999, J Biomol Screen 4:67, in its robust form. 1 is perfect, below 0 the two overlap.
    """
    (m_n,), (s_n,) = median_and_mad(negative[:, None])
    (m_p,), (s_p,) = median_and_mad(positive[:, None])
    return None if m_p == m_n else float(1 - 3 * (s_p + s_n) / abs(m_p - m_n))
