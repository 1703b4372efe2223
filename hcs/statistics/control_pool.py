"""The negative controls of some plates, as every treatment on these plates meets them.

What the permutation needs of profiles are inner products. Those between controls are made once for all treatments that
lie on the same plates; a treatment adds the few of its own wells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout
from hcs.statistics.similarity import descending_ranks

NEGLIGIBLE_LENGTH = 1e-12
"""A centred profile shorter than this share of the plate's largest uncentred one is rounding, and counts as zero."""


@dataclass(frozen=True)
class ControlPool:
    """The controls of A plates, and how many wells of a treatment lie on each.

    Plates, and the controls of a plate, stand in an order of their lengths and angles: names, the order of rows, a
    common factor and a rotation of the profile space change nothing.
    """

    plates: tuple[int, ...]
    """(A,), the plates' numbers as they came, in this order."""
    rows: NDArray[np.intp]
    """(C,), where each control stood when it came."""
    layout: Layout
    origins: NDArray[np.float64]
    """(A, D), the mean of each plate's controls: all profiles are taken from there, which keeps products precise."""
    negligible: NDArray[np.float64]
    """(A,), what is shorter on this plate is rounding."""
    centred: NDArray[np.float64]
    """(C, D), controls less their plate's origin, plate by plate."""
    products: NDArray[np.float64]
    """(C, C), of them."""

    @property
    def n_controls(self) -> tuple[int, ...]:
        """(A,), of each plate."""
        return self.layout.n_controls

    @cached_property
    def controls(self) -> tuple[slice, ...]:
        """(A,), where the controls of each plate stand."""
        return _slices(self.n_controls)

    @cached_property
    def replicates(self) -> tuple[slice, ...]:
        """(A,), where a treatment's wells of each plate stand among its R."""
        return _slices(self.layout.n_drawn)


def control_pool(
    controls: NDArray[np.floating], plates: NDArray[np.integer], n_replicates: dict[int, int]
) -> ControlPool:
    """Return the controls of the plates that a treatment lies on.

    Args:
        controls: (C, D), finite.
        plates: (C,), any integers, one a plate.
        n_replicates: How many wells of a treatment each plate holds, at least one; exactly the plates of `plates`.
    """
    names = sorted(n_replicates)
    members = [np.flatnonzero(plates == name) for name in names]
    origins, negligible, centred = _centred([np.asarray(controls[rows], dtype=np.float64) for rows in members])
    products = centred @ centred.T
    number = np.repeat(np.arange(len(names)), [len(rows) for rows in members])
    drawn = np.array([n_replicates[name] for name in names])
    order = _order(products, number, drawn)
    in_order = number[order]
    first = np.concatenate([[True], in_order[1:] != in_order[:-1]])
    ranked = in_order[first]
    sizes = np.bincount(number, minlength=len(names))[ranked]
    return ControlPool(
        plates=tuple(names[plate] for plate in ranked),
        rows=np.concatenate(members)[order],
        layout=Layout(tuple((sizes + drawn[ranked]).tolist()), tuple(drawn[ranked].tolist())),
        origins=origins[ranked],
        negligible=negligible[ranked],
        centred=centred[order],
        products=products[np.ix_(order, order)],
    )


def with_profiles(pool: ControlPool, profiles: NDArray[np.float64]) -> ControlPool:
    """Return the same plates and controls in the same order, with other profiles of them, (C, D) in that order."""
    origins, negligible, centred = _centred([profiles[place] for place in pool.controls])
    return replace(pool, origins=origins, negligible=negligible, centred=centred, products=centred @ centred.T)


def pool_for(
    controls: NDArray[np.floating], plates: NDArray[np.integer], replicate_plates: NDArray[np.integer]
) -> tuple[ControlPool, NDArray[np.intp]]:
    """Return the controls of the plates of some replicates, and the order of the replicates that goes with them, (R,).

    Args:
        controls: (C, D), finite.
        plates: (C,), any integers, one a plate.
        replicate_plates: (R,), exactly the plates of `plates`.
    """
    names, counts = np.unique(replicate_plates, return_counts=True)
    pool = control_pool(controls, plates, dict(zip(names.tolist(), counts.tolist(), strict=True)))
    return pool, np.concatenate([np.flatnonzero(replicate_plates == plate) for plate in pool.plates])


def _centred(
    values: Sequence[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each plate, what is rounding there, and all wells less their plate's mean."""
    origins = np.stack([plate.mean(axis=0) for plate in values])
    negligible = np.array([NEGLIGIBLE_LENGTH * np.sqrt(np.einsum("nd,nd->n", plate, plate).max()) for plate in values])
    centred = [
        without_rounding(plate - origin, least)
        for plate, origin, least in zip(values, origins, negligible, strict=True)
    ]
    return origins, negligible, np.vstack(centred)


def without_rounding(vectors: NDArray[np.float64], negligible: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return vectors (..., D), those not longer than `negligible` as zero."""
    squares = np.einsum("...d,...d->...", vectors, vectors)
    is_rounding = squares <= np.square(negligible)
    return np.where(is_rounding[..., None], 0.0, vectors) if is_rounding.any() else vectors


def _slices(sizes: tuple[int, ...]) -> tuple[slice, ...]:
    ends = np.cumsum(sizes)
    return tuple(slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True))


def _order(products: NDArray[np.float64], plates: NDArray[np.intp], drawn: NDArray[np.intp]) -> NDArray[np.intp]:
    squares = products.diagonal().copy()
    lengths = np.sqrt(squares)
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    cosines = products * inverse[:, None] * inverse
    # Not a power of 3, for which numpy calls a function for each.
    return order_of_controls(squares, (cosines * cosines * cosines).sum(axis=1), plates, drawn)


def order_of_controls(
    squares: NDArray[np.float64], cubes: NDArray[np.float64], plates: NDArray[np.intp], drawn: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Order plates, and the controls in them, by length and then by a skewed sum of cosines.

    Both survive a rotation and a common factor up to rounding, which the tolerance of the ranks absorbs. Cubes tell a
    well from its mirror image, unless all wells have one, as where every plate has two controls. What is still tied
    keeps the order in which it came.

    Args:
        squares: (C,), squared lengths.
        cubes: (C,), of each control, the sum of the cubes of its cosines with others.
        plates: (C,), 0, 1, ...
        drawn: (A,), how many wells of a treatment each plate holds.
    """
    plate_order = np.lexsort(
        (
            _ranks(np.bincount(plates, weights=cubes**2).astype(np.float64)),
            _ranks(np.bincount(plates, weights=squares).astype(np.float64)),
            np.bincount(plates),
            drawn,
        )
    )
    rank = np.empty(len(plate_order), dtype=np.int64)
    rank[plate_order] = np.arange(len(plate_order))
    order: NDArray[np.intp] = np.lexsort((_ranks(cubes), _ranks(squares), rank[plates]))
    return order


def _ranks(values: NDArray[np.float64]) -> NDArray[np.int32]:
    scale = np.abs(values).max() or 1.0
    ranks: NDArray[np.int32] = descending_ranks((values / scale)[None, :])[0]
    return ranks
