"""Wells of annotated compounds, made in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

MakeWells = Callable[..., tuple[np.ndarray, pl.DataFrame]]

COMPOUNDS = {
    "a1": ("tubulin", 0), "a2": ("tubulin", 0), "a3": (None, 0),
    "b1": ("actin|rock", 1), "b2": ("ROCK", 1),
    "i1": ("tubulin", None), "i2": (None, None),
}  # fmt: skip
"""Compound -> annotated mechanism, and the axis it pushes wells along, if any."""


def _make_wells(*, noise: float = 0.2, n_plates: int = 3, seed: int = 0) -> tuple[np.ndarray, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    rows, profiles = [], []
    for plate in range(n_plates):
        for number, (name, (mechanism, axis)) in enumerate([*COMPOUNDS.items(), *[("DMSO", (None, None))] * 12]):
            rows.append(
                {
                    "plate": f"P{plate}",
                    "well": f"A{number + 1:02d}",
                    "batch": "B",
                    "perturbation": name,
                    "concentration_micromolar": 1.0 if name != "DMSO" else None,
                    "dose_step": None,
                    "control_type": "negcon" if name == "DMSO" else "treatment",
                    "cell_count": 100,
                    "mechanism": mechanism,
                    "name": name.upper(),
                    "smiles": None,
                }
            )
            push = np.zeros(6) if axis is None else 4 * np.eye(6)[axis]
            profiles.append(push + noise * rng.standard_normal(6))
    schema = {"dose_step": pl.Float64, "smiles": pl.String}
    return np.array(profiles), pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)


@pytest.fixture(scope="session")
def make_wells() -> MakeWells:
    """A function that makes profiles and wells of `COMPOUNDS` and of 12 DMSO wells a plate."""
    return _make_wells
