"""The correction for batches of a run: what the audit picks for each encoder's block, or what was asked for.

Only corrections that are fitted on all wells without their labels are candidates: a permutation of labels then sees the
same profiles, so that p-values stay what they say, and no control is lost to a fit. A block is looked at alone, so
that nothing of it depends on what stands beside it (docs/explanations/decisions/0033).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.audit.audit import Audit, MethodAudit, audit_profiles
from hcs.profiling.audit.rule import BASELINE
from hcs.profiling.audit.wells import AuditColumns, AuditWells, audit_wells
from hcs.profiling.corrections.combat import combat
from hcs.profiling.corrections.correction import Corrected, Correction, Design
from hcs.profiling.corrections.harmony import harmony
from hcs.profiling.corrections.registry import uncorrected
from hcs.profiling.row_order import order_by_content
from hcs.statistics.intervals import MeanInterval

BatchMethod = Literal["auto", "none", "whiten", "combat", "harmony"]
"""As `ProfileConfig.correct` has them: neither `none` nor `whiten` looks at batches."""

WITHOUT_LABELS: Final[Mapping[str, Correction]] = MappingProxyType(
    {BASELINE: uncorrected, "combat": partial(combat, protect="nothing"), "harmony": harmony}
)
"""From simple to intricate."""
MOST_WELLS: Final = 2_000
"""Treated wells that the audit of a block looks at; of more, perturbations are chosen by a hash of their names."""

_COLUMNS: Final = AuditColumns(batch="batch", perturbation="perturbation", plate="plate", well="well")

Block = NDArray[np.float64]


@dataclass(frozen=True)
class CorrectedBlocks:
    """The blocks of a run after its correction for batches."""

    blocks: dict[str, Block]
    methods: dict[str, str]
    """Encoder -> `none`, `combat` or `harmony`."""
    notes: tuple[str, ...]
    """What was picked and why, with figures: first what holds for all blocks, then a line a block. Empty where there
    is one batch."""


def correct_batches(
    blocks: Mapping[str, Block], wells: pl.DataFrame, *, is_fitted: NDArray[np.bool_], method: BatchMethod
) -> CorrectedBlocks:
    """Return every encoder's block without what its batches have of their own, if the audit finds that this helps.

    With one batch nothing is done. `auto` lets an audit of each block choose among no correction, ComBat and Harmony on
    one half of the perturbations.

    Args:
        blocks: Encoder -> (W, k), whitened, finite.
        wells: `plate, well, batch, perturbation, control_type`, one row a well; a null batch is one like any other.
        is_fitted: (W,), wells that corrections look at and change; others stay as they are.
        method: `auto`, or what is done without asking.

    Returns:
        The same bits of a block for any order of the wells, any names of plates, and any other blocks beside it.

    Raises:
        InputRejectedError: If the method that was asked for cannot be applied to a block.
    """
    if not _is_asked(method, wells, is_fitted):
        return CorrectedBlocks(dict(blocks), dict.fromkeys(blocks, BASELINE), ())
    named = wells.with_columns(pl.col("batch").cast(pl.String).fill_null(""))
    made = {name: _decided(blocks[name], named, is_fitted, method, encoder=name) for name in sorted(blocks)}
    return CorrectedBlocks(
        blocks={name: made[name].values for name in blocks},
        methods={name: made[name].method for name in blocks},
        notes=(
            *dict.fromkeys(sentence for one in made.values() for sentence in one.known),
            *said_once({name: one.said for name, one in made.items()}),
        ),
    )


def leave_batches(
    blocks: Mapping[str, Block], wells: pl.DataFrame, *, is_fitted: NDArray[np.bool_], method: BatchMethod
) -> CorrectedBlocks:
    """Return blocks that are not whitened as they are, with a note if a correction for batches was asked for.

    Args:
        blocks: Encoder -> (W, k).
        wells: As `correct_batches` takes them.
        is_fitted: (W,), wells that a correction would look at.
        method: What was asked for.
    """
    note = (
        "batches are not corrected: the correction is chosen and fitted on whitened profiles, and nothing is whitened "
        "here"
    )
    is_asked = _is_asked(method, wells, is_fitted)
    return CorrectedBlocks(dict(blocks), dict.fromkeys(blocks, BASELINE), (note,) if is_asked else ())


def _is_asked(method: BatchMethod, wells: pl.DataFrame, is_fitted: NDArray[np.bool_]) -> bool:
    """Return whether batches are to be looked at: a method for them is named, and there are several."""
    if method in {"none", "whiten"} or "batch" not in wells.columns:
        return False
    return wells.filter(pl.Series(is_fitted))["batch"].n_unique() > 1


def said_once(said: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return what is said of every name, once, and then a line for each name with what is said of it alone.

    Args:
        said: Name -> sentences.
    """
    lists = list(said.values())
    common = [sentence for sentence in lists[0] if all(sentence in others for others in lists[1:])] if lists else []
    own = {name: [one for one in sentences if one not in common] for name, sentences in said.items()}
    return [*common, *(f"{name}: {'; '.join(sentences)}" for name, sentences in own.items() if sentences)]


