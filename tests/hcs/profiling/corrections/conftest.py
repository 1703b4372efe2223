"""Screens of normalized profiles with effects of position and of cell count of stated size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs.profiling.corrections.correction import Design

N_ROWS, N_COLUMNS = 8, 12


class Screen:
    """Plates of 96 wells with scattered controls, shuffled or fixed, and unit noise."""

    def __init__(
        self,
        *,
        n_plates: int = 4,
        n_features: int = 12,
        n_controls: int = 20,
        is_fixed: bool = False,
        n_batches: int = 1,
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        n_wells = N_ROWS * N_COLUMNS
        self.rows = np.tile(np.repeat(np.arange(N_ROWS), N_COLUMNS), n_plates)
        self.columns = np.tile(np.arange(N_COLUMNS), N_ROWS * n_plates)
        plates = np.repeat(np.arange(n_plates), n_wells)
        base = rng.permutation(n_wells)
        deals = [base if is_fixed else rng.permutation(n_wells) for _ in range(n_plates)]
        perturbations = np.concatenate([np.where(deal < n_controls, -1, deal) for deal in deals])
        is_negcon = perturbations < 0
        self.values = rng.normal(size=(n_plates * n_wells, n_features))
        self.design = Design(
            plates=plates,
            batches=plates * n_batches // n_plates,
            perturbations=perturbations,
            is_negcon=is_negcon,
            is_fitted=is_negcon,
            rows=self.rows,
            columns=self.columns,
            cell_counts=rng.integers(200, 400, len(plates)).astype(np.float64),
        )

    def gradient(self, size: float) -> NDArray[np.float64]:
        """Return values with a slope along rows and a bowl along columns, this many standard deviations wide."""
        x, y = self.rows / (N_ROWS - 1) - 0.5, self.columns / (N_COLUMNS - 1) - 0.5
        return self.values + size * (x + 2 * y**2)[:, None] * np.linspace(0.5, 1.5, self.values.shape[1])


def reordered(design: Design, order: NDArray[np.intp]) -> Design:
    """Return the same wells in another order, numbered in order of their appearance."""
    arrays = {name: value[order] for name, value in vars(design).items()}
    for name in ("plates", "batches", "perturbations"):
        names, first = np.unique(arrays[name][arrays[name] >= 0], return_index=True)
        rank = dict(zip(names[np.argsort(first)].tolist(), range(len(names)), strict=True))
        arrays[name] = np.array([rank.get(int(number), -1) for number in arrays[name]], dtype=np.intp)
    return replace(design, **arrays)


@pytest.fixture(name="Screen")
def _screen() -> type[Screen]:
    return Screen


@pytest.fixture(name="reordered")
def _reordered():  # type: ignore[no-untyped-def]
    return reordered
