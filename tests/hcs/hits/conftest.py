"""Screens of well profiles, made in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
import pytest

Screen = tuple[np.ndarray, pl.DataFrame]
MakeScreen = Callable[..., Screen]


def _make_screen(
    effects: Mapping[str, float] | Sequence[float] = (0.0, 0.0, 3.0),
    *,
    n_plates: int = 3,
    n_replicates: int = 1,
    n_controls: int = 8,
    poscon: float | None = None,
    n_features: int = 12,
    count_ratios: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Screen:
    """Return profiles and wells: every treatment `n_replicates` times a plate, shifted by its effect in every feature.

    A treatment is `c0`, `c1`, ... or the key of `effects`; its shift is the effect times a normal direction of its own.
    Wells hold 100 cells times the treatment's count ratio.
    """
    rng = np.random.default_rng(seed)
    named = effects if isinstance(effects, Mapping) else {f"c{i}": effect for i, effect in enumerate(effects)}
    kinds = [(name, "treatment", effect) for name, effect in named.items()]
    if poscon is not None:
        kinds.append(("positive", "poscon", poscon))
    shifts = {name: effect * rng.standard_normal(n_features) for name, _, effect in kinds}
    shifts["DMSO"] = np.zeros(n_features)
    names = [name for name, _, _ in kinds for _ in range(n_replicates)] + ["DMSO"] * n_controls
    types = {name: kind for name, kind, _ in kinds} | {"DMSO": "negcon"}
    ratio = {name: (count_ratios or {}).get(name, 1.0) for name in types}
    wells = pl.DataFrame(
        {
            "plate": [f"P{plate}" for plate in range(n_plates) for _ in names],
            "well": [
                f"{'ABCDEFGHIJKLMNOP'[i // 24]}{i % 24 + 1:02d}" for _ in range(n_plates) for i in range(len(names))
            ],
            "batch": [f"B{plate % 2}" for plate in range(n_plates) for _ in names],
            "perturbation": names * n_plates,
            "concentration_micromolar": pl.Series([1.0] * (len(names) * n_plates), dtype=pl.Float64),
            "dose_step": pl.Series([None] * (len(names) * n_plates), dtype=pl.Float64),
            "control_type": [types[name] for name in names] * n_plates,
            "cell_count": [round(100 * ratio[name]) for name in names] * n_plates,
        }
    )
    profiles = rng.standard_normal((wells.height, n_features)) + np.stack([shifts[n] for n in wells["perturbation"]])
    return profiles, wells


@pytest.fixture(scope="session")
def make_screen() -> MakeScreen:
    """A function that makes a screen; see `_make_screen`."""
    return _make_screen
