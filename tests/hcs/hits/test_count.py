"""Whether the number of cells is all that a hit changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from hcs.hits.activity import call_activity
from hcs.hits.count import count_ratios

N_FEATURES = 40
GENERIC = {f"kills{i}": ratio for i, ratio in enumerate((0.4, 0.5, 0.55, 0.6, 0.7))}


def screen(
    ratios: Mapping[str, float], shifts: Mapping[str, float], *, seed: int = 0, n_plates: int = 5
) -> tuple[np.ndarray, pl.DataFrame]:
    """Return wells that look emptier the fewer cells they hold, and like their compound where it has a shift."""
    rng = np.random.default_rng(seed)
    names = [*ratios, *(f"inactive{i}" for i in range(12)), *["DMSO"] * 16]
    emptiness, bend = rng.standard_normal((2, N_FEATURES))
    direction = {name: shifts.get(name, 0.0) * rng.standard_normal(N_FEATURES) for name in dict.fromkeys(names)}
    profiles, counts = [], []
    for _ in range(n_plates):
        for name in names:
            count = rng.poisson(80 * ratios.get(name, 1.0) * np.exp(0.1 * rng.standard_normal()))
            lost = 1 - count / 80
            look = 4 * lost * emptiness + 2 * lost * abs(lost) * bend + direction[name]
            profiles.append(look + rng.standard_normal(N_FEATURES))
            counts.append(count)
    wells = pl.DataFrame(
        {
            "plate": [f"P{plate}" for plate in range(n_plates) for _ in names],
            "well": [f"w{well}" for _ in range(n_plates) for well in range(len(names))],
            "batch": "B",
            "perturbation": names * n_plates,
            "concentration_micromolar": pl.Series([None] * len(counts), dtype=pl.Float64),
            "dose_step": pl.Series([None] * len(counts), dtype=pl.Float64),
            "control_type": ["negcon" if name == "DMSO" else "treatment" for name in names] * n_plates,
            "cell_count": counts,
        }
    )
    return np.array(profiles), wells


def verdicts(profiles: np.ndarray, wells: pl.DataFrame) -> dict[str, str | None]:
    calls = call_activity(profiles, wells, profile_name="p", q_max=0.05, seed=0)
    return dict(calls.filter("is_hit").select("perturbation", "explained_by_count").iter_rows())


def counted(kind: str, ratios: Mapping[str, float], shifts: Mapping[str, float]) -> Counter[str | None]:
    """Count the verdicts on hits whose name begins with `kind`, over three screens."""
    found: Counter[str | None] = Counter()
    for seed in range(3):
        said = verdicts(*screen(ratios, shifts, seed=seed))
        found.update(verdict for name, verdict in said.items() if name.startswith(kind))
    return found


def test_compounds_that_only_kill_are_explained_or_cannot_be_told() -> None:
    found = counted("kills", GENERIC, {})

    assert found.total() >= 12
    assert found["explained"] >= 0.7 * found.total()
    assert found["not_explained"] <= 0.1 * found.total()


def test_a_phenotype_at_an_ordinary_count_is_never_explained() -> None:
    ratios = {**GENERIC, **{f"shape{i}": 1.0 for i in range(5)}}
    found = counted("shape", ratios, {f"shape{i}": 1.0 for i in range(5)})

    assert found == Counter({"not_explained": 15})


def test_a_phenotype_beside_a_lost_count_is_not_explained() -> None:
    ratios = {**GENERIC, "poison0": 0.5, "poison1": 0.6}
    found = counted("poison", ratios, {"poison0": 1.5, "poison1": 1.5})

    assert found["not_explained"] >= 5
    assert found["explained"] == 0


def test_a_lone_toxic_compound_cannot_be_told() -> None:
    assert counted("kills", {"kills0": 0.3}, {}) == Counter({"cannot_tell": 3})


def test_the_doses_of_one_compound_are_no_support_for_one_another() -> None:
    profiles, wells = screen({f"kills{i}": 0.4 for i in range(6)}, {})
    one_compound = wells.with_columns(
        perturbation=pl.col("perturbation").str.replace("kills.*", "kills"),
        dose_step=pl.col("perturbation").str.extract("kills(.*)").cast(pl.Float64),
    )

    calls = call_activity(profiles, one_compound, profile_name="p", q_max=0.05, seed=0)

    assert set(calls.filter(pl.col("perturbation") == "kills")["explained_by_count"]) == {"cannot_tell"}


def test_without_counts_nothing_can_be_told_and_nothing_is_said_of_what_is_no_hit() -> None:
    profiles, wells = screen(GENERIC, {})
    calls = call_activity(
        profiles, wells.with_columns(cell_count=pl.lit(None, dtype=pl.Float64)), profile_name="p", q_max=0.05, seed=0
    )

    assert calls["cell_count_ratio"].null_count() == calls.height
    assert set(calls.filter("is_hit")["explained_by_count"]) == {"cannot_tell"}
    assert set(calls.filter(~pl.col("is_hit"))["explained_by_count"]) == {None}


def test_wells_without_a_count_are_left_out_of_the_comparison() -> None:
    profiles, wells = screen({**GENERIC, "shape": 1.0}, {"shape": 1.5})
    some = wells.with_columns(
        cell_count=pl.when((pl.col("plate") == "P0") & (pl.col("perturbation") != "DMSO"))
        .then(None)
        .otherwise("cell_count")
    )

    assert verdicts(profiles, some)["shape"] == "not_explained"


def test_the_ratio_of_a_treatment_is_the_median_over_its_wells() -> None:
    profiles, wells = screen({"kills": 0.5}, {})
    calls = call_activity(profiles, wells, profile_name="p", q_max=0.05, seed=0)
    per_plate = wells.with_columns(
        control=pl.col("cell_count").filter(pl.col("control_type") == "negcon").median().over("plate")
    )
    expected = per_plate.filter(pl.col("perturbation") == "kills").select(
        (pl.col("cell_count") / pl.col("control")).median()
    )

    assert calls.filter(pl.col("perturbation") == "kills")["cell_count_ratio"][0] == pytest.approx(expected.item())


def test_a_plate_without_counted_controls_or_with_empty_ones_has_no_ratio() -> None:
    ratios = count_ratios(
        np.array([10.0, np.nan, 10.0, 0.0, 10.0, 20.0, np.nan]),
        np.array([0, 0, 1, 1, 2, 2, 2]),
        np.array([False, True, False, True, False, True, False]),
    )

    np.testing.assert_array_equal(ratios, [np.nan, np.nan, np.nan, np.nan, 0.5, 1.0, np.nan])
