"""The wells of a run as the calls see them: treatments, and the negative controls of every plate.

Names decide who belongs together and nothing else. Wells are put in an order that follows from what they contain, so
that every sum runs over the same numbers in the same order whatever the plates are called and however rows were sorted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from schemas.treatments import with_treatment_keys

UNKNOWN = ""
"""The position of a well that was not named."""
_NO_ROWS = np.empty(0, dtype=np.intp)

DOSES = ("concentration_micromolar", "dose_step")
_FIRST_FEATURES = 4
"""Two wells hardly ever agree in so many numbers."""
_COLUMNS = ("plate", "well", "batch", "perturbation", *DOSES, "control_type", "cell_count")


@dataclass(frozen=True)
class Treatment:
    """One perturbation at one dose and its wells. A compound may be a treatment and a control, which are two."""

    control_type: str
    perturbation: str
    concentration_micromolar: float | None
    dose_step: float | None
    wells: NDArray[np.intp]
    """Rows in the screen's wells."""


@dataclass(frozen=True)
class ScreenWells:
    """The wells that take part, N of them, without the empty ones."""

    profiles: NDArray[np.floating]
    """(N, D), float32 if that is what came, else float64."""
    rows: NDArray[np.intp]
    """(N,), where each well stood in the table that it came from."""
    plates: NDArray[np.intp]
    """(N,), 0, 1, ... in order of first appearance."""
    positions: NDArray[np.str_]
    """(N,), names of wells; `UNKNOWN` where nobody knows."""
    batches: NDArray[np.intp]
    """(N,), likewise; wells without a batch share one."""
    perturbations: NDArray[np.intp]
    """(N,), likewise, one number a name, whatever its dose."""
    cell_counts: NDArray[np.float64]
    """(N,), NaN where nothing was counted."""
    is_negcon: NDArray[np.bool_]
    """(N,), all negative control perturbations together, without those that a transform was fitted on."""
    treatments: tuple[Treatment, ...]
    """Treatments and positive controls, sorted by kind, name and dose."""

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Return the place of each well's treatment in `treatments`, (N,), -1 for wells that are controls."""
        numbers = np.full(len(self.profiles), -1, dtype=np.intp)
        for number, treatment in enumerate(self.treatments):
            if treatment.control_type == "treatment":
                numbers[treatment.wells] = number
        return numbers

    def within(self, strata: NDArray[np.integer] | None) -> ScreenWells:
        """Return the same wells with what is of one stratum on a plate as a plate of its own: these are compared.

        Args:
            strata: (N,), a number a cell line and time point; None where the screen has one.
        """
        if strata is None:
            return self
        both = pl.DataFrame({"plate": self.plates, "stratum": strata})
        return replace(self, plates=_numbers(both.select(pl.struct(pl.all())).to_series()))

    def negcons_of(self, plates: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the rows of the negative controls on these plates, from the first."""
        rows = [self._negcons_by_plate.get(plate, _NO_ROWS) for plate in set(plates.tolist())]
        return np.sort(np.concatenate([_NO_ROWS, *rows]))

    @cached_property
    def _negcons_by_plate(self) -> dict[int, NDArray[np.intp]]:
        rows = np.flatnonzero(self.is_negcon)
        rows = rows[np.argsort(self.plates[rows], kind="stable")]
        plates, starts = np.unique(self.plates[rows], return_index=True)
        return dict(zip(plates.tolist(), np.split(rows, starts[1:]), strict=False))


def screen_wells(profiles: NDArray[np.floating], wells: pl.DataFrame) -> ScreenWells:
    """Return the wells in an order of their content, with their treatments.

    Args:
        profiles: (N, D), one row a well, in the order of `wells`; finite.
        wells: `plate, well, batch, perturbation, concentration_micromolar, dose_step, control_type, cell_count`, and
            `is_fitted` where a transform was fitted on some of the controls. A `well` of unknown place is null.

    Raises:
        InputRejectedError: If the two do not fit, a column is missing, a well comes twice or lacks its perturbation, or
            a profile has a value that is not finite.
    """
    profiles = np.asarray(profiles)
    profiles = profiles if profiles.dtype == np.float32 else profiles.astype(np.float64, copy=False)
    _check(profiles, wells)
    order = _order_by_content(profiles, wells)
    kept = wells[order]
    return ScreenWells(
        profiles=profiles[order],
        rows=order,
        plates=_numbers(kept["plate"]),
        positions=kept["well"].cast(pl.String).fill_null(UNKNOWN).to_numpy().astype(np.str_),
        batches=_numbers(kept["batch"]),
        perturbations=_numbers(kept["perturbation"]),
        cell_counts=kept["cell_count"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        is_negcon=_is_negative(kept).to_numpy(),
        treatments=_treatments(kept),
    )


def _check(profiles: NDArray[np.floating], wells: pl.DataFrame) -> None:
    missing = [column for column in _COLUMNS if column not in wells.columns]
    if missing:
        raise InputRejectedError(f"the table of wells needs the columns {', '.join(_COLUMNS)}; it lacks {missing}")
    if profiles.ndim != 2 or len(profiles) != wells.height:
        raise InputRejectedError(
            f"one profile a well is expected, {wells.height} in all, but the matrix has shape {profiles.shape}"
        )
    named = wells.filter(pl.col("perturbation").is_null() & (pl.col("control_type").cast(pl.String) != "empty"))
    repeated = wells.filter(pl.struct("plate", "well").is_duplicated() & pl.col("well").is_not_null())
    for bad, what in ((named, "has no perturbation but is not empty"), (repeated, "comes more than once")):
        if bad.height:
            plate, well = bad.select("plate", "well").row(0)
            raise InputRejectedError(f"well {well} of plate {plate} {what} ({bad.height} rows like it)")
    # A sum of squares is finite where all values are, unless they are huge, and makes no matrix of booleans.
    is_finite = np.isfinite(np.einsum("nd,nd->n", profiles, profiles))
    if not is_finite.all():
        is_finite = np.isfinite(profiles).all(axis=1)
    if not is_finite.all():
        plate, well = wells.select("plate", "well").row(int(is_finite.argmin()))
        raise InputRejectedError(
            f"every value of a profile must be finite, but well {well} of plate {plate} has a NaN or infinity "
            f"({int((~is_finite).sum())} wells like it); leave out the features or wells without a measurement"
        )


def _is_negative(wells: pl.DataFrame) -> pl.Series:
    """Return which wells are negative controls to compare with."""
    is_negcon = wells["control_type"].cast(pl.String) == "negcon"
    return is_negcon & ~wells["is_fitted"].fill_null(value=False) if "is_fitted" in wells.columns else is_negcon


def _order_by_content(profiles: NDArray[np.floating], wells: pl.DataFrame) -> NDArray[np.intp]:
    """Order the wells that are not empty by their first features, and where these tie by all, then by their count."""
    counts = wells["cell_count"].cast(pl.Float64).fill_null(-1.0).to_numpy()
    takes_part = np.flatnonzero((wells["control_type"].cast(pl.String) != "empty").to_numpy())
    first = profiles[takes_part, :_FIRST_FEATURES] + 0.0  # one zero: -0.0 has other bytes
    order = takes_part[np.lexsort(first.T[::-1])]
    in_order = profiles[order, :_FIRST_FEATURES]
    is_tied = (in_order[1:] == in_order[:-1]).all(axis=1)
    if not is_tied.any():
        return order

    def key(row: int) -> tuple[bytes, float]:
        return blake2b((profiles[row] + 0.0).tobytes(), digest_size=16).digest(), float(counts[row])

    groups = np.split(order, np.flatnonzero(~is_tied) + 1)
    return np.array([row for rows in groups for row in sorted(rows.tolist(), key=key)], dtype=np.intp)


def _numbers(names: pl.Series) -> NDArray[np.intp]:
    """Number distinct names 0, 1, ... in order of first appearance; null is a name like any other."""
    firsts = names.to_frame("name").with_row_index("row").select(pl.col("row").min().over("name"))
    return (firsts["row"].rank("dense") - 1).to_numpy().astype(np.intp)


def _treatments(wells: pl.DataFrame) -> tuple[Treatment, ...]:
    tested = (
        wells.with_row_index("row")
        .with_columns(pl.col("control_type").cast(pl.String), pl.col(*DOSES).cast(pl.Float64).fill_nan(None))
        .filter(pl.col("control_type") != "negcon")
    )
    groups = (
        with_treatment_keys(tested)
        .group_by("control_type", "treatment", maintain_order=True)
        .agg(pl.col("perturbation").first(), pl.col(*DOSES).min(), pl.col("row"))
        .sort(pl.col("control_type") == "poscon", "perturbation", *DOSES)
    )
    ends = groups["row"].list.len().cum_sum().to_list()
    members = np.split(groups["row"].explode().to_numpy().astype(np.intp), ends)[:-1]
    columns = groups.select("control_type", "perturbation", *DOSES).iter_rows()
    return tuple(
        Treatment(control_type, perturbation, micromolar, step, rows)
        for (control_type, perturbation, micromolar, step), rows in zip(columns, members, strict=True)
    )
