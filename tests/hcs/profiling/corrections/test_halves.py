from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hcs.profiling.corrections.halves import half_of_controls


def plates_of(sizes: list[int]) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    plates = np.repeat(np.arange(len(sizes)), [size + 5 for size in sizes])
    is_negcon = np.concatenate([np.arange(size + 5) < size for size in sizes])
    wells = [f"A{place:02}" for size in sizes for place in range(size + 5)]
    return rng.normal(size=(len(plates), 3)), wells, plates, is_negcon


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_half_of_every_plates_controls_is_chosen_and_nothing_else(sizes):
    values, wells, plates, is_negcon = plates_of(sizes)

    chosen = half_of_controls(values, wells=wells, plates=plates, is_negcon=is_negcon)

    assert not (chosen & ~is_negcon).any()
    assert [int(chosen[plates == plate].sum()) for plate in range(len(sizes))] == [size // 2 for size in sizes]


@given(seed=st.integers(0, 2**32 - 1))
def test_names_of_plates_the_order_of_rows_and_other_plates_change_nothing(seed):
    values, wells, plates, is_negcon = plates_of([8, 16, 7])
    chosen = half_of_controls(values, wells=wells, plates=plates, is_negcon=is_negcon)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(np.flatnonzero(plates > 0)), rng.permutation(1000)[:3]

    other = half_of_controls(
        values[order], wells=[wells[i] for i in order], plates=names[plates[order]], is_negcon=is_negcon[order]
    )

    np.testing.assert_array_equal(other, chosen[order])


def test_other_values_or_wells_choose_anew():
    values, wells, plates, is_negcon = plates_of([16] * 12)
    options = {"plates": plates, "is_negcon": is_negcon}
    chosen = half_of_controls(values, wells=wells, **options)

    assert (chosen != half_of_controls(2 * values, wells=wells, **options)).any()
    assert (chosen != half_of_controls(values, wells=[name.replace("A", "B") for name in wells], **options)).any()
