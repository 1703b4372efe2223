"""The pools of treatments: their replicates and the negative controls of the same plates, centred plate by plate.

Profiles are usually normalized on the very controls that they are then compared with. That puts the mean of the
controls of a plate at the origin and so makes controls repel one another, which treated wells do not. Centring each
plate's pool on its own middle treats both alike again, and makes a shift of a plate irrelevant.

Then only the direction in which a well lies counts, not how far: normalizing on the controls makes them shorter than
treated wells, and a statistic that looks at lengths takes that for activity. The middle too is where the directions of
all wells add up to nothing, the spatial median, and not where the wells themselves do: from the mean, a longer well has
more of the others on its far side. An odd well, as a site full of debris is, has no more to say there than any other.

The middle is a weighted mean of the pool's wells, so that weights and inner products are all that is ever needed: many
treatments on the same plates are centred together, and no profile is looked at twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.control_pool import ControlPool, without_rounding

_SHORTEST = 0.1
"""A well nearer to the middle of its plate's pool than this, in median distances, pulls at it in proportion."""
_STEPS = 8
"""Towards the middle of a pool; with D features each leaves about one Dth of the distance."""
ROUNDING = 1e-13
"""A squared length below this share of the plate's median one is what products of floats leave over."""
_FEATURES_AT_ONCE = 250_000
"""Features of replicates that are read together: 2 MB."""
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Pools:
    """T pools of the same controls, each with the R wells of one treatment. P is C + R: controls, then replicates."""

    controls: ControlPool
    own: NDArray[np.float64]
    """(T, R, P), products of replicates with all wells of the pool, taken from the plates' origins."""
    middles: NDArray[np.float64]
    """(T, A, P), products of each plate's middle with all wells."""
    between: NDArray[np.float64]
    """(T, A, A), products of middles."""
    inverse_lengths: NDArray[np.float64]
    """(T, P), one over the distance of each well from its plate's middle; 0 for one that lies there."""

    def part(self, treatments: slice | NDArray[np.intp]) -> Pools:
        """Return the pools of some of the treatments."""
        return Pools(
            self.controls,
            self.own[treatments],
            self.middles[treatments],
            self.between[treatments],
            self.inverse_lengths[treatments],
        )

    def wells_of(self, plate: int) -> tuple[slice, slice]:
        """Return where the controls and the replicates of a plate stand among P."""
        n = len(self.controls.centred)
        own = self.controls.replicates[plate]
        return self.controls.controls[plate], slice(n + own.start, n + own.stop)


def centred_pools(controls: ControlPool, replicates: NDArray[np.floating]) -> Pools:
    """Return the pools of treatments, each plate centred on the middle of its replicates and controls together.

    Args:
        controls: Of the plates that all of these treatments lie on.
        replicates: (T, R, D), finite; the wells of each treatment, plate by plate in the order of `controls.plates`.
    """
    own = _own_products(controls, replicates)
    if max(controls.layout.n_drawn) > 1:
        own = _in_order(own, controls)
    weights = _middle_weights(controls, own)
    return _centred(controls, own, weights)


