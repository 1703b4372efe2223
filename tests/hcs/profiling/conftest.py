"""Small screens with correlated features, and one BLAS thread, as stop 5 has in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits


@dataclass(frozen=True)
class Screen:
    """Wells, and one embedding of them."""

    wells: pl.DataFrame
    embedding: NDArray[np.float64]

    def kind(self, name: str) -> NDArray[np.bool_]:
        """Return which wells are of this control type."""
        return (self.wells["control_type"] == name).to_numpy()

    @property
    def plates(self) -> NDArray[np.str_]:
        """Return the plate of every well."""
        return self.wells["plate"].to_numpy().astype(np.str_)

    def rows(self, order: NDArray[np.integer]) -> Screen:
        """Return these wells in this order."""
        return Screen(self.wells[order], self.embedding[order])

    def with_embedding(self, embedding: NDArray[np.float64]) -> Screen:
        """Return the same wells with other vectors."""
        return replace(self, embedding=embedding)

    def with_wells(self, wells: pl.DataFrame) -> Screen:
        """Return the same vectors of wells that are described otherwise."""
        return replace(self, wells=wells)


@pytest.fixture(autouse=True)
def _one_blas_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield


def make_screen(
    seed: int, *, n_plates: int = 3, n_controls: int = 16, n_treated: int = 24, n_features: int = 12
) -> Screen:
    """Return a screen whose features share four factors; a third of the treated wells are shifted."""
    rng = np.random.default_rng(seed)
    n_wells = n_controls + n_treated
    names = [f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}" for i in range(n_wells)]
    kinds = ["negcon"] * n_controls + ["treatment"] * n_treated
    wells = pl.DataFrame(
        {
            "plate": [f"plate{p}" for p in range(n_plates) for _ in range(n_wells)],
            "well": names * n_plates,
            "control_type": kinds * n_plates,
        }
    )
    loadings = rng.normal(size=(4, n_features))
    factors = rng.normal(size=(n_plates * n_wells, 4))
    values = factors @ loadings + 0.5 * rng.normal(size=(n_plates * n_wells, n_features))
    values += np.repeat(rng.normal(size=(n_plates, n_features)), n_wells, axis=0)
    shift = np.where(np.arange(n_wells)[:, None] >= n_wells - n_treated // 3, rng.normal(size=n_features), 0.0)
    return Screen(wells, values + 2.0 * np.tile(shift, (n_plates, 1)))


@pytest.fixture(scope="session")
def screens() -> Callable[..., Screen]:
    """Give `make_screen` to tests."""
    return make_screen
