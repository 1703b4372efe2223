"""Verdicts on the count where the truth is known: a small form of `benchmarks/explained.py`."""

from __future__ import annotations

from collections import Counter

import polars as pl

from hcs.hits.count import count_ratios, explained_by_count, has_count_matches
from hcs.hits.treatments import screen_wells
from hcs.profiling.normalize import robust_z
from hcs.simulation.cytotoxics import Cytotoxics, simulate_cytotoxics
from hcs.simulation.profiles import ProfileDesign

DESIGN = ProfileDesign(
    n_plates=5, n_features=60, n_compounds=60, n_mechanisms=4, active_share=0.1, toxic_share=0, n_negcon=24
)


def test_generic_cytotoxics_are_explained_and_specific_ones_are_not() -> None:
    screen = simulate_cytotoxics(DESIGN, cytotoxics=Cytotoxics(n_generic=15, n_specific=4), seed=2)
    is_negcon = (screen.wells["control_type"] == "negcon").to_numpy()
    z = robust_z(screen.profiles, plates=screen.wells["plate"].to_list(), is_negcon=is_negcon).values
    dose = pl.lit(None, dtype=pl.Float64)
    wells = screen_wells(
        z, screen.wells.drop("row", "column").with_columns(concentration_micromolar=dose, dose_step=dose)
    )
    ratios = count_ratios(wells.cell_counts, wells.plates, wells.is_negcon)
    kinds = dict(screen.truth.select("perturbation", "kind").iter_rows())
    found: dict[str, Counter[str]] = {kind: Counter() for kind in ("generic", "specific", "active")}
    for item in wells.treatments:
        if (kind := kinds[item.perturbation]) in found and has_count_matches(wells, ratios, item.wells):
            found[kind][explained_by_count(wells, ratios, item.wells, seed=0)] += 1

    assert (found["generic"].total(), found["specific"].total(), found["active"].total()) == (15, 12, 6)
    assert found["generic"]["explained"] >= 0.7 * 15
    assert found["generic"]["not_explained"] <= 1
    assert found["specific"]["not_explained"] >= 0.5 * 12
    assert found["specific"]["explained"] == 0
    assert found["active"] == Counter({"not_explained": 6})
