"""What a correction is given, and what it says of itself beside the profiles that it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Design:
    """What is known of W wells beside their profiles. Numbers stand for names, 0, 1, ... in order of appearance."""

    plates: NDArray[np.intp]
    """(W,)."""
    batches: NDArray[np.intp]
    """(W,); all 0 where no batch is named."""
    perturbations: NDArray[np.intp]
    """(W,), whatever the dose; -1 where no perturbation is named."""
    is_negcon: NDArray[np.bool_]
    """(W,), negative controls."""
    is_fitted: NDArray[np.bool_]
    """(W,), which negative controls corrections that fit on controls may look at: all, or one half of each plate's."""
    rows: NDArray[np.intp] | None = None
    """(W,), 0 is row A; None where wells have no position."""
    columns: NDArray[np.intp] | None = None
    """(W,), 0 is column 01."""
    cell_counts: NDArray[np.float64] | None = None
    """(W,), NaN where nothing was counted."""

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Return the negative controls that no fit on controls looks at, (W,)."""
        return np.asarray(self.is_negcon & ~self.is_fitted)


@dataclass(frozen=True)
class Corrected:
    """Corrected profiles and what they were fitted on."""

    values: NDArray[np.floating]
    """(W, D'), rows as they came; D' may be smaller where a correction reduces."""
    fitted_on: str
    """Of a sentence: `all 1,536 wells without their labels`, `half of the negative controls, 128 wells`."""
    n_fitted: int
    notes: tuple[str, ...] = ()
    """What a person must know: a plate or batch that could not be corrected, a shrunk covariance."""


Correction = Callable[[NDArray[np.floating], Design], Corrected]
"""(W, D) finite profiles and their wells to corrected ones. Raises InputRejectedError, with the reason, where it cannot
be applied at all; never returns a NaN."""
