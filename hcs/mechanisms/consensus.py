"""One profile a treatment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.statistics.consensus import Operation, consensus
from schemas.treatments import with_treatment_keys


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
    called = with_treatment_keys(wells.with_row_index("row")).filter(
        pl.col("control_type").cast(pl.String).is_in(["treatment", "poscon"])
    )
    names, matrix = consensus(profiles[called["row"].to_numpy()], called["treatment"].to_list(), operation=operation)
    perturbation_of = called.select("treatment", "perturbation").unique("treatment", keep="any")
    treatments = pl.DataFrame({"treatment": names}, schema={"treatment": pl.String})
    return Consensus(treatments.join(perturbation_of, on="treatment", how="left", maintain_order="left"), matrix)
