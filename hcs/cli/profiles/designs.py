"""What corrections must know of the wells, as the options of a command name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.profiles.options import IS_FITTED, chosen_rows
from hcs.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from hcs.profiling.corrections.correction import Design
    from hcs.profiling.corrections.wells import WellColumns
    from hcs.profiling.matrix import ProfileMatrix

PLATE = "Metadata_Plate"
WELL = "Metadata_Well"

BatchOption = Annotated[
    str | None, typer.Option("--batch", metavar="COLUMN", help="What plates were made together [all in one].")
]
PlateOption = Annotated[str, typer.Option("--plate", metavar="COLUMN")]
WellOption = Annotated[str, typer.Option("--well", metavar="COLUMN", help="Names as A01, for corrections of position.")]
PerturbationOption = Annotated[
    str | None, typer.Option("--perturbation", metavar="COLUMN", help="To see whether layouts are shuffled.")
]
CountOption = Annotated[
    str | None, typer.Option("--count", metavar="COLUMN", help="Cells of each well, for cell-count.")
]
CrossFitOption = Annotated[
    bool,
    typer.Option(
        "--cross-fit", help="Fit on half of each plate's controls; Metadata_is_fitted is false where to compare with."
    ),
]


@dataclass(frozen=True)
class Wells:
    """The design of the wells of a table, and the same with half of the controls held out."""

    design: Design
    """What a correction is given."""
    half: Design | None
    """None where no plate has two negative controls."""
    metadata: pl.DataFrame
    """With `Metadata_is_fitted` where half of the controls are held out."""


def wells_of(profiles: ProfileMatrix, columns: WellColumns, controls: str | None, *, cross_fit: bool) -> Wells:
    """Return what corrections must know of the wells.

    Raises:
        UsageError: If half of the controls shall be held out and no plate has two.
    """
    import numpy as np
    import polars as pl

    from hcs.profiling.corrections.wells import design_of, fitted_on_half

    nobody = np.zeros(len(profiles.values), dtype=np.bool_)
    chosen = nobody if controls is None else chosen_rows(profiles, controls, None)
    design = design_of(profiles.metadata, columns, is_negcon=nobody if chosen is None else chosen)
    half = fitted_on_half(design, profiles.values, profiles.metadata, columns)
    if not half.is_fitted.any():
        if cross_fit:
            raise UsageError(
                "--cross-fit holds out half of the negative controls of every plate, but no plate has two; name them "
                "with --controls"
            )
        return Wells(design, None, profiles.metadata)
    if not cross_fit:
        return Wells(design, half, profiles.metadata)
    return Wells(half, half, profiles.metadata.with_columns(pl.Series(IS_FITTED, ~half.held_out)))


def well_columns(
    profiles: ProfileMatrix,
    *,
    plate: str,
    well: str,
    batch: str | None = None,
    perturbation: str | None = None,
    count: str | None = None,
) -> WellColumns:
    """Return which columns say what; the column of well names may be missing unless it is named."""
    from hcs.profiling.corrections.wells import WellColumns

    has_well = well in profiles.metadata.columns or well != WELL
    return WellColumns(
        plate=plate, batch=batch, perturbation=perturbation, well=well if has_well else None, cell_count=count
    )
