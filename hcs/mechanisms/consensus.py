"""One profile a treatment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.treatments import with_treatment_keys

Operation = Literal["median", "mean"]


@dataclass(frozen=True)
class Consensus:
    """Treatments and their profiles."""

    treatments: pl.DataFrame
    """`treatment, perturbation`, sorted by `treatment`, a key of `schemas.treatments`."""
    profiles: NDArray[np.float64]
    """(T, D), in the order of `treatments`."""

    @property
    def perturbation_numbers(self) -> NDArray[np.intp]:
        """(T,), one number a perturbation, whatever its dose, in order of the names."""
        return (self.treatments["perturbation"].rank("dense") - 1).to_numpy().astype(np.intp)


def consensus_profiles(
    profiles: NDArray[np.float64], wells: pl.DataFrame, *, operation: Operation = "median"
) -> Consensus:
    """Return the median or mean profile over the wells of every treatment.

    Treatments and positive controls have one, a compound that is both has one for both together; negative controls and
    empty wells have none.

    Args:
        profiles: (N, D), one row a well, in the order of `wells`.
        wells: `perturbation, concentration_micromolar, dose_step, control_type`.
        operation: A median is not moved by one aberrant replicate out of three.
    """
    groups = (
        with_treatment_keys(wells.with_row_index("row"))
        .filter(pl.col("control_type").cast(pl.String).is_in(["treatment", "poscon"]))
        .group_by("treatment")
        .agg(pl.col("perturbation").first(), pl.col("row"))
        .sort("treatment")
    )
    matrix = np.zeros((groups.height, profiles.shape[1]))
    for row, members in enumerate(groups["row"]):
        # Sorted values are added in one order, whatever the order of the wells.
        values = np.sort(np.asarray(profiles[members.to_numpy()], dtype=np.float64), axis=0)
        matrix[row] = np.median(values, axis=0) if operation == "median" else values.mean(axis=0)
    return Consensus(groups.select("treatment", "perturbation"), matrix)
