"""The two spellings of metadata: snake_case inside, `Metadata_*` in the ecosystem's files.

There every metadata value is a string, and every other numeric column is a feature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import polars as pl

from hcs.errors import InputRejectedError

PREFIX = "Metadata_"

_FIELD_SPELLING = {
    "source": "Metadata_Source",
    "batch": "Metadata_Batch",
    "plate": "Metadata_Plate",
    "well": "Metadata_Well",
    "site": "Metadata_Site",
    "perturbation": "Metadata_broad_sample",
    "control_type": "Metadata_pert_type",
    "name": "Metadata_pert_iname",
    "inchikey": "Metadata_InChIKey",
    "mechanism": "Metadata_moa",
    "cell_count": "Metadata_Count_Cells",
}
_ALSO_READ = {
    "Metadata_JCP2022": "perturbation",
    "Metadata_control_type": "control_type",
    "Metadata_MoA": "mechanism",
    "Metadata_mechanism": "mechanism",
    "Metadata_perturbation": "perturbation",
}
_NUMBERS: dict[str, type[pl.DataType]] = {
    "site": pl.Int32,
    "concentration_micromolar": pl.Float64,
    "dose_step": pl.Float64,
    "cell_count": pl.Float64,
}


def to_metadata_columns(frame: pl.DataFrame, *, features: Collection[str] = ()) -> pl.DataFrame:
    """Return a table with its metadata in the field's spelling, as strings; `treatment` is written `trt`.

    Args:
        frame: Any table.
        features: Names of the columns that are not metadata; they stay as they are.

    Raises:
        InputRejectedError: If two columns would get one name.
    """
    metadata = [name for name in frame.columns if name not in features]
    names = {name: _FIELD_SPELLING.get(name, f"{PREFIX}{name.removeprefix(PREFIX)}") for name in metadata}
    _refuse_collisions([names.get(name, name) for name in frame.columns])
    strings = frame.with_columns(pl.col(metadata).cast(pl.String))
    if "control_type" in metadata:
        strings = strings.with_columns(pl.col("control_type").replace({"treatment": "trt"}))
    return strings.rename(names)


def from_metadata_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table with its `Metadata_*` columns in snake_case; columns without the prefix stay as they are.

    Where two spellings of one thing are present (`Metadata_broad_sample` and `Metadata_JCP2022`), the first in this
    module's table is taken and the other one loses its prefix only. Sites, concentrations, dose steps and cell counts
    become numbers, `trt` becomes `treatment`.

    Raises:
        InputRejectedError: If such a column does not hold numbers, or two columns would get one name.
    """
    names = _inside_names(frame.columns)
    _refuse_collisions([names.get(name, name) for name in frame.columns])
    renamed = frame.rename(names)
    numbers = [name for name in names.values() if name in _NUMBERS]
    try:
        typed = renamed.with_columns(pl.col(name).cast(_NUMBERS[name]) for name in numbers)
    except pl.exceptions.PolarsError as error:
        raise InputRejectedError(f"expected numbers in {', '.join(sorted(numbers))}; {error}") from error
    if "control_type" in names.values():
        return typed.with_columns(pl.col("control_type").replace({"trt": "treatment"}))
    return typed


def _inside_names(columns: Collection[str]) -> dict[str, str]:
    known = {spelling: name for name, spelling in _FIELD_SPELLING.items()} | _ALSO_READ
    names: dict[str, str] = {}
    for spelling, name in known.items():
        if spelling in columns and name not in names.values():
            names[spelling] = name
    for column in columns:
        if column.startswith(PREFIX) and column not in names:
            names[column] = column.removeprefix(PREFIX)
    return names


def _refuse_collisions(names: Collection[str]) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise InputRejectedError(f"expected one column for each of {', '.join(repeated)}, got several; drop or rename")
