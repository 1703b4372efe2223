"""The correction of Harmony: a ridge regression of wells on batches in every cluster (`hcs.statistics.harmony`)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.harmony_clusters import Clustering, HarmonyOptions, directions_of
from hcs.statistics.harmony_deal import Deal
from hcs.statistics.threads import on_threads

AUTOMATIC_RIDGE: Final = 0.2
"""Where no ridge is given it is this share of the expected membership E_kb."""


def batch_steps(
    values: NDArray[np.floating],
    clustering: Clustering,
    dealt: Deal,
    options: HarmonyOptions,
    *,
    n_threads: int | None,
) -> NDArray[np.floating]:
    """Return by how much each batch of each cluster is off its middle, (B, K, D).

    The normal equations of cluster k, with ridges l_b on the batches and none on the middle w_0, are
    (O_b + l_b) w_b = S_b - O_b w_0 for each batch and sum_b (S_b - O_b w_0 - O_b w_b) = 0, S_b the sum of wells. Put
    in, w_0 is the mean of S_b / O_b with weights O_b l_b / (O_b + l_b).
    """
    observed = clustering.observed.sum(axis=0)

    def sum_of(places: slice) -> NDArray[np.floating]:
        return np.asarray(clustering.memberships[places].T @ values[dealt.order[places]], dtype=np.float64)

    sums = np.stack(on_threads(sum_of, dealt.batch_slices(), n_threads=n_threads))
    expected = dealt.shares[:, None] * observed.sum(axis=0)
    ridge = AUTOMATIC_RIDGE * expected if options.ridge is None else np.full_like(expected, options.ridge)
    held = np.divide(ridge, observed + ridge, out=np.zeros_like(ridge), where=observed + ridge > 0)
    weights = (observed * held).sum(axis=0)[:, None]
    middle = np.einsum("bk,bkd->kd", held, sums)
    middle = np.divide(middle, weights, out=np.zeros_like(middle), where=weights > 0)
    offset = sums - observed[:, :, None] * middle
    divisor = (observed + ridge)[:, :, None]
    steps = np.zeros_like(offset)
    np.divide(offset, divisor, out=steps, where=divisor > 0)
    return np.asarray(steps, dtype=values.dtype)


def take_steps(
    values: NDArray[np.floating],
    clustering: Clustering,
    dealt: Deal,
    steps: NDArray[np.floating],
    *,
    n_threads: int | None,
) -> None:
    """Renew directions: those of the wells as they came, minus the steps of their clusters."""

    def renew(batch_and_places: tuple[int, slice]) -> None:
        batch, places = batch_and_places
        moved = values[dealt.order[places]] - clustering.memberships[places] @ steps[batch]
        clustering.units[places] = directions_of(moved)

    on_threads(renew, enumerate(dealt.batch_slices()), n_threads=n_threads)


def corrected_wells(
    values: NDArray[np.floating],
    memberships: NDArray[np.floating],
    dealt: Deal,
    steps: NDArray[np.floating],
    *,
    n_threads: int | None,
) -> NDArray[np.floating]:
    """Return the wells as they came minus the steps of their clusters, copies of one well as the first of them."""
    corrected = np.empty_like(values, order="C")

    def correct(batch_and_places: tuple[int, slice]) -> None:
        batch, places = batch_and_places
        rows = dealt.order[places]
        corrected[rows] = values[rows] - memberships[places] @ steps[batch]

    on_threads(correct, enumerate(dealt.batch_slices()), n_threads=n_threads)
    corrected[dealt.order[dealt.copies[:, 0]]] = corrected[dealt.order[dealt.copies[:, 1]]]
    return corrected
