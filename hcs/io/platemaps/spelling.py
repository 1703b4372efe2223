"""How platemaps and annotations spell their columns, and what stands for nothing in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

ROLES: Mapping[str, Sequence[str]] = {
    "plate": ("plate", "barcode", "assay_plate_barcode"),
    "plate_map_name": ("plate_map_name",),
    "well": ("well", "well_position", "well_name", "pert_well", "cpd_well_position"),
    "row": ("row",),
    "column": ("column", "col"),
    "perturbation": ("perturbation", "broad_sample", "jcp2022", "compound", "drug", "pert_iname"),
    "concentration_micromolar": ("concentration_micromolar",),
    "mmoles_per_liter": ("mmoles_per_liter",),
    "dose_step": ("dose_step", "dose"),
    "control_type": ("control_type",),
    "pert_type": ("pert_type",),
    "name": ("name", "pert_iname", "common_name"),
    "smiles": ("smiles",),
    "inchikey": ("inchikey",),
    "mechanism": ("mechanism", "moa"),
    "solvent": ("solvent",),
}
"""What a column means -> the spellings that mean it, the more specific first."""

_NOTHING = frozenset({"", "na", "n/a", "nan", "null"})


def plain_name(column: str) -> str:
    """Return a column's name without case, prefix and the difference between space, hyphen and underscore."""
    return re.sub(r"[\s\-]+", "_", column.strip().casefold()).removeprefix("metadata_")


def columns_by_role(columns: Iterable[str]) -> dict[str, str]:
    """Return role -> column, for the roles that a table has a column for."""
    spelled: dict[str, str] = {}
    for column in columns:
        spelled.setdefault(plain_name(column), column)
    found = {role: [spelled[alias] for alias in aliases if alias in spelled] for role, aliases in ROLES.items()}
    return {role: matches[0] for role, matches in found.items() if matches}


def something(text: str | None) -> str | None:
    """Return a cell's text; None where it is empty or one of the spellings of a missing value."""
    return None if text is None or text.strip().casefold() in _NOTHING else text.strip()
