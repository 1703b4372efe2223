"""What an audit knows of the wells beside their profiles."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.halves import half_of_controls

_WELL = re.compile(r"([A-Za-z]{1,2})0*(\d{1,2})")
_HASH_BYTES = 8


@dataclass(frozen=True)
class AuditColumns:
    """Which columns of a table of profiles say what."""

    batch: str
    perturbation: str
    plate: str
    well: str | None = None
    """None where wells have no position."""
    mechanism: str | None = None
    cell_count: str | None = None
    factors: tuple[str, ...] = ()
    """Further ones that may be confounded with the perturbation: instrument, cell line."""

    @property
    def named(self) -> tuple[str, ...]:
        """Return all columns that are asked for."""
        told = (self.batch, self.perturbation, self.plate, self.well, self.mechanism, self.cell_count, *self.factors)
        return tuple(dict.fromkeys(name for name in told if name is not None))


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
    missing = [name for name in columns.named if name not in metadata.columns]
    if missing:
        raise UsageError(
            f"the audit needs the column {', '.join(missing)}, but the table has {', '.join(metadata.columns)}; name "
            "others with --batch, --perturbation, --plate and --well, and metadata that do not begin with Metadata_ "
            "with --metadata"
        )
    plates, _ = _numbered(metadata, columns.plate, is_needed=True)
    batches, batch_names = _numbered(metadata, columns.batch, is_needed=True)
    perturbations, names = _numbered(metadata, columns.perturbation)
    positions, rows, places = _positions(metadata, columns, plates)
    wells = [""] * len(plates) if columns.well is None else metadata[columns.well].cast(pl.String).to_list()
    return AuditWells(
        design=Design(
            plates=plates,
            batches=batches,
            perturbations=perturbations,
            is_negcon=is_negcon,
            is_fitted=half_of_controls(values, wells=wells, plates=plates, is_negcon=is_negcon),
            rows=rows,
            columns=places,
            cell_counts=_counts(metadata, columns.cell_count),
        ),
        perturbations=names,
        batches=batch_names,
        positions=positions,
        factors={
            name: _numbered(metadata, name)[0]
            for name in dict.fromkeys((columns.batch, columns.plate, *columns.factors))
        },
        mechanisms=None
        if columns.mechanism is None
        else tuple(metadata[columns.mechanism].cast(pl.String).fill_null("").to_list()),
    )


def hashed(name: str, *, seed: int = 0) -> bytes:
    """Return bytes that order names in a way that has nothing to do with what they say."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:_HASH_BYTES]


def _numbered(
    metadata: pl.DataFrame, column: str, *, is_needed: bool = False
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Return 0, 1, ... in order of appearance for the values of a column, -1 for null, and the values as text."""
    values = metadata[column].cast(pl.String)
    if is_needed and values.null_count():
        raise InputRejectedError(
            f"every well must say in {column} where it is from, but {values.null_count()} of {len(values)} do not"
        )
    names = values.drop_nulls().unique(maintain_order=True)
    number = {name: place for place, name in enumerate(names)}
    return np.array([number.get(value, -1) for value in values], dtype=np.intp), tuple(names)


def _positions(
    metadata: pl.DataFrame, columns: AuditColumns, plates: NDArray[np.intp]
) -> tuple[NDArray[np.intp] | None, NDArray[np.intp] | None, NDArray[np.intp] | None]:
    """Return the number of each well's position, its row and its column, as far as names of wells tell."""
    if columns.well is None:
        return None, None, None
    positions, names = _numbered(metadata, columns.well, is_needed=True)
    pairs = np.stack([plates, positions])
    if len(np.unique(pairs, axis=1).T) < len(plates):
        repeated = metadata.filter(pl.struct(columns.plate, columns.well).is_duplicated())
        plate, well = repeated.select(columns.plate, columns.well).row(0)
        raise InputRejectedError(
            f"a row a well is expected, but well {well} of plate {plate} comes more than once ({repeated.height} rows "
            "like it); aggregate them first, with `hcs profiles aggregate`"
        )
    found = [_WELL.fullmatch(name) for name in names]
    if any(match is None for match in found):
        return positions, None, None
    parts = [match.groups() for match in found if match is not None]
    rows = np.array([_row_number(letters) for letters, _ in parts], dtype=np.intp)
    places = np.array([int(digits) - 1 for _, digits in parts], dtype=np.intp)
    return positions, rows[positions], places[positions]


def _row_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _counts(metadata: pl.DataFrame, column: str | None) -> NDArray[np.float64] | None:
    if column is None:
        return None
    counts = metadata[column].cast(pl.Float64, strict=False)
    if counts.null_count() > metadata[column].null_count():
        raise InputRejectedError(f"counts of cells are expected in {column}, but it holds something that is no number")
    return counts.fill_null(float("nan")).to_numpy()


def perturbation_order(names: Sequence[str], *, seed: int) -> NDArray[np.intp]:
    """Return the perturbations ordered by a hash of their names, (C,)."""
    return np.array(sorted(range(len(names)), key=lambda i: (hashed(names[i], seed=seed), names[i])), dtype=np.intp)
