"""ComBat of profiles: fitted on all wells, with what must not be taken for a batch effect protected.

A batch that holds another share of active wells than the others looks shifted. Protecting the difference between
negative controls and other wells lets each batch have its own share. Protecting every perturbation also lets each have
its own compounds, but the fit then looks at what it is later judged by.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.corrections.correction import Corrected, Design
from hcs.profiling.finite import refuse_missing
from hcs.statistics.combat import BatchEffects, Moments, batch_effects

Protected = Literal["controls", "perturbations", "nothing"]

_ROWS_AT_ONCE = 4096


def combat(values: NDArray[np.floating], design: Design, *, protect: Protected = "controls") -> Corrected:
    """Return profiles without the location and scale of batches, both drawn together over features.

    A batch of one well gets a location and keeps its scale. One batch alone stays as it is.

    Args:
        values: (W, D), finite.
        design: Batches, and the wells that are protected.
        protect: What differences between wells are no batch effect: between negative controls and others, between all
            perturbations, or none.

    Returns:
        (W, D), in the dtype of the values.

    Raises:
        UsageError: If `protect` is not known.
        InputRejectedError: If batches share no group of wells that is protected, so that the two cannot be told apart;
            fewer than two features vary; or a value is NaN.
    """
    if protect not in get_args(Protected):
        raise UsageError(f"protect can be {', '.join(get_args(Protected))}, but {protect!r} came")
    refuse_missing(values)
    labels, batches = np.unique(design.batches, return_inverse=True)
    on = f"all {len(values):,} wells, {_SENTENCES[protect]}"
    if len(labels) < 2:
        return Corrected(values, on, len(values), ("all wells are of one batch: nothing was removed",))
    groups = _groups(design, protect)
    _refuse_confounded(batches, groups, labels, protect)
    cells, cell_of = np.unique(np.stack([batches, groups]), axis=1, return_inverse=True)
    effects = batch_effects(_moments(values, cells, cell_of.ravel()))
    corrected = np.empty(values.shape, dtype=values.dtype)
    for batch in range(len(labels)):
        rows = np.flatnonzero(batches == batch)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            corrected[part] = effects.removed_from(values[part].astype(np.float64), batch, groups[part])
    return Corrected(corrected, on, len(values), _notes(batches, labels, effects))


_SENTENCES = {
    "controls": "told apart as negative controls and others",
    "perturbations": "with the perturbation of each, which later scores see too",
    "nothing": "without their labels",
}


def _groups(design: Design, protect: Protected) -> NDArray[np.intp]:
    """Return the protected group of every well, 0, 1, ... without gaps, (W,)."""
    if protect == "nothing":
        return np.zeros(len(design.batches), dtype=np.intp)
    raw = np.where(design.is_negcon, -2, design.perturbations if protect == "perturbations" else 0)
    return np.asarray(np.unique(raw, return_inverse=True)[1], dtype=np.intp)


def _refuse_confounded(
    batches: NDArray[np.intp], groups: NDArray[np.intp], labels: NDArray[np.intp], protect: Protected
) -> None:
    """Raise if batches fall into parts that no protected group connects: the design has no full rank then."""
    n_batches = len(labels)
    ties = coo_array((np.ones(len(batches)), (batches, n_batches + groups)), shape=(n_batches + groups.max() + 1,) * 2)
    n_parts, part = connected_components(ties, directed=False)
    if n_parts > 1:
        apart = [int(label) for label, own in zip(labels, part[:n_batches], strict=True) if own != part[0]]
        raise InputRejectedError(
            f"batches that share wells of a protected group are expected, but the {n_batches} batches fall into "
            f"{n_parts} parts that share none (with protect {protect!r}; batch {apart[0]} is in another part than "
            f"batch {labels[0]}): what is batch and what is {protect} cannot be told apart; protect less, or leave "
            "these batches uncorrected"
        )


def _moments(values: NDArray[np.floating], cells: NDArray[np.intp], cell_of: NDArray[np.intp]) -> Moments:
    counts = np.bincount(cell_of)
    order = np.argsort(cell_of, kind="stable")
    ends = np.concatenate([[0], np.cumsum(counts)])
    means, squares = (np.zeros((len(counts), values.shape[1])) for _ in range(2))
    for cell in range(len(counts)):
        rows = order[ends[cell] : ends[cell + 1]]
        parts = [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
        for part in parts:
            means[cell] += values[part].sum(axis=0, dtype=np.float64)
        means[cell] /= len(rows)
        for part in parts:
            about = values[part] - means[cell]
            squares[cell] += np.einsum("nd,nd->d", about, about)
    return Moments(cells[0], cells[1], counts, means, squares)


def _notes(batches: NDArray[np.intp], labels: NDArray[np.intp], effects: BatchEffects) -> tuple[str, ...]:
    notes = []
    single = labels[np.bincount(batches) == 1]
    if len(single):
        notes.append(
            f"{len(single)} batches have one well, the first is batch {single[0]}: their location was corrected, their "
            "scale could not be"
        )
    n_constant = int((~effects.varies).sum())
    if n_constant:
        notes.append(
            f"{n_constant} features do not vary within batches, the first is feature "
            f"{np.flatnonzero(~effects.varies)[0]}: they are the same in all batches now"
        )
    return tuple(notes)
