"""Robust z on the negative controls of each plate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.control_scale import FEW_CONTROLS, PlateSpreads, steady_scale
from hcs.profiling.row_order import order_by_content
from hcs.statistics.robust import median_and_mad

LARGEST_Z = 10.0
"""Values beyond are set to it: one sparse feature with a tiny scale must not decide the similarity of two wells."""

VANISHING = 1e-3
"""A feature whose controls vary less than this share of all wells of their plate is left out."""

ROUNDING = 1e-12
"""A spread below this share of the largest value comes from adding floats, not from wells."""


@dataclass(frozen=True)
class NormalizedProfiles:
    """Robust z of W wells in the K of D features that can be normalized on every plate."""

    values: NDArray[np.float64]
    """(W, K), in units of the controls' scale, within +-`LARGEST_Z`; 0 is the median control."""
    kept: NDArray[np.bool_]
    """(D,)."""
    scale: dict[str, NDArray[np.float64]]
    """Plate -> (D,), what the values were divided by before clipping. Infinite where a plate without controls does not
    vary."""
    n_controls: dict[str, int]
    """Plate -> its negative controls."""
    notes: tuple[str, ...]

    @property
    def has_few_controls(self) -> bool:
        """Whether a plate has controls, but too few for a scale of its own."""
        return any(0 < n < FEW_CONTROLS for n in self.n_controls.values())


@dataclass(frozen=True)
class _Plate:
    """One plate, measured on its controls; one without any, on all its wells."""

    rows: NDArray[np.intp]
    """In an order of their content."""
    n_controls: int
    n_fitted: int
    centre: NDArray[np.float64]
    """(D,), the median."""
    control_scale: NDArray[np.float64]
    """(D,), 1.4826 MAD."""
    spread: NDArray[np.float64]
    """(D,), standard deviation of the fitted wells, whatever they hold; 0 where it is rounding."""


def robust_z(
    profiles: NDArray[np.floating],
    *,
    plates: Sequence[str] | NDArray[np.str_],
    is_negcon: NDArray[np.bool_],
    is_fitted: NDArray[np.bool_] | None = None,
    encoder: str = "these profiles",
) -> NormalizedProfiles:
    """Return (x - median) / scale of every feature, median and scale from the plate's negative controls.

    The scale is 1.4826 MAD (pycytominer's `mad_robustize` without its epsilon), shrunk on plates with fewer than 16
    controls (`hcs.profiling.control_scale`). A feature that is constant, or whose scale on any plate with controls is 0
    or vanishes beside the spread of all wells there, is left out on all plates; adding a constant to a feature or
    multiplying it by a number other than 0 changes neither what is left out nor, but for the sign, the result.

    A plate without negative controls is normalized to the median and MAD of all its wells, and a note says so. It has
    no say in which features are kept, nor in any other plate's scale.

    Args:
        profiles: (W, D), finite.
        plates: (W,).
        is_negcon: (W,).
        is_fitted: (W,), wells that may enter the spread of a plate, all but empty ones; default all.
        encoder: For messages.

    Returns:
        Profiles in the order of the rows. The same bits for any order of the rows and any names of the plates.

    Raises:
        InputRejectedError: If shapes do not fit or a value is NaN or infinite.
    """
    names = np.asarray(plates, dtype=np.str_)
    fitted = np.ones(len(names), dtype=np.bool_) if is_fitted is None else is_fitted
    _check(profiles, names, encoder=encoder)
    measured = {
        str(name): _measure_plate(profiles, np.flatnonzero(names == name), is_negcon=is_negcon, is_fitted=fitted)
        for name in np.unique(names)
    }
    kept, scale = _scales(measured)
    values = np.empty((len(profiles), int(kept.sum())))
    for name, plate in measured.items():
        z = (profiles[plate.rows][:, kept] - plate.centre[kept]) / scale[name][kept]
        values[plate.rows] = np.clip(z, -LARGEST_Z, LARGEST_Z)
    n_controls = {name: plate.n_controls for name, plate in measured.items()}
    return NormalizedProfiles(values, kept, scale, n_controls, _notes(kept, encoder=encoder))


def _measure_plate(
    profiles: NDArray[np.floating],
    rows: NDArray[np.intp],
    *,
    is_negcon: NDArray[np.bool_],
    is_fitted: NDArray[np.bool_],
) -> _Plate:
    values = np.asarray(profiles[rows], dtype=np.float64)
    order, _ = order_by_content(values)
    rows, values = rows[order], values[order]
    controls = is_negcon[rows]
    fitted = is_fitted[rows] | controls
    wells = values[fitted] if fitted.any() else values
    spread = wells.std(axis=0)
    spread[spread <= ROUNDING * np.abs(wells).max(axis=0)] = 0.0
    centre, scale = median_and_mad(values[controls] if controls.any() else wells)
    return _Plate(rows, int(controls.sum()), len(wells), centre, scale, spread)


def _scales(measured: dict[str, _Plate]) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.float64]]]:
    """Return which features can be normalized on every plate with controls, and every plate's scale, by its name."""
    scale = {name: _whole_plate_scale(plate) for name, plate in measured.items() if not plate.n_controls}
    controlled = {name: plate for name, plate in measured.items() if plate.n_controls}
    if not controlled:
        return np.logical_or.reduce([np.isfinite(divisor) for divisor in scale.values()]), scale
    spread = np.stack([plate.spread for plate in controlled.values()])
    n_wells = np.array([plate.n_fitted for plate in controlled.values()])
    steady = steady_scale(
        PlateSpreads(
            n_controls=np.array([plate.n_controls for plate in controlled.values()]),
            n_wells=n_wells,
            control_scale=np.stack([plate.control_scale for plate in controlled.values()]),
            spread=spread,
        )
    )
    # A single well has no spread to hold its borrowed scale against.
    is_usable = (steady > VANISHING * spread) & ((spread > 0) | (n_wells < 2)[:, None])
    return np.logical_and.reduce(is_usable), scale | dict(zip(controlled, steady, strict=True))


def _whole_plate_scale(plate: _Plate) -> NDArray[np.float64]:
    """Return the scale of a plate without controls. Where it is 0, dividing by infinity leaves 0 instead of NaN."""
    return np.where((plate.control_scale > 0) & (plate.spread > 0), plate.control_scale, np.inf)


def _notes(kept: NDArray[np.bool_], *, encoder: str) -> tuple[str, ...]:
    n_dropped = int((~kept).sum())
    if not n_dropped:
        return ()
    return (
        f"{encoder}: {n_dropped} of {len(kept)} features were left out, since they hardly vary among the negative "
        "controls of a plate",
    )


def _check(profiles: NDArray[np.floating], plates: NDArray[np.str_], *, encoder: str) -> None:
    if profiles.ndim != 2 or len(profiles) != len(plates) or not len(plates):
        raise InputRejectedError(
            f"{encoder}: one vector a well is expected, {len(plates)} in all, but the matrix has shape {profiles.shape}"
        )
    bad = ~np.isfinite(profiles).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        feature = int((~np.isfinite(profiles[row])).argmax())
        raise InputRejectedError(
            f"{encoder}: every value must be finite, but feature {feature} of a well on plate {plates[row]} is "
            f"{profiles[row, feature]} ({int(bad.sum())} wells like it); leave out the features or wells without a "
            "measurement"
        )
