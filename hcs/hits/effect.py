"""How strong a treatment is, beside how sure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_VALUES_AT_ONCE = 60_000
"""Of replicates: half a megabyte, which a core has near."""


@dataclass(frozen=True)
class Deviation:
    """How far replicates lie from the controls of their plates, and how far controls would."""

    squared_length: float
    """Of the sum over plates of a (mean replicate - mean control), with the plates' weights a."""
    weight: float
    """Sum of a = r n / (r + n) over plates with r replicates and n controls."""
    control_variance: float
    """Total variance of control wells, taken within plates and pooled over them; NaN with one control a plate."""

    @property
    def effect(self) -> float:
        """The length, in lengths that it has on average if replicates are control wells."""
        if not self.control_variance > 0:
            return float("nan")
        return float(np.sqrt(self.squared_length / (self.weight * self.control_variance)))


def deviation(profiles: NDArray[np.float64], plates: NDArray[np.integer], is_replicate: NDArray[np.bool_]) -> Deviation:
    """Return how the replicates deviate from their plates' controls.

    A plate with r replicates and n controls enters with weight a = r n / (r + n): the share of their difference that is
    left after the pool of both is centred. Among exchangeable wells the difference of the means has the total variance
    v / a, so the squared length of the weighted sum is expected to be v times the sum of a, and

        effect^2 = |sum of a (mean replicate - mean control)|^2 / (v sum of a)

    is 1 on average. The effect grows without bound with the phenotype, and as the square root of the number of
    replicates, as a t statistic does.

    Args:
        profiles: (P, D), the replicates and the negative controls of their plates.
        plates: (P,), any integers, one a plate; each has a replicate and a control.
        is_replicate: (P,).
    """
    total = np.zeros(profiles.shape[1])
    weight = squares = 0.0
    degrees = 0
    for plate in dict.fromkeys(plates.tolist()):
        replicates = profiles[(plates == plate) & is_replicate]
        controls = profiles[(plates == plate) & ~is_replicate]
        share = len(replicates) * len(controls) / (len(replicates) + len(controls))
        centre = controls.mean(axis=0)
        total += share * (replicates.mean(axis=0) - centre)
        weight += share
        squares += float(np.square(controls - centre).sum())
        degrees += len(controls) - 1
    return Deviation(
        squared_length=float(np.square(total).sum()),
        weight=weight,
        control_variance=squares / degrees if degrees else float("nan"),
    )


def deviations(
    controls: NDArray[np.floating],
    control_plates: NDArray[np.integer],
    replicates: NDArray[np.floating],
    replicate_plates: NDArray[np.integer],
) -> list[Deviation]:
    """Return how the replicates of each treatment deviate from the controls of its plates, as `deviation` says.

    Args:
        controls: (C, D), of the plates of the replicates.
        control_plates: (C,).
        replicates: (T, R, D).
        replicate_plates: (R,).
    """
    names, plate_of, n_drawn = np.unique(replicate_plates, return_inverse=True, return_counts=True)
    of_plates = [np.asarray(controls[control_plates == name], dtype=np.float64) for name in names]
    origins = np.stack([wells.mean(axis=0) for wells in of_plates])
    squares = sum(float(np.square(wells - origin).sum()) for wells, origin in zip(of_plates, origins, strict=True))
    n_controls = np.array([len(wells) for wells in of_plates])
    degrees = int(n_controls.sum()) - len(names)
    variance = squares / degrees if degrees else float("nan")
    shares = n_drawn * n_controls / (n_drawn + n_controls)
    of_replicates, weight = (shares / n_drawn)[plate_of], float(shares.sum())
    found: list[Deviation] = []
    step = max(1, _VALUES_AT_ONCE // max(1, replicates.shape[1] * replicates.shape[2]))
    for start in range(0, len(replicates), step):
        differences = replicates[start : start + step].astype(np.float64)
        differences -= origins[plate_of]
        total = of_replicates @ differences
        lengths = np.einsum("td,td->t", total, total)
        found += [Deviation(length, weight, variance) for length in lengths.tolist()]
    return found
