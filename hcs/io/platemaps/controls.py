"""Which wells are controls: what the platemap says, else the screen's `controls`, else the annotation."""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from hcs.errors import InputRejectedError
from hcs.io.platemaps.spelling import something
from schemas.screen import ControlNames

UNDECIDED = "control"
"""A control of which the table does not say whether it is negative or positive (LINCS: `pert_type` is `control`)."""

_SPELLINGS = {
    "treatment": ("trt", "treatment", "treated", "sample"),
    "negcon": ("negcon", "neg", "negative", "negative_control", "neg_control", "vehicle"),
    "poscon": ("poscon", "pos", "positive", "positive_control", "pos_control"),
    "empty": ("empty", "blank", "empty_well"),
    UNDECIDED: ("control", "ctrl"),
}
_MEANINGS = {spelling: meaning for meaning, spellings in _SPELLINGS.items() for spelling in spellings}


def control_type_of(*cells: str | None) -> str | None:
    """Return the control type that a row's cells say, the first that decides; None where they say nothing.

    `control_type` and `pert_type` are such cells; JUMP writes kinds of controls as `poscon_diverse`.

    Raises:
        InputRejectedError: If a cell says something unknown.
    """
    said = [_meaning(text) for text in map(something, cells) if text is not None]
    return next((meaning for meaning in said if meaning != UNDECIDED), UNDECIDED if said else None)


def _meaning(text: str) -> str:
    plain = re.sub(r"[\s\-]+", "_", text.casefold())
    kind = plain.partition("_")[0]
    meaning = _MEANINGS.get(plain) or (kind if kind in ("negcon", "poscon") else None)
    if meaning is None:
        raise InputRejectedError(
            f"expected treatment (trt), negcon, poscon, empty or control as the type of a well, got {text!r}"
        )
    return meaning


def decide_control_types(wells: pl.DataFrame, *, controls: ControlNames) -> pl.DataFrame:
    """Return wells with `control_type` decided and the perturbation of solvent wells named.

    The platemap's own word comes first. A well without perturbation is a negative control where the platemap calls it a
    control, or where its solvent is one of the negative controls' names (JUMP-Target: an empty `broad_sample` in
    DMSO), and is empty otherwise. Then come `controls`, compared with perturbation and name without case and outer
    spaces; then the annotation; then it is a treatment.

    Args:
        wells: With `perturbation, name, solvent, said, annotated`; the last two as `control_type_of` returns them.
        controls: Of the screen.

    Returns:
        The same without `solvent, said, annotated`; `control_type` may still be `UNDECIDED`.
    """
    negative, positive = _plain_names(controls.negcon), _plain_names(controls.poscon)
    is_named = pl.col("perturbation").is_not_null()
    says_control = pl.col("said").is_in(["negcon", UNDECIDED]).fill_null(value=False)
    is_solvent = ~is_named & (says_control | (pl.col("said").is_null() & _is_one_of("solvent", negative)))
    decided = (
        pl.when(pl.col("said").is_not_null() & (pl.col("said") != UNDECIDED))
        .then(pl.col("said"))
        .when(is_solvent)
        .then(pl.lit("negcon"))
        .when(~is_named)
        .then(pl.lit("empty"))
        .when(_is_one_of("perturbation", negative) | _is_one_of("name", negative))
        .then(pl.lit("negcon"))
        .when(_is_one_of("perturbation", positive) | _is_one_of("name", positive))
        .then(pl.lit("poscon"))
        .otherwise(pl.coalesce("annotated", "said", pl.lit("treatment")))
    )
    default = pl.lit(controls.negcon[0] if controls.negcon else "negcon")
    solvent = pl.when(is_solvent).then(pl.coalesce("solvent", default)).otherwise(pl.col("perturbation"))
    return wells.with_columns(control_type=decided, perturbation=solvent).drop("solvent", "said", "annotated")


def _plain_names(names: Iterable[str]) -> list[str]:
    return sorted({name.strip().lower() for name in names})


def _is_one_of(column: str, names: list[str]) -> pl.Expr:
    return pl.col(column).str.strip_chars().str.to_lowercase().is_in(names).fill_null(value=False)
