"""One platemap file: a row a well."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from hcs.errors import InputRejectedError, PlatemapError, StorageError
from hcs.io.delimited import LINE, read_delimited
from hcs.io.platemaps.controls import control_type_of
from hcs.io.platemaps.spelling import columns_by_role, something
from hcs.io.storage import read_bytes
from hcs.io.wells import well_at, well_name

MILLIMOLAR_IN_MICROMOLAR = 1000.0

SCHEMA: Mapping[str, type[pl.DataType]] = {
    "plate": pl.String,
    "well": pl.String,
    "perturbation": pl.String,
    "concentration_micromolar": pl.Float64,
    "dose_step": pl.Float64,
    "said": pl.String,
    "name": pl.String,
    "smiles": pl.String,
    "inchikey": pl.String,
    "mechanism": pl.String,
    "solvent": pl.String,
    "metadata": pl.String,
}
"""Of one platemap: `plate` is null where it does not name plates, `said` is what it says of controls."""

_TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".csv.gz", ".tsv.gz", ".txt.gz")


def read_text_table(uri: str, *, what: str) -> pl.DataFrame:
    """Return a platemap, barcode map or annotation as strings, with the line of every row.

    Raises:
        PlatemapError: If it cannot be read, or is no text table.
    """
    if not uri.casefold().endswith(_TEXT_ENDINGS):
        raise PlatemapError(f"{uri}: expected {what} as csv, tsv or txt; export it as one of these")
    try:
        return read_delimited(read_bytes(uri), source=uri, with_line=True)
    except (StorageError, InputRejectedError) as error:
        raise PlatemapError(f"expected {what}; {error}") from error


def parse_platemap(table: pl.DataFrame, *, source: str) -> pl.DataFrame:
    """Return the wells of a platemap in the columns of `SCHEMA`.

    Nothing is loaded unless every row is valid.

    Args:
        table: Of `read_text_table`.
        source: For messages.

    Raises:
        PlatemapError: If there is no well column, or rows are wrong: an unknown well, a well named twice, a
            concentration that is no number, an unknown type of control. Lists the lines.
    """
    roles = columns_by_role(name for name in table.columns if name != LINE)
    if "well" not in roles and not ("row" in roles and "column" in roles):
        raise PlatemapError(
            f"{source}: expected a column well, well_position or Metadata_Well, or row and column; got "
            f"{', '.join(name for name in table.columns if name != LINE)}"
        )
    used = {column for role, column in roles.items() if role != "solvent"} - _spare_places(roles)
    others = sorted(set(table.columns) - used - {LINE})
    wrong: list[str] = []
    wells: list[dict[str, Any]] = []
    lines: dict[tuple[str | None, str], list[int]] = defaultdict(list)
    for row in table.iter_rows(named=True):
        try:
            well = _well(row, roles) | {"metadata": _as_json(row, others)}
        except InputRejectedError as error:
            wrong.append(f"line {row[LINE]}: {error}")
            continue
        wells.append(well)
        lines[well["plate"], well["well"]].append(row[LINE])
    wrong += [_twice(place, twice) for place, twice in lines.items() if len(twice) > 1]
    if wrong:
        raise PlatemapError(_none_is_loaded(source, wrong))
    return pl.DataFrame(wells, schema=dict(SCHEMA), orient="row")


def _spare_places(roles: Mapping[str, str]) -> set[str]:
    """Return the row and column columns of a table that names its wells anyway: they are other columns."""
    return {roles[role] for role in ("row", "column") if role in roles} if "well" in roles else set()


def _well(row: Mapping[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    def cell(role: str) -> str | None:
        return something(row[roles[role]]) if role in roles else None

    texts = ("plate", "perturbation", "name", "smiles", "inchikey", "mechanism", "solvent")
    well: dict[str, Any] = {role: cell(role) for role in texts}
    well["well"] = (
        well_name(cell("well") or "") if "well" in roles else well_at(cell("row") or "", cell("column") or "")
    )
    well["concentration_micromolar"] = _concentration(cell("concentration_micromolar"), cell("mmoles_per_liter"))
    well["dose_step"] = _number(cell("dose_step"), "dose")
    well["said"] = control_type_of(cell("control_type"), cell("pert_type"))
    if well["perturbation"] is None and well["said"] in ("treatment", "poscon"):
        raise InputRejectedError(f"well {well['well']} is a {well['said']} without a perturbation")
    return well


def _concentration(micromolar: str | None, millimolar: str | None) -> float | None:
    value = _number(micromolar, "concentration_micromolar")
    if value is None and millimolar is not None:
        value = (_number(millimolar, "mmoles_per_liter") or 0.0) * MILLIMOLAR_IN_MICROMOLAR
    if value is not None and value < 0:
        raise InputRejectedError(f"expected a concentration of at least 0, got {value}")
    return value


def _number(text: str | None, column: str) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputRejectedError(f"expected a number with a decimal point as {column}, got {text!r}")
    return value


def _as_json(row: Mapping[str, Any], columns: Iterable[str]) -> str:
    values = {column: row[column] for column in columns if row[column] is not None}
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def _twice(place: tuple[str | None, str], lines: list[int]) -> str:
    plate, well = place
    named = well if plate is None else f"{plate} {well}"
    return f"lines {', '.join(map(str, lines))}: well {named} is given {len(lines)} times"


def _none_is_loaded(source: str, wrong: list[str]) -> str:
    more = f"; and {len(wrong) - 10} more" if len(wrong) > 10 else ""
    return f"{source}: {len(wrong)} rows are wrong, so none is loaded: {'; '.join(wrong[:10])}{more}; correct them"