@dataclass(frozen=True)
class _Decided:
    """One block as it is used, and what there is to say of it."""

    values: Block
    method: str
    said: tuple[str, ...]
    """Of this block."""
    known: tuple[str, ...] = ()
    """What a reader must know to understand it, the same words for every block."""


def _decided(
    block: Block, wells: pl.DataFrame, is_fitted: NDArray[np.bool_], method: BatchMethod, *, encoder: str
) -> _Decided:
    """Return a block corrected as asked, or as its own audit picks."""
    order = _order(block, wells, is_fitted)
    metadata, values = wells[order], block[order]
    is_negcon = (metadata["control_type"].cast(pl.String) == "negcon").fill_null(value=False).to_numpy()
    known = audit_wells(metadata, values, columns=_COLUMNS, is_negcon=is_negcon)
    if method == "auto":
        if not known.is_treated.any():
            return _Decided(block, BASELINE, ("batches are not corrected: no well names what was done to it",))
        audit, candidates = _audited(values, known)
        picked, said, read = audit.choice.method, tuple(_told(audit)), tuple(_how_to_read(audit))
        made = candidates[picked]
    else:
        picked, said, read = method, (), ()
        try:
            made = WITHOUT_LABELS[method](values, known.design)
        except InputRejectedError as error:
            raise InputRejectedError(f"{encoder} cannot be corrected for batches by {method}: {error}") from error
    if picked == BASELINE:
        return _Decided(block, picked, said, read)
    corrected = block.copy()
    corrected[order] = made.values
    fitted = f"corrections for batches are fitted on {made.fitted_on}"
    return _Decided(corrected, picked, (*said, *(f"{picked}: {note}" for note in made.notes)), (*read, fitted))


def _order(block: Block, wells: pl.DataFrame, is_fitted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the fitted wells in an order of their content; wells of the same content by what is known of them."""
    by_name = wells.select("batch", "perturbation", "control_type", "well").with_row_index("row")
    rows = by_name.filter(pl.Series(is_fitted)).sort(pl.exclude("row").cast(pl.String))["row"].to_numpy()
    return np.asarray(rows[order_by_content(block[rows])[0]], dtype=np.intp)


def _audited(values: Block, known: AuditWells) -> tuple[Audit, dict[str, Corrected]]:
    """Return the audit of a block, and the block as each candidate makes it."""
    made: dict[str, Corrected] = {}

    def kept(name: str) -> Callable[[NDArray[np.floating], Design], Corrected]:
        def correct(given: NDArray[np.floating], design: Design) -> Corrected:
            made[name] = WITHOUT_LABELS[name](given, design)
            return made[name]

        return correct

    corrections = {name: kept(name) for name in WITHOUT_LABELS}
    audit = audit_profiles(values, known, corrections=corrections, with_figures=False, most_wells=MOST_WELLS)
    return audit, made


def _how_to_read(audit: Audit) -> Iterator[str]:
    """Yield what is the same for every block."""
    yield f"{audit.n_batches} batches; an audit of each encoder's own profiles chooses whether they are corrected"
    if any(_figures(one) for one in audit.methods):
        yield (
            f"retrieval is that of {audit.n_reported} perturbations that the choice did not look at, in other batches "
            "(mean average precision with 95 % interval)"
        )
    if audit.choice.method != BASELINE:
        yield "a run with `correct: whiten` shows the calls without a correction for batches"


def _told(audit: Audit) -> Iterator[str]:
    """Yield what a reader of the calls must know of the choice for one block."""
    choice = audit.choice
    how = "not corrected" if choice.method == BASELINE else f"corrected by {choice.method}"
    yield f"batches are {how}: {choice.because}"
    figures = [text for one in audit.methods if (text := _figures(one))]
    if figures:
        yield f"retrieval {', '.join(figures)}"
    yield from (f"{one.method} cannot be applied: {one.refused}" for one in audit.methods if one.refused)
    yield from audit.notes


def _figures(one: MethodAudit) -> str | None:
    if one.reported is None:
        return None
    found = f"{one.method} {_with_interval(one.reported)}"
    if one.gain is None or one.method == BASELINE:
        return found
    return f"{found} (gain {_with_interval(one.gain, sign='+')})"


def _with_interval(one: MeanInterval, *, sign: str = "") -> str:
    """Return the mean and, where there is one, its interval: a single perturbation has none."""
    interval = "" if one.low is None or one.high is None else f" [{one.low:{sign}.3f}, {one.high:{sign}.3f}]"
    return f"{one.mean:{sign}.3f}{interval}"
