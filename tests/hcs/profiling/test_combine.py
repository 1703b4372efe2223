from __future__ import annotations

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.combine import combine_blocks

EVERY_WELL = np.ones(30, dtype=bool)


def make_blocks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"small": rng.normal(size=(30, 2)), "large": 100 * rng.normal(size=(30, 50))}


def test_every_block_gives_the_same_share_of_squared_length():
    combined = combine_blocks(make_blocks(), is_reference=EVERY_WELL)

    squares = combined**2
    assert squares[:, :50].sum(axis=1).mean() == pytest.approx(1)
    assert squares[:, 50:].sum(axis=1).mean() == pytest.approx(1)


def test_only_reference_wells_set_the_weights():
    is_reference = np.arange(30) < 10
    blocks = make_blocks()
    louder = {name: np.where(is_reference[:, None], block, 7 * block) for name, block in blocks.items()}

    combined = combine_blocks(blocks, is_reference=is_reference)

    expected = np.where(is_reference[:, None], combined, 7 * combined)
    np.testing.assert_allclose(combine_blocks(louder, is_reference=is_reference), expected, rtol=1e-14)


def test_the_order_in_which_encoders_are_given_does_not_matter():
    blocks = make_blocks()
    turned = dict(reversed(blocks.items()))

    combined = combine_blocks(blocks, is_reference=EVERY_WELL)

    assert combined.tobytes() == combine_blocks(turned, is_reference=EVERY_WELL).tobytes()


def test_the_order_of_the_wells_does_not_change_a_bit():
    order = np.random.default_rng(1).permutation(30)
    blocks = make_blocks()
    shuffled = {name: block[order] for name, block in blocks.items()}

    combined = combine_blocks(blocks, is_reference=EVERY_WELL)

    assert combined[order].tobytes() == combine_blocks(shuffled, is_reference=EVERY_WELL).tobytes()


def test_a_block_without_length_stays_zero():
    combined = combine_blocks({"zero": np.zeros((30, 2))}, is_reference=EVERY_WELL)

    np.testing.assert_array_equal(combined, 0)


@pytest.mark.parametrize("blocks", [{}, {"a": np.zeros((30, 2)), "b": np.zeros((29, 2))}])
def test_blocks_of_other_wells_are_refused(blocks):
    with pytest.raises(InputRejectedError, match="30 wells"):
        combine_blocks(blocks, is_reference=EVERY_WELL)
