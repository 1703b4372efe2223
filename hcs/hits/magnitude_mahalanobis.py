"""How far treatments lie from controls, by the spread of controls of other plates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.hits.control_halves import fitted_controls
from hcs.statistics.ledoit_wolf import ledoit_wolf


@dataclass(frozen=True)
class WhiteWells:
    """Deviations of wells from the controls of their plate, in directions and units in which controls have spread 1."""

    deviations: NDArray[np.float64]
    """(N, D), NaN on plates without controls."""
    n_references: NDArray[np.intp]
    """(N,), controls of the well's plate whose mean it deviates from."""
    control_square: float
    """Mean squared length of a control's deviation, if the mean of controls were known: what a single well has."""

    def length(self, wells: NDArray[np.intp], plates: NDArray[np.integer]) -> tuple[float, float]:
        """Return the length of the wells' mean deviation, and that in lengths which control wells would have.

        The second is 1 for control wells in the root mean square, whatever their number. NaN if no well counts.
        """
        used = wells[np.isfinite(self.deviations[wells, 0])]
        if not len(used):
            return float("nan"), float("nan")
        length = float(np.linalg.norm(self.deviations[used].mean(axis=0)))
        variance = 0.0
        for plate in np.unique(plates[used]):
            on_plate = used[plates[used] == plate]
            variance += (len(on_plate) / len(used)) ** 2 * (1 / len(on_plate) + 1 / self.n_references[on_plate[0]])
        return length, length / float(np.sqrt(self.control_square * variance))


def white_wells(
    profiles: NDArray[np.float64],
    plates: NDArray[np.integer],
    names: list[str],
    is_control: NDArray[np.bool_],
) -> WhiteWells:
    """Return the deviation of every well from its plate's controls, whitened by what other controls vary.

    The wells of a plate are whitened by the Ledoit-Wolf covariance of the controls of all other plates, each around the
    mean of its own. Controls that a covariance was fitted on look nearer than they are; leaving their plate out keeps
    controls and treatments comparable. With a single plate one half of its controls is fitted on, and wells deviate
    from the other.

    Args:
        profiles: (N, D), finite.
        plates: (N,), numbers.
        names: (N,), of wells.
        is_control: (N,).

    Raises:
        InputRejectedError: If the controls are too few for a covariance.
    """
    deviations, n_references = np.full_like(profiles, np.nan), np.zeros(len(plates), dtype=np.intp)
    squares, degrees = 0.0, 0
    for plate, white, is_reference in _fits(profiles, plates, names, is_control):
        on_plate = plates == plate
        references = np.flatnonzero(on_plate & is_reference)
        n_references[on_plate] = len(references)
        deviations[on_plate] = (profiles[on_plate] - profiles[references].mean(axis=0)) @ white
        squares += float(np.square(deviations[references]).sum())
        degrees += len(references) - 1
    return WhiteWells(deviations, n_references, squares / degrees if degrees else float("nan"))


def _fits(
    profiles: NDArray[np.float64], plates: NDArray[np.integer], names: list[str], is_control: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield each plate with controls, what whitens its wells, and which controls they deviate from."""
    with_controls = np.unique(plates[is_control])
    if len(with_controls) < 2:
        fitted = fitted_controls(profiles, plates, names, is_control)
        for plate in with_controls:
            yield int(plate), _white(profiles, plates, fitted), is_control & ~fitted
        return
    for plate in with_controls:
        yield int(plate), _white(profiles, plates, is_control & (plates != plate)), is_control


def _white(
    profiles: NDArray[np.float64], plates: NDArray[np.integer], fitted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    centred = [
        profiles[fitted & (plates == plate)] - profiles[fitted & (plates == plate)].mean(axis=0)
        for plate in np.unique(plates[fitted])
    ]
    rows = np.vstack([rows for rows in centred if len(rows) > 1] or [np.empty((0, profiles.shape[1]))])
    return ledoit_wolf(rows).inverse_root()
