"""What an audit knows of the wells beside their profiles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.wells import (
    WellColumns,
    design_of,
    fitted_on_half,
    names_in,
    numbered,
    require_columns,
)

_HASH_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class AuditColumns(WellColumns):
    """Which columns of a table of profiles say what; None where no column does."""

    plate: str
    batch: str
    perturbation: str
    mechanism: str | None = None
    factors: tuple[str, ...] = ()
    """Further ones that may be confounded with the perturbation: instrument, cell line."""

    @property
    def named(self) -> tuple[str, ...]:
        """Return the columns that are asked for, each once."""
        further = () if self.mechanism is None else (self.mechanism,)
        return tuple(dict.fromkeys((*super().named, *further, *self.factors)))


@dataclass(frozen=True)
class AuditWells:
    """What is known of W wells."""

    design: Design
    perturbations: tuple[str, ...]
    """The names behind `design.perturbations`."""
    batches: tuple[str, ...]
    """The names behind `design.batches`."""
    positions: NDArray[np.intp] | None
    """(W,), the same number for the same well of a plate; None where wells have no position."""
    factors: Mapping[str, NDArray[np.intp]]
    """Column -> (W,), -1 where it says nothing: batch and plate first, then the further ones."""
    mechanisms: tuple[str, ...] | None = None
    """(W,), empty where none is annotated; None where no column says it."""

    @property
    def is_treated(self) -> NDArray[np.bool_]:
        """Return the wells whose replicates are looked for: named ones that are no negative controls, (W,)."""
        return np.asarray((self.design.perturbations >= 0) & ~self.design.is_negcon)


def audit_wells(
    metadata: pl.DataFrame, values: NDArray[np.floating], *, columns: AuditColumns, is_negcon: NDArray[np.bool_]
) -> AuditWells:
    """Return what the metadata say of the wells.

    Of each plate's negative controls, one half is what corrections on controls are fitted on
    (`hcs.profiling.corrections.halves`).

    Args:
        metadata: One row a well.
        values: (W, D), their profiles.
        columns: Which columns say what.
        is_negcon: (W,), negative controls.

    Raises:
        UsageError: If a column is missing.
        InputRejectedError: If a batch or plate has no name, a well comes twice, or a count of cells is no number.
    """
    options = (
        "--batch, --perturbation, --plate and --well, and metadata that do not begin with Metadata_ with --metadata"
    )
    require_columns(metadata, columns, asker="the audit", options=options)
    design = design_of(metadata, columns, is_negcon=is_negcon)
    if columns.well is not None:
        _refuse_repeated(metadata, columns.plate, columns.well)
    factors = dict.fromkeys((columns.batch, columns.plate, *columns.factors))
    return AuditWells(
        design=fitted_on_half(design, values, metadata, columns),
        perturbations=tuple(names_in(metadata[columns.perturbation])),
        batches=tuple(names_in(metadata[columns.batch])),
        positions=None if columns.well is None else numbered(metadata[columns.well]),
        factors={name: numbered(metadata[name]) for name in factors},
        mechanisms=None
        if columns.mechanism is None
        else tuple(metadata[columns.mechanism].cast(pl.String).fill_null("").to_list()),
    )


def hashed(name: str, *, seed: int = 0) -> bytes:
    """Return bytes that order names in a way that has nothing to do with what they say."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:_HASH_BYTES]


def _refuse_repeated(metadata: pl.DataFrame, plate: str, well: str) -> None:
    repeated = metadata.filter(pl.struct(plate, well).is_duplicated())
    if repeated.height:
        barcode, name = repeated.select(plate, well).row(0)
        raise InputRejectedError(
            f"a row a well is expected, but well {name} of plate {barcode} comes more than once ({repeated.height} "
            "rows like it); aggregate them first, with `hcs profiles aggregate`"
        )


def perturbation_order(names: Sequence[str], *, seed: int) -> NDArray[np.intp]:
    """Return the perturbations ordered by a hash of their names, (C,)."""
    return np.array(sorted(range(len(names)), key=lambda i: (hashed(names[i], seed=seed), names[i])), dtype=np.intp)