def _own_products(controls: ControlPool, replicates: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the products of replicates with all wells of the pool, (T, R, P), taken from the plates' origins."""
    n_treatments, n_own, n_features = replicates.shape
    n = len(controls.centred)
    plate_of = np.repeat(np.arange(len(controls.plates)), controls.layout.n_drawn)
    origins, negligible = controls.origins[plate_of], controls.negligible[plate_of]
    own = np.empty((n_treatments, n_own, n + n_own))
    step = max(1, _FEATURES_AT_ONCE // (n_own * n_features))
    for start in range(0, n_treatments, step):
        some = slice(start, start + step)
        vectors = replicates[some].astype(np.float64)
        vectors -= origins
        vectors = without_rounding(vectors, negligible)
        own[some, :, :n] = (vectors.reshape(-1, n_features) @ controls.centred.T).reshape(-1, n_own, n)
        np.matmul(vectors, vectors.transpose(0, 2, 1), out=own[some, :, n:])
    return own


def _in_order(own: NDArray[np.float64], controls: ControlPool) -> NDArray[np.float64]:
    """Put the replicates of a plate in an order of their geometry, so that rows may come in any order."""
    n = len(controls.centred)
    squares = np.einsum("trr->tr", own[:, :, n:])
    largest = squares.max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest, 1.0)
    first = np.round(squares / scale, 9)
    second = np.round(((own[:, :, :n] / scale[:, :, None]) ** 3).sum(axis=2) / max(n, 1), 9)
    plate_of = np.broadcast_to(np.repeat(np.arange(len(controls.plates)), controls.layout.n_drawn), first.shape)
    order = np.lexsort((second, first, plate_of), axis=1)
    rows = np.take_along_axis(own, order[:, :, None], axis=1)
    columns = np.concatenate([np.broadcast_to(np.arange(n), (len(own), n)), n + order], axis=1)
    return np.take_along_axis(rows, columns[:, None, :], axis=2)


def _middle_weights(controls: ControlPool, own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of each well the middle of its plate is: (T, P), adding up to 1 on every plate.

    The middle is the spatial median, by steps like those of Weiszfeld (1937, Tohoku Mathematical Journal 43:355).
    """
    n = len(controls.centred)
    weights = np.empty((len(own), own.shape[2]))
    for place, mine in zip(controls.controls, controls.replicates, strict=True):
        theirs = slice(n + mine.start, n + mine.stop)
        weights[:, place], weights[:, theirs] = plate_weights(
            controls.products[place, place], own[:, mine, place], own[:, mine, theirs]
        )
    return weights


def plate_weights(
    among: NDArray[np.float64], across: NDArray[np.float64], own: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of a plate's controls (T, n) and replicates (T, r).

    Args:
        among: (n, n), products of controls.
        across: (T, r, n), of replicates with controls.
        own: (T, r, r), of replicates.
    """
    n_treatments, r, n = across.shape
    squares = np.hstack([np.broadcast_to(among.diagonal(), (n_treatments, n)), np.einsum("trr->tr", own)])
    rounding = ROUNDING * typical_square(squares)
    weights = np.full((n_treatments, n + r), 1 / (n + r))
    for _ in range(_STEPS):
        lengths = _distances(squares, _times(weights, among, across, own), weights, rounding)
        np.sqrt(lengths, out=lengths)
        usual = _medians(lengths)
        np.maximum(lengths, np.maximum(_SHORTEST * usual, _TINY), out=lengths)
        # Where most wells are one and the same there is no usual length.
        pull = np.where(usual > 0, np.divide(usual, lengths, out=lengths), 1.0)
        weights *= 1 - pull.sum(axis=1, keepdims=True) / (n + r)
        pull /= n + r
        weights += pull
    return weights[:, :n], weights[:, n:]


def _times(
    weights: NDArray[np.float64], among: NDArray[np.float64], across: NDArray[np.float64], own: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the products of a weighted mean with all wells of its plate, (T, n + r)."""
    n = len(among)
    of_controls, of_own = weights[:, :n], weights[:, n:]
    products = np.empty_like(weights)
    np.matmul(of_controls, among, out=products[:, :n])
    # Replicates of a plate are few, so that a loop over them is faster than as many small products of matrices.
    for place in range(own.shape[1]):
        products[:, :n] += of_own[:, place, None] * across[:, place]
        products[:, n + place] = np.einsum("tn,tn->t", across[:, place], of_controls)
        products[:, n + place] += np.einsum("tr,tr->t", own[:, place], of_own)
    return products


def _distances(
    squares: NDArray[np.float64],
    products: NDArray[np.float64],
    weights: NDArray[np.float64],
    rounding: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the squared distance of every well from the weighted mean, 0 up to `rounding` (T, 1)."""
    distances = squares - 2 * products
    distances += np.einsum("tp,tp->t", weights, products)[:, None]
    distances[distances <= rounding] = 0.0
    return np.asarray(distances)


def typical_square(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each plate's squared lengths (T, n), or the largest where most are zero: (T, 1)."""
    median = _medians(squares)
    return np.asarray(np.where(median > 0, median, squares.max(axis=1, keepdims=True)))


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of every row, (T, 1): what `np.median` does, without its care for NaN and odd shapes."""
    n = values.shape[1]
    middle = np.partition(values, (n - 1) // 2 if n % 2 else (n // 2 - 1, n // 2), axis=1)
    return np.asarray(middle[:, (n - 1) // 2 : n // 2 + 1].mean(axis=1, keepdims=True))


def _centred(controls: ControlPool, own: NDArray[np.float64], weights: NDArray[np.float64]) -> Pools:
    n, n_plates = len(controls.centred), len(controls.plates)
    n_treatments, _, n_pool = own.shape
    middles = np.empty((n_treatments, n_plates, n_pool))
    for plate, (place, mine) in enumerate(zip(controls.controls, controls.replicates, strict=True)):
        theirs = slice(n + mine.start, n + mine.stop)
        middles[:, plate, :n] = weights[:, place] @ controls.products[place]
        middles[:, plate, n:] = (own[:, :, place] @ weights[:, place, None])[:, :, 0]
        middles[:, plate] += (weights[:, None, theirs] @ own[:, mine])[:, 0]
    plate_of = np.concatenate(
        [np.repeat(np.arange(n_plates), controls.n_controls), np.repeat(np.arange(n_plates), controls.layout.n_drawn)]
    )
    is_on = plate_of == np.arange(n_plates)[:, None]
    between = middles @ (weights[:, :, None] * is_on.T)
    squares = np.hstack([np.broadcast_to(controls.products.diagonal(), (n_treatments, n)), _own_squares(own, n)])
    inverse = np.zeros_like(squares)
    for plate in range(n_plates):
        on = is_on[plate]
        rounding = ROUNDING * typical_square(squares[:, on])
        distances = _distances(squares[:, on], middles[:, plate, on], weights[:, on], rounding)
        inverse[:, on] = np.divide(1.0, np.sqrt(distances), out=np.zeros_like(distances), where=distances > 0)
    return Pools(controls, own, middles, between, inverse)


def _own_squares(own: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.asarray(np.einsum("trr->tr", own[:, :, n:]))
