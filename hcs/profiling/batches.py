"""The correction for batches of a run: what the audit picks, or what was asked for.

Only corrections that are fitted on all wells without their labels are candidates: a permutation of labels then sees the
same profiles, so that p-values stay what they say, and no control is lost to a fit (docs/explanations/decisions/0029).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.profiling.audit.audit import Audit, MethodAudit, audit_profiles
from hcs.profiling.audit.rule import BASELINE
from hcs.profiling.audit.wells import AuditColumns, AuditWells, audit_wells
from hcs.profiling.combine import combine_blocks
from hcs.profiling.corrections.combat import combat
from hcs.profiling.corrections.correction import Corrected, Correction, Design
from hcs.profiling.corrections.harmony import harmony
from hcs.profiling.corrections.registry import uncorrected
from hcs.profiling.row_order import order_by_content

BatchMethod = Literal["auto", "none", "whiten", "combat", "harmony"]
"""As `ProfileConfig.correct` has them: neither `none` nor `whiten` looks at batches."""

WITHOUT_LABELS: Final[Mapping[str, Correction]] = MappingProxyType(
    {BASELINE: uncorrected, "combat": partial(combat, protect="nothing"), "harmony": harmony}
)
"""From simple to intricate."""

_COLUMNS: Final = AuditColumns(batch="batch", perturbation="perturbation", plate="plate", well="well")

Blocks = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class CorrectedBlocks:
    """The blocks of a run after its correction for batches."""

    blocks: dict[str, NDArray[np.float64]]
    method: str
    notes: tuple[str, ...]
    """What was picked and why, with figures; empty where there is one batch."""


def correct_batches(
    blocks: Blocks,
    wells: pl.DataFrame,
    *,
    combined: tuple[str, ...],
    is_fitted: NDArray[np.bool_],
    method: BatchMethod,
) -> CorrectedBlocks:
    """Return every encoder's block without what its batches have of their own, if the audit finds that this helps.

    With one batch nothing is done. `auto` lets the audit choose among no correction, ComBat and Harmony on one half of
    the perturbations, by the profile that the combined encoders make; every block is then corrected by itself.

    Args:
        blocks: Encoder -> (W, k), whitened, finite.
        wells: `plate, well, batch, perturbation, control_type`, one row a well; a null batch is one like any other.
        combined: The encoders whose blocks make the combined profile.
        is_fitted: (W,), wells that corrections look at and change; others stay as they are.
        method: `auto`, or what is done without asking.

    Returns:
        The same bits for any order of the wells and any names of plates.

    Raises:
        hcs.errors.InputRejectedError: If the method that was asked for cannot be applied.
    """
    unchanged = CorrectedBlocks(dict(blocks), BASELINE, ())
    if not asks_for_batches(method) or not combined or n_batches(wells, is_fitted) < 2:
        return unchanged
    order = _order(blocks, combined, is_fitted)
    metadata = wells.with_columns(pl.col("batch").cast(pl.String).fill_null(""))[order]
    ordered = {name: block[order] for name, block in blocks.items()}
    is_negcon = (metadata["control_type"].cast(pl.String) == "negcon").fill_null(value=False).to_numpy()
    content = np.hstack([ordered[name] for name in sorted(combined)])
    known = audit_wells(metadata, content, columns=_COLUMNS, is_negcon=is_negcon)
    notes: tuple[str, ...] = ()
    if method == "auto":
        if not known.is_treated.any():
            return unchanged
        audit = _audit(ordered, known, combined=combined)
        method, notes = _picked(audit), tuple(_told(audit))
    corrected = dict(blocks)
    if method != BASELINE:
        for name, block in ordered.items():
            result = WITHOUT_LABELS[method](block, known.design)
            corrected[name] = _put_back(result.values, blocks[name], order)
            notes += tuple(f"{name}: {method}: {note}" for note in result.notes)
        notes += (f"every block is corrected for batches by {method}, fitted on {result.fitted_on}",)
    return CorrectedBlocks(corrected, method, notes)


def asks_for_batches(method: BatchMethod) -> bool:
    """Return whether a configuration wants its batches looked at."""
    return method not in {"none", "whiten"}


def n_batches(wells: pl.DataFrame, is_fitted: NDArray[np.bool_]) -> int:
    """Return how many batches these wells are of; a table that names none is one."""
    return wells.filter(pl.Series(is_fitted))["batch"].n_unique() if "batch" in wells.columns else 1


def _order(blocks: Blocks, combined: tuple[str, ...], is_fitted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the fitted wells in an order of their content in the combined encoders' blocks."""
    rows = np.flatnonzero(is_fitted)
    content = np.hstack([blocks[name][rows] for name in sorted(combined)])
    return rows[order_by_content(content)[0]]


def _audit(blocks: Blocks, known: AuditWells, *, combined: tuple[str, ...]) -> Audit:
    """Return the audit of the combined profile, each candidate made as the run would make it."""
    everything = np.ones(len(known.design.plates), dtype=np.bool_)

    @cache
    def candidate(name: str) -> NDArray[np.float64]:
        made = {
            encoder: np.asarray(WITHOUT_LABELS[name](blocks[encoder], known.design).values, dtype=np.float64)
            for encoder in combined
        }
        return combine_blocks(made, is_reference=everything)

    def correction(name: str) -> Correction:
        def correct(values: NDArray[np.floating], design: Design) -> Corrected:
            return Corrected(candidate(name), fitted_on="all wells without their labels", n_fitted=len(values))

        return correct

    corrections = {name: correction(name) for name in WITHOUT_LABELS}
    return audit_profiles(candidate(BASELINE), known, corrections=corrections, with_figures=False)


def _picked(audit: Audit) -> BatchMethod:
    for method in ("combat", "harmony"):
        if audit.choice.method == method:
            return method
    return "none"


def _told(audit: Audit) -> list[str]:
    """Return what a reader of the calls must know of the choice, as sentences."""
    said = [_verdict(audit)]
    figures = [text for one in audit.methods if (text := _figures(one))]
    if figures:
        said.append(
            f"retrieval of {audit.n_reported} perturbations that the choice did not look at, in other batches (mean "
            f"average precision with 95 % interval): {'; '.join(figures)}"
        )
    said += [f"{one.method} cannot be applied: {one.refused}" for one in audit.methods if one.refused]
    return [*said, *audit.notes]


def _verdict(audit: Audit) -> str:
    choice = audit.choice
    if choice.method == BASELINE:
        return f"{audit.n_batches} batches are not corrected: {choice.because}"
    return (
        f"{audit.n_batches} batches are corrected by {choice.method}: {choice.because}; a run with `correct: whiten` "
        "shows the calls without it"
    )


def _figures(one: MethodAudit) -> str | None:
    if one.reported is None:
        return None
    found = f"{one.method} {one.reported.mean:.3f} ({one.reported.low:.3f} to {one.reported.high:.3f})"
    if one.gain is None or one.method == BASELINE:
        return found
    return f"{found}, {one.gain.mean:+.3f} ({one.gain.low:+.3f} to {one.gain.high:+.3f}) over {BASELINE}"


def _put_back(values: NDArray[np.floating], block: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    whole = block.copy()
    whole[order] = values
    return whole
