"""Do p-values keep their promise on simulated wells without and with an effect?"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.hits.activity import call_activity
from hcs.profiling.normalize import robust_z

N_FEATURES, N_TREATMENTS = 32, 40


def simulate(
    n_plates: int, n_replicates: int, n_controls: int, *, effect: float, n_active: int, normalize: bool, seed: int
) -> tuple[np.ndarray, pl.DataFrame]:
    """Return correlated wells of a screen; the first treatments shift every feature by N(0, effect^2)."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.standard_normal((N_FEATURES, N_FEATURES)))[0] * np.exp(-np.arange(N_FEATURES) / 20)
    names = [f"c{t:02d}" for t in range(N_TREATMENTS) for _ in range(n_replicates)] + ["DMSO"] * n_controls
    shift = {f"c{t:02d}": effect * rng.standard_normal(N_FEATURES) for t in range(n_active)}
    plates = []
    for _ in range(n_plates):
        wells = rng.standard_normal((len(names), N_FEATURES)) @ mixing.T
        wells /= mixing.std() * np.sqrt(N_FEATURES)
        wells += np.stack([shift.get(name, np.zeros(N_FEATURES)) for name in names])
        plates.append(wells)
    n_wells = len(names) * n_plates
    table = pl.DataFrame(
        {
            "plate": [f"p{plate}" for plate in range(n_plates) for _ in names],
            "well": [f"w{well}" for _ in plates for well in range(len(names))],
            "batch": "b",
            "perturbation": names * n_plates,
            "concentration_micromolar": pl.Series([None] * n_wells, dtype=pl.Float64),
            "dose_step": pl.Series([None] * n_wells, dtype=pl.Float64),
            "control_type": ["negcon" if name == "DMSO" else "treatment" for name in names] * n_plates,
            "cell_count": 100,
        }
    )
    return normalized(np.vstack(plates), table) if normalize else np.vstack(plates), table


def normalized(profiles: np.ndarray, wells: pl.DataFrame) -> np.ndarray:
    """Return robust z as a run has it, which shrinks the scale of few controls."""
    return robust_z(
        profiles,
        plates=wells["plate"].to_numpy().astype(np.str_),
        is_negcon=(wells["control_type"] == "negcon").to_numpy(),
        is_fitted=np.ones(wells.height, dtype=np.bool_),
        encoder="simulated",
    ).values


def null_p_values(layout: tuple[int, int, int], *, n_screens: int, normalize: bool) -> np.ndarray:
    found = []
    for seed in range(n_screens):
        profiles, wells = simulate(*layout, effect=0.0, n_active=0, normalize=normalize, seed=seed)
        calls = call_activity(profiles, wells, profile_name="p", q_max=0.05, seed=0)
        found.append(calls["p_value"].to_numpy())
    return np.concatenate(found)


def test_p_values_of_treatments_without_effect_are_uniform() -> None:
    p = null_p_values((3, 1, 16), n_screens=8, normalize=False)

    assert 0.02 <= (p <= 0.05).mean() <= 0.08
    assert 0.4 <= (p <= 0.5).mean() <= 0.6


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout", [(5, 1, 16), (3, 1, 16), (2, 1, 16), (1, 4, 8), (5, 4, 8)], ids=lambda layout: "x".join(map(str, layout))
)
@pytest.mark.parametrize("normalize", [False, True], ids=["clean", "robust_z"])
def test_the_null_keeps_its_rate_in_every_layout(layout: tuple[int, int, int], normalize: bool) -> None:
    # Treatments of a screen share its controls, and few of them make its p-values err together: 136 screens of one
    # plate of eight, 40 of five plates, where a test takes longer.
    p = null_p_values(layout, n_screens=30 if layout[2] >= 16 else 120 // layout[0] + 16, normalize=normalize)

    assert 0.03 <= (p <= 0.05).mean() <= 0.07
    assert (p > 0.95).mean() <= 0.08


@pytest.mark.slow
def test_false_discoveries_stay_at_their_rate_and_effects_are_found() -> None:
    recall, false = [], []
    for seed in range(20):
        profiles, wells = simulate(5, 1, 16, effect=0.8, n_active=8, normalize=True, seed=100 + seed)
        is_hit = call_activity(profiles, wells, profile_name="p", q_max=0.05, seed=0)["is_hit"].to_numpy()
        recall.append(is_hit[:8].mean())
        false.append(is_hit[8:].sum() / max(1, is_hit.sum()))

    assert np.mean(recall) >= 0.7
    assert np.mean(false) <= 0.06
