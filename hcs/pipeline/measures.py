"""What is measured in the wells of a plate, as maps: as it is, and without what rows and columns add."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.catalog import Catalog, RunRecord, calls_on_plate, channel_means, count_sites, wells_of
from hcs.errors import NotFoundError
from hcs.io.wells import row_and_column, smallest_format
from hcs.statistics.polish import median_polish

LEAST_OF_A_LINE = 3
"""Values that a row and a column must have for what they add to be told from what their wells are."""

DIGITS = 9
"""Significant ones that are told: behind them stands in which order a database has added."""

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Measure:
    """What a map shows: its name, its unit, and what it means."""

    name: str
    unit: str
    description: str


@dataclass(frozen=True)
class MeasuredPlate:
    """A plate's geometry, its wells by row and column, and each measure with its raw and its corrected values."""

    n_rows: int
    n_columns: int
    wells: tuple[str, ...]
    control_types: tuple[str, ...]
    measures: tuple[tuple[Measure, Values, Values], ...]


CELL_COUNT = Measure("cell_count", "cells a site", "Nuclei counted, mean over the well's sites.")
OF_CHANNELS: Mapping[str, tuple[str, str, str]] = {
    "focus": (
        "power_loglog_slope",
        "slope",
        "Focus of {}: slope of log power on log frequency, mean over the well's sites. More negative is blurrier.",
    ),
    "intensity": ("mean", "grey value", "Mean of the pixels of {} as delivered, mean over the well's sites."),
    "saturation": (
        "saturation_fraction",
        "share of pixels",
        "Pixels of {} at the top of the file's range, mean over the well's sites.",
    ),
}
"""Name -> column of `channel_means`, unit, and what it means."""

OF_TREATMENTS = (
    Measure(
        "effect",
        "lengths of a control mean",
        "Effect of the well's treatment, over all its wells: length of its mean profile, in lengths of such a mean of "
        "controls. Controls have none.",
    ),
    Measure(
        "mean_average_precision",
        "0 to 1",
        "How well the wells of this well's treatment find one another among controls: 1 is always. Controls have none.",
    ),
)


def measure_plate(catalog: Catalog, run: RunRecord, plate: str) -> MeasuredPlate:
    """Return the maps of a plate. Wells that are described or were read have a place; what is not known is None.

    Corrected is the residual of Tukey's median polish with the overall effect. It is None where a row or a column has
    fewer than three values. A column of controls disappears in it, as any row or column does that differs as a whole.

    Raises:
        NotFoundError: If the run has no such plate.
    """
    layout = wells_of(catalog, run=run.id, plate=plate)
    counts = count_sites(catalog, run.id, plate)
    wells = sorted({*layout["well"], *counts["well"]}, key=lambda well: (len(well), well))
    if not wells:
        raise NotFoundError(f"{run.name} has no plate {plate[:80]!r}; `hcs status {run.name}` lists its plates")
    kinds = dict(layout.select("well", pl.col("control_type").cast(pl.String)).iter_rows())
    n_rows, n_columns = smallest_format(wells)
    place = _placing(wells, n_rows, n_columns)
    measured = [
        (CELL_COUNT, dict(counts.select("well", "cell_count").iter_rows())),
        *_of_channels(channel_means(catalog, run.id, plate)),
        *_of_treatments(layout, calls_on_plate(catalog, run.id, plate)),
    ]
    return MeasuredPlate(
        n_rows=n_rows,
        n_columns=n_columns,
        wells=tuple(wells),
        control_types=tuple(kinds.get(well, "empty") for well in wells),
        measures=tuple((measure, *_raw_and_corrected(found, wells, place)) for measure, found in measured),
    )


def corrected(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a plate without what its rows and columns add: residual and overall effect of its median polish.

    Args:
        table: (R, C), NaN where there is no value.

    Returns:
        (R, C), NaN also where the row or the column has fewer than three values.
    """
    is_known = ~np.isnan(table)
    rows, columns = (is_known.sum(axis=axis) >= LEAST_OF_A_LINE for axis in (1, 0))
    polished = median_polish(table)
    return np.where(rows[:, None] & columns, polished.overall + polished.residuals, np.nan)


def _of_channels(means: pl.DataFrame) -> Iterator[tuple[Measure, dict[str, float | None]]]:
    for name, (column, unit, description) in OF_CHANNELS.items():
        for (channel,), own in means.partition_by("channel", as_dict=True, maintain_order=True).items():
            measure = Measure(f"{name}:{channel}", unit, description.format(channel))
            yield measure, dict(own.select("well", column).iter_rows())


def _of_treatments(layout: pl.DataFrame, calls: pl.DataFrame) -> Iterator[tuple[Measure, dict[str, float | None]]]:
    keys = [pl.col("treatment"), pl.col("control_type").cast(pl.String)]
    names = [measure.name for measure in OF_TREATMENTS]
    said = layout.select("well", *keys).join(calls.select(*keys, *names), on=["treatment", "control_type"], how="left")
    for measure in OF_TREATMENTS:
        yield measure, dict(said.select("well", measure.name).iter_rows())


def _placing(wells: Sequence[str], n_rows: int, n_columns: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return a function that does something to values of wells as a table and returns them as values of wells."""
    places = np.array([row_and_column(well) for well in wells]).T - 1

    def of_wells(values: NDArray[np.float64]) -> NDArray[np.float64]:
        table = np.full((n_rows, n_columns), np.nan)
        table[places[0], places[1]] = values
        found: NDArray[np.float64] = corrected(table)[places[0], places[1]]
        return found

    return of_wells


def _raw_and_corrected(
    found: Mapping[str, float | None],
    wells: Sequence[str],
    correct: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> tuple[Values, Values]:
    raw = tuple(_told(found.get(well)) for well in wells)
    values = np.array([np.nan if value is None else value for value in raw])
    return raw, tuple(map(_told, correct(values).tolist()))


def _told(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")
