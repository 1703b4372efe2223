"""Every design once, and draws that favour none."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from hcs.statistics.designs import Layout, all_designs, draw_designs

LAYOUTS = [
    Layout((5,), (2,)),
    Layout((3, 4), (1, 2)),
    Layout((2, 2, 3), (1, 1, 1)),
    Layout((6,), (5,)),
    Layout((10, 3), (9, 1)),  # by random keys
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_design_comes_once(layout: Layout) -> None:
    designs = all_designs(layout)

    assert designs.shape == (layout.n_designs, sum(layout.n_drawn))
    assert len({tuple(sorted(design)) for design in designs.tolist()}) == layout.n_designs


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_design_draws_the_replicates_of_each_plate(layout: Layout) -> None:
    plate_of = np.repeat(np.arange(len(layout.n_wells)), layout.n_wells)

    for designs in (all_designs(layout), draw_designs(layout, 200, np.random.default_rng(0))):
        for design in designs:
            assert len(set(design.tolist())) == len(design)
            np.testing.assert_array_equal(np.bincount(plate_of[design], minlength=len(layout.n_wells)), layout.n_drawn)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_design_is_as_likely_to_be_drawn(layout: Layout) -> None:
    designs = draw_designs(layout, 20_000, np.random.default_rng(1))

    counts = Counter(tuple(sorted(design)) for design in designs.tolist())

    assert len(counts) == layout.n_designs
    assert chisquare(list(counts.values())).pvalue > 1e-4


def test_a_large_layout_is_counted_without_listing_it() -> None:
    assert Layout((17,) * 6, (1,) * 6).n_designs == 17**6
