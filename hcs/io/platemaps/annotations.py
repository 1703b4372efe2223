"""What is known of perturbations: name, structure, mechanism and control type (`external_metadata.tsv`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from hcs.errors import InputRejectedError, PlatemapError
from hcs.io.delimited import LINE
from hcs.io.platemaps.controls import control_type_of
from hcs.io.platemaps.maps import read_text_table
from hcs.io.platemaps.spelling import ROLES, columns_by_role, plain_name, something

FACTS = ("name", "smiles", "inchikey", "mechanism")
SEVERAL = "|"
"""Between several mechanisms of one perturbation."""

_SCHEMA = dict.fromkeys(("perturbation", *FACTS, "annotated"), pl.String)


def read_annotations(uris: Sequence[str], *, perturbations: Iterable[str]) -> pl.DataFrame:
    """Return one row a perturbation: `perturbation, name, smiles, inchikey, mechanism, annotated` (its control type).

    The key is the column, among those that can name a perturbation, that names most of the screen's. A row whose key is
    missing counts under its name (JUMP writes DMSO with `broad_sample` NA). Of several rows of one perturbation the
    first word stands, and their mechanisms are joined.

    Raises:
        PlatemapError: If a table cannot be read or has no key column.
    """
    wanted = set(perturbations)
    rows = [row for uri in uris for row in _rows(uri, wanted)]
    facts = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    first = [pl.col(column).drop_nulls().first() for column in ("name", "smiles", "inchikey", "annotated")]
    mechanisms = pl.col("mechanism").drop_nulls().str.split(SEVERAL).list.explode().str.strip_chars()
    joined = mechanisms.filter(mechanisms != "").unique(maintain_order=True).str.join(SEVERAL)
    grouped = facts.group_by("perturbation", maintain_order=True).agg(*first, joined)
    return grouped.with_columns(pl.col("mechanism").replace({"": None})).select(list(_SCHEMA))


def annotate(wells: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """Return wells with what the annotations know added where the platemap does not say it, and `annotated`."""
    known = annotations.rename({fact: f"known_{fact}" for fact in FACTS})
    joined = wells.join(known, on="perturbation", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(fact, f"known_{fact}") for fact in FACTS).select(*wells.columns, "annotated")


def _rows(uri: str, wanted: set[str]) -> list[tuple[str | None, ...]]:
    table = read_text_table(uri, what="annotations of perturbations")
    roles = columns_by_role(name for name in table.columns if name != LINE)
    key = _key_column(table, wanted, uri)
    rows = []
    for row in table.iter_rows(named=True):
        facts = [something(row[roles[fact]]) if fact in roles else None for fact in FACTS]
        try:
            said = control_type_of(*(row[roles[role]] for role in ("control_type", "pert_type") if role in roles))
        except InputRejectedError as error:
            raise PlatemapError(f"{uri}: line {row[LINE]}: {error}") from error
        perturbation = something(row[key]) or facts[0]
        if perturbation is not None:
            rows.append((perturbation, *facts, said))
    return rows


def _key_column(table: pl.DataFrame, wanted: set[str], uri: str) -> str:
    """Return the column that names most of the wanted perturbations, the more specific spelling where they tie."""
    spellings = {plain_name(column): column for column in reversed(table.columns)}
    candidates = [spellings[alias] for alias in (*ROLES["perturbation"], "name") if alias in spellings]
    if not candidates:
        raise PlatemapError(
            f"{uri}: expected a column perturbation, broad_sample, compound or pert_iname to join on, got "
            f"{', '.join(name for name in table.columns if name != LINE)}"
        )
    return max(candidates, key=lambda column: len(wanted & set(table[column].drop_nulls())))
