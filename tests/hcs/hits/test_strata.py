"""Wells that may be compared are those of one cell line and time point."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.count import count_ratios, explained_by_count
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
