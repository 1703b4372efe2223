"""Wells that may be compared are those of one cell line and time point."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hcs.errors import InputRejectedError
from hcs.hits.activity import evaluate
from hcs.hits.count import count_ratios, explained_by_count
from hcs.hits.explain_hit import WellFacts
from hcs.hits.strata import in_stratum_of
from hcs.hits.treatments import screen_wells


def test_wells_of_other_strata_are_not_comparable_and_without_strata_all_are() -> None:
    strata = np.array([4, 4, 2, 2])

    np.testing.assert_array_equal(in_stratum_of(np.array([3]), strata=strata, n_wells=4), [False, False, True, True])
    assert in_stratum_of(np.array([3]), strata=None, n_wells=4).all()


def test_replicates_of_two_cell_lines_are_refused() -> None:
    with pytest.raises(InputRejectedError, match="expected in one stratum"):
        in_stratum_of(np.array([1, 2]), strata=np.array([4, 4, 2, 2]), n_wells=4)


def test_what_a_count_does_is_learned_in_the_stratum_of_the_treatment(make_screen) -> None:
    ratios = {f"kills{i}": 0.5 for i in range(6)}
    profiles, wells = make_screen(
        {**dict.fromkeys(ratios, 0.0), "kills0": 2.0}, n_plates=8, n_controls=12, count_ratios=ratios
    )
    # One killer lies on the first four plates, all others on the last four: alone in its cell line.
    is_first = wells["plate"].is_in([f"P{i}" for i in range(4)]) == (wells["perturbation"] == "kills0")
    kept = (is_first | (wells["control_type"] == "negcon")).to_numpy()
    screen = screen_wells(profiles[kept], wells.filter(kept))
    counts = count_ratios(screen.cell_counts, screen.plates, screen.is_negcon)
    replicates = screen.treatments[0].wells
    strata = np.isin(screen.plates, screen.plates[replicates]).astype(int)

    assert explained_by_count(screen, counts, replicates, strata=strata, seed=0) == "cannot_tell"
    assert explained_by_count(screen, counts, replicates, seed=0) == "not_explained"


def test_two_cell_lines_of_one_plate_are_called_as_on_plates_of_their_own(make_screen) -> None:
    made = [make_screen({f"{line}{i}": 0.0 for i in range(6)}, n_plates=4, n_controls=8, seed=seed)
            for seed, line in enumerate("ab")]  # fmt: skip
    profiles = np.concatenate([made[0][0], made[1][0] + 3.0 * np.random.default_rng(9).standard_normal(12)])
    first, second = (wells for _, wells in made)
    moved = pl.concat([first, second.with_columns(well=pl.format("x{}", "well"))])
    apart = pl.concat([first, second.with_columns(plate=pl.format("other {}", "plate"))])
    strata = np.repeat([0, 1], [first.height, second.height])

    together = evaluate(screen_wells(profiles, moved), q_max=0.05, seed=0, facts=WellFacts(strata=strata)).calls

    expected = evaluate(screen_wells(profiles, apart), q_max=0.05, seed=0, facts=WellFacts(strata=strata)).calls
    assert_frame_equal(together, expected)
    mixed = evaluate(screen_wells(profiles, moved), q_max=0.05, seed=0).calls
    assert mixed["p_value"].max() < together["p_value"].max()
